"""Callbacks and trackers see every step and evaluation, and change nothing of the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import spk2loihi as s2l
from support.tiny_task import TinyTask, spk2loihi

STEPS = 4


def options(task: TinyTask) -> dict[str, Any]:
    files = {"train_file": task.train_file, "dev_file": task.dev_file}
    return {**files, "teacher": task.tuned, "timesteps": 8, "max_tokens": 16, "steps": STEPS, "evaluate_every": 2}


@pytest.fixture(scope="module")
def seen(tiny_task: TinyTask) -> Any:
    calls: list[tuple[str, int, dict[str, float]]] = []

    def see(phase: str, step: int, values: Mapping[str, float]) -> None:
        torch.rand(1)  # a callback may, and the training must not notice
        calls.append((phase, step, dict(values)))

    return s2l.train(out=None, callbacks=[see], **options(tiny_task)), calls


def test_a_callback_sees_steps_evaluations_and_thresholds(seen: Any) -> None:
    result, calls = seen
    steps = [call for call in calls if "loss" in call[2]]
    assert [(phase, step) for phase, step, _ in steps] == [("student", i + 1) for i in range(STEPS)]
    assert all(set(values) == {"loss", "learning_rate", "t_times_density"} for _, _, values in steps)
    assert all(0 < values["t_times_density"] < 8 for _, _, values in steps)
    evaluations = [(step, values) for _, step, values in calls if "accuracy" in values]
    records = result.metrics["stages"][-1]["evaluations"]
    assert [(step, values["accuracy"]) for step, values in evaluations] == [(r["step"], r["accuracy"]) for r in records]
    named = {name for name in evaluations[-1][1] if name.startswith("threshold/")}
    assert named == {"threshold/embeddings", "threshold/layers.0", "threshold/layers.1", "threshold/pooler"}


def test_a_tracker_changes_nothing_and_tensorboard_reads_it_back(
    seen: Any, tiny_task: TinyTask, tmp_path: Path
) -> None:
    result, calls = seen
    tracked = s2l.train(out=tmp_path / "model.pt", log_with="tensorboard", **options(tiny_task))
    for name, weight in result.checkpoint.model.state_dict().items():
        assert torch.equal(weight, tracked.checkpoint.model.state_dict()[name]), name
    (file,) = (tmp_path / "model.pt.logs" / "spk2loihi").glob("events.out.tfevents.*")
    events = EventAccumulator(str(file))
    events.Reload()
    for name in ("loss", "t_times_density", "accuracy", "threshold/layers.0"):
        told = [(step, torch.tensor(values[name]).item()) for _, step, values in calls if name in values]
        assert [(e.step, e.value) for e in events.Scalars(f"student/{name}")] == told
    assert "student/learning_rate" in events.Tags()["scalars"]


def test_a_callback_that_fails_ends_the_training(tiny_task: TinyTask) -> None:
    def fail(phase: str, step: int, values: Mapping[str, float]) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        s2l.train(out=None, callbacks=[fail], **options(tiny_task))


def test_a_tracker_that_is_not_there(tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(s2l.UserError, match=r"`log_with` is 'paper': choose one of tensorboard, wandb, mlflow"):
        s2l.train(log_with="paper", **options(tiny_task))
    with pytest.raises(s2l.UserError, match="`log_with` tensorboard writes beside the model, but `out` is None"):
        s2l.train(log_with="tensorboard", out=None, **options(tiny_task))
    monkeypatch.setattr("spk2loihi.training.watching.importlib.util.find_spec", lambda name: None)
    outcome = spk2loihi("train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--log-with", "mlflow")
    assert outcome.code == 2
    assert "--log-with is mlflow, but that library is not installed: pip install 'spk2loihi[trackers]'" in outcome.err
    assert list(tmp_path.iterdir()) == []
