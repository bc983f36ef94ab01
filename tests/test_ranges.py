"""Every numeric option has a documented range, which the library checks: no NaN, no infinity, no huge number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from spk2loihi.cli.main import _COMMANDS, _LazyGroup, cli
from spk2loihi.errors import UserError
from spk2loihi.fit.student_shape import StudentShape, shape_populations
from spk2loihi.network.run_config import RunConfig
from spk2loihi.ranges import RANGES, check_number
from spk2loihi.simulators.run_file import run_file
from spk2loihi.sweep.axes import grid
from spk2loihi.training.layer_map import layer_map, parse_layers
from spk2loihi.training.settings import LossWeights, TrainSettings

LIMITS = (Path(__file__).parents[1] / "docs" / "limits.md").read_text(encoding="utf-8")

HUGE = 10**20
SENSELESS: list[Any] = [-1, HUGE, 10**400, -(10**400), math.nan, math.inf, -math.inf, 1.5, "8", True, None, [3], 1e300]


@pytest.mark.parametrize("name", RANGES)
def test_a_range_takes_its_ends_and_nothing_else(name: str) -> None:
    known = RANGES[name]
    step: float = 1 if known.whole else 1e-9
    assert check_number(name, known.least + step if known.open_least else known.least) is not None
    assert check_number(name, known.most - 1e-3 if known.open_most else known.most) is not None
    for value in (known.least - 1, known.most + 1, HUGE, 10**400, math.nan, math.inf, -math.inf, "8", True, [3]):
        with pytest.raises(UserError, match=rf"^`{name}` is .{{1,60}}, but it is a (whole )?number .*: choose one"):
            check_number(name, value)
    if known.whole:
        with pytest.raises(UserError, match="a whole number"):
            check_number(name, known.least + 0.5)
        assert check_number(name, np.int64(int(known.least) + 1)) == known.least + 1


@pytest.mark.parametrize("name", RANGES)
def test_every_range_is_documented(name: str) -> None:
    row = next((line for line in LIMITS.splitlines() if line.startswith(f"| `{name}`")), "")
    assert str(RANGES[name]) in row, f"| `{name}` | {RANGES[name]} |"


NUMERIC = ("layers", "hidden", "intermediate", "heads", "tokens", "bits", "timesteps", "labels")


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("value", [0, *[v for v in SENSELESS if v is not None]], ids=str)
def test_sizes_of_a_student(name: str, value: Any) -> None:
    if name == "bits" and value is True:
        return
    with pytest.raises(UserError):
        shape_populations(StudentShape(**{name: value}))


SETTINGS = (
    "timesteps", "bits", "max_tokens", "leak", "feedback", "epochs", "steps", "teacher_epochs", "batch_size",
    "accumulate", "learning_rate", "teacher_learning_rate", "threshold_learning_rate", "affine_learning_rate", "seed",
    "evaluate_every", "early_stop", "validation_share", "average",
)  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [v for v in SENSELESS if v is not None and v != 1.5], ids=str)
def test_settings_of_a_training(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"`{name}` is "):
        TrainSettings(**{name: value}).check()


@pytest.mark.parametrize("name", ["rate", "temperature", "embedding", "hidden", "score", "prediction", "label"])
@pytest.mark.parametrize("value", [-1, HUGE, math.nan, math.inf, "1"], ids=str)
def test_weights_of_the_losses(name: str, value: Any) -> None:
    with pytest.raises(UserError):
        TrainSettings(losses=LossWeights(**{name: value})).check()


@pytest.mark.parametrize(
    "text", ["nan", "nanm", "infs", "1e400m", "-1s", "0", "0m", str(HUGE), "9" * 5000, "1e308m", "", "m", "1,5m"]
)
def test_intervals_of_checkpoints(text: str) -> None:
    with pytest.raises(UserError, match=r"`checkpoint_every` is .{1,60}, but") as refused:
        TrainSettings(checkpoint_every=text).check()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["999999999999", "0", "-1", str(HUGE), "9" * 5000, "uniform:999999999999", "last:999999999999", "first:65",
     "last:" + "9" * 5000, "0," * 5000 + "0", "0,-1", "0,99999999999999999999", "uniform:0", "1e3", "nan", "²"],
)  # fmt: skip
def test_layers_of_a_student(text: str) -> None:
    with pytest.raises(UserError) as refused:
        layer_map(parse_layers(text), 12)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", [0, *[v for v in SENSELESS if v is not None]], ids=str)
def test_ways_to_run(value: Any) -> None:
    with pytest.raises(UserError, match="timesteps"):
        RunConfig("pipelined", steps=value).check(8, only=None)
    if value != 0:
        with pytest.raises(UserError, match="stagger"):
            RunConfig("settling", stagger=value).check(8, only=None)


def test_axes_of_a_sweep() -> None:
    for value in (0, -1, HUGE, math.nan, 128):
        with pytest.raises(UserError, match="timesteps"):
            grid([value], [8], [0])
    for value in (0, -1, HUGE, math.nan, math.inf, 1.5):
        with pytest.raises(UserError, match="bits"):
            grid([8], [value], [0])
    for value in (-1, HUGE, math.nan, math.inf):
        with pytest.raises(UserError, match="rate_penalty"):
            grid([8], [8], [value])
    with pytest.raises(UserError, match="a sweep of 1,270 networks"):
        grid(range(1, 128), [8], [i / 10 for i in range(10)])


RUN = {"steps": 0, "num_layers": 0, "message_bits": 32, "reset_interval": 0, "reset_offset": HUGE, "spike_exp": 8}


@pytest.mark.parametrize("name", RUN)
def test_options_of_a_run(name: str) -> None:
    for value in (RUN[name], HUGE, 10**400, math.nan, 1.5, "3"):
        options: dict[str, Any] = {name: value}
        with pytest.raises(UserError, match=f"`{name}` is "):
            run_file(Path("nowhere.net"), np.zeros((4, 2), int), **options)


def test_every_numeric_option_of_every_command_has_a_range() -> None:
    """An option of numbers that is in no range cannot be added."""
    assert isinstance(cli, _LazyGroup)
    other = {"bits", "stagger", "stage"}  # a list of values; 0 to the network's T
    for name in _COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter.type, (click.types.IntParamType, click.types.FloatParamType)):
                assert parameter.name in {*RANGES, *other}, (name, parameter.name)
