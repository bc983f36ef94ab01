"""The whole chain on the tiny task, and the folder of a user who ran it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.command_chain import SMALL, Chain
from support.tiny_task import TinyTask, spk2loihi


@pytest.fixture(scope="session")
def chain(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Every command once, in an empty folder, as a user types them."""
    folder = tmp_path_factory.mktemp("chain")
    both = ["--backend", "emulator", "--backend", "stepped"]
    steps: dict[str, list[str]] = {
        "train": ["train", *tiny_task.data_options, "--teacher", str(tiny_task.teacher), *SMALL],
        "export": ["export", "model.pt"],
        "simulate": ["simulate"],
        "stepped": ["simulate", "--backend", "stepped", "--samples", "20"],
        "graded": ["simulate", "--encoding", "graded"],
        "pipelined": ["simulate", "--schedule", "pipelined", "--timesteps", "32", "--samples", "20"],
        "settling": ["simulate", "--schedule", "settling", "--samples", "20"],
        "text": ["simulate", "--text", "a lovely film", "--text", "it was a dull, boring plot"],
        "verify": ["verify", *both],
        "verify-graded": ["verify", *both, "--encoding", "graded", "--samples", "3"],
        "verify-settling": ["verify", *both, "--schedule", "settling", "--stagger", "1", "--samples", "3"],
        "energy": ["energy", "--samples", "20"],
        "inspect": ["inspect"],
        "doctor": ["doctor"],
    }
    outcomes = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, arguments in steps.items():
            numbers = [] if name == "energy" else ["--json", f"{name}.json"]  # it writes energy.json by itself
            outcomes[name] = spk2loihi(*arguments, *numbers)
            assert outcomes[name].code == 0, (name, outcomes[name].err)
    return Chain(folder, outcomes)


@pytest.fixture
def place(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user who has model.pt and model.net."""
    for name in ("model.pt", "model.net"):
        shutil.copy(chain.folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
