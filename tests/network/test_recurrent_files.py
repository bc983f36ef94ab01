"""Files of networks with leak or feedback: what is written is read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.network import read_network, write_network
from spk2loihi.network.bounds import check_limits, feedback_norm
from spk2loihi.network.layout import EXTENSION
from spk2loihi.network.leak import FRACTION_BITS, Leak, decay_of
from spk2loihi.netx import segments
from support.network_files import as_json, assert_same, edit_json, edited, replaced, whole_network
from support.networks import tiny_student

META, VALUE = f"{EXTENSION}/meta", f"layer/3/{EXTENSION}/meta"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recurrent") / "model.net"
    write_network(whole_network(leak=0.1, feedback=0.8), path)
    return path


@pytest.mark.parametrize("kind", [{"leak": 0.1}, {"feedback": 0.8}, {"leak": 0.9, "feedback": 0.3}])
def test_round_trip(kind: dict[str, float], tmp_path: Path) -> None:
    network = whole_network(**kind)
    write_network(network, tmp_path / "model.net")
    read = read_network(tmp_path / "model.net")
    assert_same(read, as_json(network))
    assert (read.decay, read.defaults.steps) == (round(4096 * kind.get("leak", 0)), 4 * network.timesteps)


def test_what_stock_names_say(written: Path, tmp_path: Path) -> None:
    """`vDecay` is the decay; a layer with feedback is of no type that a loader of feed-forward layers takes."""
    with h5py.File(written) as file:
        layer = file["layer/3"]
        assert layer["type"][0] == b"conv_rec" and layer["weight_rec"].shape == (16, 16, 1, 1)
        assert {int(each["neuron/vDecay"][()]) for each in file["layer"].values() if "neuron" in each} == {410}
    assert 3 not in [segment.number for segment in segments(written)]
    write_network(whole_network(), tmp_path / "plain.net")
    with h5py.File(tmp_path / "plain.net") as file:
        meta = json.loads(bytes(file[META][()]))
        assert not {"decay", "steps"} & set(meta) and meta["neuron"]["leak"] == "none"
        assert int(file["layer/3/neuron/vDecay"][()]) == 0 and file["layer/3/type"][0] == b"conv"


def own_group(change: Callable[[dict], None]) -> Callable[[h5py.File], None]:
    return edit_json(VALUE, lambda m: change(m["groups"][1]))


EDITS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "decay 0": (edit_json(META, lambda m: m.update(decay=0)), "other rules"),
    "decay 4096": (edit_json(META, lambda m: m.update(decay=4096)), "int <= 4095"),
    "another decay": (edit_json(META, lambda m: m.update(decay=409)), "vDecay differs from the decay 409"),
    "another vDecay": (replaced("layer/2/neuron/vDecay", lambda a: a + 1), "vDecay differs"),
    "no leak": (edit_json(META, lambda m: m["neuron"].update(leak="none")), "other rules"),
    "no steps": (edit_json(META, lambda m: m.update(steps=0)), "int >= 1"),
    "windows": (edit_json(META, lambda m: m.update(schedule="windowed", steps=8)), "schedule windowed .* pipelined"),
    "settling": (edit_json(META, lambda m: m.update(schedule="settling")), "schedule settling .* pipelined"),
    "no matrix": (lambda f: f["layer/3"].pop("weight_rec"), "weight_rec"),
    "a short matrix": (replaced("layer/3/weight_rec", lambda a: a[:-1]), "feedback .15, 16, 1, 1. for 16 channels"),
    "short exponents": (own_group(lambda g: g["exponent"].pop()), "feedback .16, 16, 1, 1. for 16 channels"),
    "one to one": (own_group(lambda g: g.update(one_to_one=True)), "feedback .16, 16, 1, 1. for 16 channels"),
    "late": (own_group(lambda g: g.update(delay=1)), "layer.0.value: feedback that no network has"),
    "first": (edit_json(VALUE, lambda m: m["groups"].reverse()), "damaged"),
    "alone": (edit_json(VALUE, lambda m: m["groups"].pop(0)), "damaged"),
    "twice": (edit_json(VALUE, lambda m: m["groups"].append(m["groups"][1])), "damaged"),
    "from a later stage": (own_group(lambda g: g.update(source="layer.0.context")), "damaged"),
    "a soma function": (edit_json(VALUE, lambda m: m.update(soma={"kind": "scale", "exponent": 0})), "that no network"),
    "strong": (replaced("layer/3/weight_rec", lambda a: np.full_like(a, 127)), "norm of its feedback is .* below 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_other_files_are_refused(name: str, written: Path, tmp_path: Path) -> None:
    edit, words = EDITS[name]
    with pytest.raises(UserError, match=words) as caught:
        read_network(edited(written, tmp_path / "model.net", edit))
    assert "\n" not in str(caught.value)


def test_feedback_beyond_the_bound_is_not_exported() -> None:
    """Of the rounded matrix: a threshold of few units rounds a norm below 1 to one above."""
    model = tiny_student(feedback=0.5)
    value = model.encoder_layers()[1].feedback
    assert value is not None
    value.bound = 1.2  # as a file of weights that was edited
    words = (
        r"^stage layer\.[01]\.value: the norm of its feedback is 1\.\d+ times its threshold, but an equilibrium is "
        r"sure to exist only below 1: train with a smaller `feedback`$"
    )
    with pytest.raises(UserError, match=words):
        fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {})


def test_rounded_feedback_is_what_training_sees() -> None:
    model = tiny_student(feedback=0.8)
    network = check_limits(fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {}))
    for i, layer in enumerate(model.encoder_layers()):
        stage = network[f"layer.{i}.value"]
        assert layer.feedback is not None and stage.feedback is not None
        seen = layer.feedback.synapses(torch.tensor(float(stage.threshold)))
        assert np.array_equal(seen.detach().numpy(), stage.feedback.scaled)
        assert np.abs(stage.feedback.weight).max() <= 127
        exact = float(np.linalg.norm(layer.feedback.weight().detach().numpy(), 2))
        assert feedback_norm(stage) == pytest.approx(
            exact, abs=16 * 2 ** int(stage.feedback.exponent.max()) / stage.threshold
        )


def test_a_leak_is_lavas() -> None:
    """Of lava/proc/lif/models.py: the sign of a product times its magnitude shifted right, so towards zero."""
    x = np.array([-4097, -4096, -4095, -5, -1, 0, 1, 5, 4095, 4096, 4097, 2**23 - 1])
    for decay in (1, 410, 4095):
        product = x * (4096 - decay)
        assert np.array_equal(Leak(decay)(x), np.sign(product) * np.right_shift(np.abs(product), 12))
    assert Leak(1)(np.array([-1, 1])).tolist() == [0, 0]
    assert np.array_equal(Leak(0)(x), x)


@pytest.mark.parametrize("decay", [1, 7, 410, 4095])
def test_weights_of_time_stay_within_their_bound(decay: int) -> None:
    leak, exact = Leak(decay), 0.0
    for t, weight in zip(range(1, 2000), leak.weights(), strict=False):
        exact = exact * (1 - decay / 4096) + 1
        assert exact * (2**FRACTION_BITS - 1) < weight <= exact * 2**FRACTION_BITS + 1e-6
        assert weight <= leak.largest_weight(t) << FRACTION_BITS


def test_a_decay_of_12_bits() -> None:
    assert [decay_of(x) for x in (0, 1 / 8192 + 1e-9, 0.1, 4095 / 4096)] == [0, 1, 410, 4095]
    for leak in (1e-5, 0.9999):
        with pytest.raises(UserError, match=r"12 bits hold 1 to 4095: choose a `leak` from 0\.0002 to 0\.9998, or 0"):
            decay_of(leak)


def test_a_file_for_other_steps(tmp_path: Path) -> None:
    network = whole_network(leak=0.1)
    network = replace(network, defaults=replace(network.defaults, steps=99))
    write_network(network, tmp_path / "model.net")
    assert read_network(tmp_path / "model.net").run_config().steps == 99
