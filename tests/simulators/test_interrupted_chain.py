"""`demo` and `energy`, hit by signals in the middle: results are whole or absent, and the next run leaves no rest."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from spk2loihi.cli import train
from spk2loihi.results import is_network, is_numbers, is_page
from support.lava_networks import needs_lava
from support.signals import Command, assert_interrupted, assert_nothing_left, script
from support.tiny_task import spk2loihi

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]

#: A program that stops for a second at a moment, with a file "ready", and in a demo takes a model for a trained one.
PROGRAM = """
import shutil, sys, time
from pathlib import Path
from spk2loihi.cli import interrupts
interrupts.install()
from spk2loihi import files
from spk2loihi.cli import train
from spk2loihi.training.loop import Loop

def at(moment):
    if moment == {moment!r}:
        Path("ready").touch()
        time.sleep(1)

def write(path, write, real=files._write):
    real(path, write)
    at(path.name.split(".")[1] + "." + path.name.split(".")[2])

def optimise(self, *batch, real=Loop._optimise):
    at("training")
    return real(self, *batch)

files._write, Loop._optimise = write, optimise
if {moment!r} != "training":
    train.command.callback = lambda out, **options: shutil.copy({model!r}, out)
sys.argv[1:] = {arguments!r}
from spk2loihi.__main__ import main
main()
"""


def start(folder: Path, model: Path, moment: str, *arguments: object) -> Command:
    (folder / "ready").unlink(missing_ok=True)
    program = PROGRAM.format(moment=moment, model=str(model), arguments=[str(each) for each in arguments])
    command = script(folder, program)
    if moment == "Lava":
        command.wait_until(lambda c: (folder / "made" / "simulate.json").exists() and len(c.alive()) >= 2)
    else:
        command.wait_until(lambda _: (folder / "ready").exists())
    return command


def rests(folder: Path) -> list[str]:
    """Names of temporary and lock files."""
    return [p.name for p in folder.rglob(".*") if p.suffix in (".tmp", ".lock")]


@pytest.mark.parametrize(
    ("moment", "number"),
    [("energy.json", signal.SIGTERM), ("energy.html", signal.SIGINT), ("energy.html", signal.SIGKILL)],
)
def test_energy(
    moment: str, number: int, network_file: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its two files, and when both are written but not renamed."""
    monkeypatch.chdir(tmp_path)
    assert spk2loihi("energy", network_file, "--samples", 2).code == 0
    before = {name: (tmp_path / name).read_bytes() for name in ("energy.html", "energy.json")}
    outcome = start(tmp_path, model_file, moment, "energy", network_file, "--samples", 3).hit(number)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    if number == signal.SIGKILL:
        assert_nothing_left(outcome)
        assert rests(tmp_path)
    else:
        assert_interrupted(outcome)
        assert not rests(tmp_path)
    assert spk2loihi("energy", network_file, "--samples", 2).code == 0
    assert not rests(tmp_path)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("training", signal.SIGTERM),
        pytest.param("Lava", signal.SIGINT, marks=needs_lava),
        ("energy.html", signal.SIGKILL),
    ],
)
def test_demo(moment: str, number: int, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = start(tmp_path, model_file, moment, "demo", "-o", "made").hit(number)
    made = tmp_path / "made"
    if number == signal.SIGKILL:
        assert_nothing_left(outcome)
    else:
        assert_interrupted(outcome)
        assert not rests(tmp_path)
    names = {p.name for p in made.iterdir() if not p.name.startswith(".")}
    assert not {"energy.html", "energy.json"} & names
    assert all(is_numbers(made / name) for name in names if name.endswith(".json"))
    assert is_network(made / "model.net") if "model.net" in names else moment == "training"
    if number == signal.SIGKILL:  # the next run
        assert rests(tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(train.command, "callback", lambda out, **options: shutil.copy(model_file, out))
        assert spk2loihi("demo", "-o", "made").code == 0
        assert is_page(made / "energy.html")
        assert not [name for name in os.listdir(made) if name.startswith(".")]
