"""Training with several seeds: one teacher, mean and spread, the student that validation chooses, and resuming."""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

import spk2loihi as s2l
from spk2loihi.data import examples_digest, load_parts
from spk2loihi.errors import UserError
from spk2loihi.training import seeds as module
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.seeds import summary, train_seeds
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import TinyTask, spk2loihi


def weights(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_checkpoint(path).model.state_dict().items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, list[str]]:
    """Three seeds from the teacher without a classifier: (model.pt, metrics, report)."""
    out, report = tmp_path_factory.mktemp("seeds") / "model.pt", []
    settings = replace(SMALL, teacher=str(tiny_task.teacher), seed=3)
    return out, train_seeds(spec_of(tiny_task), settings, out, 3, report=report.append).metrics, report


def test_what_is_written(trained: tuple[Path, dict, list[str]]) -> None:
    out, metrics, report = trained
    folders = {f"model-seed{seed}" for seed in (3, 4, 5)}
    assert names(out.parent) == {"model.pt", "metrics.json", "teacher", *folders}
    assert all(names(out.parent / folder) == {"model.pt", "metrics.json"} for folder in folders)
    assert json.loads(out.with_name("metrics.json").read_text()) == metrics == load_checkpoint(out).training
    assert [line for line in report if line.startswith("seed")] == ["seed 3", "seed 4", "seed 5"]
    assert sum(line.startswith("teacher: epoch") for line in report) == 1


def test_the_record(trained: tuple[Path, dict, list[str]]) -> None:
    out, metrics, _ = trained
    runs = [json.loads((out.parent / f"model-seed{seed}" / "metrics.json").read_text()) for seed in (3, 4, 5)]
    found = metrics["seeds"]
    scores = [run["score"] for run in runs]
    assert found == summary(runs)
    assert [run["score"] for run in found["runs"]] == scores
    assert found["mean"] == pytest.approx(statistics.mean(scores))
    assert found["std"] == pytest.approx(statistics.stdev(scores))
    assert len({run["teacher_score"] for run in runs}) == 1
    assert len({run["teacher_tuning"]["sha256"] for run in runs}) == 1
    best = max((run["best"]["accuracy"], -run["settings"]["seed"]) for run in runs)
    assert found["chosen"] == -best[1] == metrics["settings"]["seed"]
    assert weights(out) == weights(out.parent / f"model-seed{found['chosen']}" / "model.pt")
    assert len({b"".join(weights(out.parent / f"model-seed{seed}" / "model.pt").values()) for seed in (3, 4, 5)}) == 3


def test_every_seed_has_the_same_parts_and_nothing_leaks(
    trained: tuple[Path, dict, list[str]], tiny_task: TinyTask
) -> None:
    out, _, _ = trained
    parts = load_parts(spec_of(tiny_task))[1]
    assert not set(parts.train.text_a) & set(parts.validation.text_a)
    for seed in (3, 4, 5):
        data = json.loads((out.parent / f"model-seed{seed}" / "metrics.json").read_text())["manifest"]["data"]
        assert data == {
            "train": examples_digest(parts.train),
            "validation": examples_digest(parts.validation),
            "held_out": examples_digest(parts.held_out),
        }


@pytest.mark.slow
def test_the_first_seed_is_that_run_alone(
    trained: tuple[Path, dict, list[str]], tiny_task: TinyTask, tmp_path: Path
) -> None:
    train(spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.teacher), seed=3), tmp_path / "model.pt")
    assert weights(tmp_path / "model.pt") == weights(trained[0].parent / "model-seed3" / "model.pt")


def test_resuming_keeps_finished_seeds(tiny_task: TinyTask, tmp_path: Path, monkeypatch) -> None:
    """Cut off within the second seed; the first is not trained again, and neither is its teacher."""
    from spk2loihi.training.loop import Loop

    out, spec = tmp_path / "model.pt", spec_of(tiny_task)
    settings = replace(SMALL, teacher=str(tiny_task.teacher), checkpoint_every="1")
    optimise, steps = Loop._optimise, [0]

    def counted(self: Loop, *batch: object) -> float:
        steps[0] += 1
        if steps[0] == 18 + 18 + 5:  # teacher, first student, and some of the second
            raise KeyboardInterrupt
        return optimise(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_optimise", counted)
        with pytest.raises(KeyboardInterrupt):
            train_seeds(spec, settings, out, 2)
        first = (tmp_path / "model-seed0" / "model.pt").stat().st_mtime_ns
        assert not out.exists()
        steps[0] = 100
        report: list[str] = []
        metrics = train_seeds(spec, settings, out, 2, resume=True, report=report.append).metrics
    assert steps[0] == 100 + 18 - 4
    assert (tmp_path / "model-seed0" / "model.pt").stat().st_mtime_ns == first
    assert f"{tmp_path / 'model-seed0' / 'model.pt'} is finished" in report
    assert len(metrics["seeds"]["runs"]) == 2
    again = train_seeds(spec, settings, out, 2, resume=True).metrics  # nothing is left to do
    assert again == metrics


def test_a_finished_seed_of_another_teacher_is_trained_again(tiny_task: TinyTask, tmp_path: Path) -> None:
    spec, settings = spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.teacher))
    train_seeds(spec, replace(settings, seed=1), tmp_path / "model.pt", 1)
    before = weights(tmp_path / "model-seed1" / "model.pt")
    metrics = train_seeds(spec, settings, tmp_path / "model.pt", 2, resume=True).metrics
    assert weights(tmp_path / "model-seed1" / "model.pt") != before
    runs = [json.loads((tmp_path / f"model-seed{s}" / "metrics.json").read_text()) for s in (0, 1)]
    assert len({run["teacher_tuning"]["sha256"] for run in runs}) == 1
    assert [run["seed"] for run in metrics["seeds"]["runs"]] == [0, 1]


def test_on_the_command_line(tiny_task: TinyTask, tmp_path: Path) -> None:
    ran = spk2loihi(
        "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--timesteps", 8, "--max-tokens", 16,
        "--batch-size", 20, "--epochs", 1, "--seeds", 2, "-o", tmp_path / "a.pt", "--json", tmp_path / "a.json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "a.json").read_text())["seeds"]
    for run in record["runs"]:
        assert f"seed {run['seed']}: held-out accuracy {100 * run['score']:.2f} %" in ran.out
    spread = f"{100 * record['std']:.2f} %"
    assert f"mean of 2 seeds: held-out accuracy {100 * record['mean']:.2f} %, standard deviation {spread}" in ran.out
    assert "of the teacher's" in ran.out and "60 held-out sentences alone" in ran.out
    assert f"seed {record['chosen']} has the best validation accuracy" in ran.out
    assert names(tmp_path) == {"a.pt", "a.json", "a.pt.run.yaml", "metrics.json", "a-seed0", "a-seed1"}


def test_in_memory_and_wrong_numbers(tiny_task: TinyTask) -> None:
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file, "teacher": str(tiny_task.tuned)}
    result = s2l.train(out=None, seeds=2, timesteps=8, max_tokens=16, batch_size=50, epochs=1, **files)
    assert result.path is None and len(result.metrics["seeds"]["runs"]) == 2
    with pytest.raises(UserError, match="`seeds` is 0, but it is a whole number from 1 to 100"):
        s2l.train(seeds=0, **files)
    with pytest.raises(UserError, match="`seed` is 4294967296"):
        s2l.train(seeds=2, seed=2**32 - 1, out=None, **files)


def test_a_loss_is_chosen_by_the_least() -> None:
    runs = [
        {
            "settings": {"seed": seed}, "score": loss, "scores": None, "metric": "distillation_loss",
            "best": {"step": 1, "epoch": 1, "distillation_loss": loss},
        }
        for seed, loss in enumerate((0.3, 0.2, 0.2))
    ]  # fmt: skip
    found = module.summary(runs)
    assert found["chosen"] == 1
    assert "retained" not in found and "sampling_error" not in found
