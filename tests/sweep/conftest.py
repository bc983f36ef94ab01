"""A finished sweep of the tiny task, and who is trained after it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.tiny_sweep import sweep
from support.tiny_task import Outcome, TinyTask


@pytest.fixture(scope="session")
def swept(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("sweep")
    outcome = sweep(tiny_task, folder / "sweep", "--json", folder / "points.json")
    assert outcome.code == 0, outcome.err
    return folder, outcome


@pytest.fixture
def place(swept: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A folder with a finished sweep."""
    shutil.copytree(swept[0] / "sweep", tmp_path / "sweep")
    return tmp_path / "sweep"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of folders into which `train` writes from now on, in order; ``teacher`` where one is fine-tuned."""
    from spk2loihi.training import fine_tune as tune
    from spk2loihi.training import train as module

    real, tuned, seen = module.train, tune.fine_tune, []

    def train(spec: Any, settings: Any, out: Path, **rest: Any) -> Any:
        seen.append(out.parent.name)
        return real(spec, settings, out, **rest)

    def fine_tune(*arguments: Any) -> Any:
        seen.append("teacher")
        return tuned(*arguments)

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(tune, "fine_tune", fine_tune)
    return seen
