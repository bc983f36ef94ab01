"""One training with several seeds: the mean and the spread of a score, rather than one draw of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spk2loihi.data import TaskSpec
from spk2loihi.files import json_writer, write_together
from spk2loihi.outputs import Output
from spk2loihi.ranges import check_number
from spk2loihi.temporary_files import temporary_folder
from spk2loihi.training.checkpoint import checkpoint_writer, load_checkpoint
from spk2loihi.training.processes import is_main_process
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher
from spk2loihi.training.train import TrainingResult, outputs, teacher_folder, train
from spk2loihi.training.watching import Callback


def train_seeds(
    spec: TaskSpec,
    settings: TrainSettings,
    out: Path | None,
    seeds: int,
    *,
    teacher: Teacher | None = None,
    resume: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Callback] = (),
    log_with: str | None = None,
) -> TrainingResult:
    """Train with ``seeds`` seeds from `TrainSettings.seed` on; the result is the student that validation chooses.

    A teacher without a classifier is fine-tuned once, by the first seed, into ``teacher`` beside ``out``, and teaches
    every student. Each student is kept in a folder beside ``out`` (`seed_folder`), and the chosen one in ``out`` as
    well, with a record ``seeds`` in its metrics (`summary`).

    Args:
        out, teacher, force, callbacks, log_with: as of `train`.
        resume: students that are finished are kept, and the one that is not goes on.
    """
    check_number("seeds", seeds)
    for number in (settings.seed, settings.seed + seeds - 1):
        check_number("seed", number)
    if out is None:
        with temporary_folder() as folder:
            result = train_seeds(
                spec, settings, folder / "model.pt", seeds, teacher=teacher, report=report, callbacks=callbacks
            )
        return replace(result, path=None)
    runs: list[dict[str, Any]] = []
    for seed in range(settings.seed, settings.seed + seeds):
        report(f"seed {seed}")
        result = train(
            spec,
            replace(settings, seed=seed),
            seed_folder(out, seed) / out.name,
            teacher=teacher,
            home=teacher_folder(out),
            tuned=runs[0].get("teacher_tuning") if runs else None,
            resume=resume,
            force=force,
            report=report,
            callbacks=callbacks,
            log_with=log_with,
        )
        runs.append(result.metrics)
    chosen = _chosen(runs)
    seed = runs[chosen]["settings"]["seed"]
    checkpoint = load_checkpoint(seed_folder(out, seed) / out.name)
    checkpoint.training["seeds"] = summary(runs)
    if is_main_process():
        write_together(
            {
                out: checkpoint_writer(checkpoint),
                out.with_name("metrics.json"): json_writer(checkpoint.training),
            }
        )
    return TrainingResult(checkpoint, checkpoint.training, out)


def seed_folder(out: Path, seed: int) -> Path:
    """Of one student: ``model-seed1`` beside ``model.pt``."""
    return out.with_name(f"{out.stem}-seed{seed}")


def seed_outputs(out: Path, first: int, seeds: int) -> list[Output]:
    """What `train_seeds` writes, but for a teacher."""
    own = [each for each in outputs(out) if each.kind is not None]  # a state is one student's
    return own + [
        output for seed in range(first, first + seeds) for output in outputs(seed_folder(out, seed) / out.name)
    ]


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and spread of the scores of several runs.

    Args:
        runs: metrics of each.

    Returns:
        runs: ``seed``, ``score`` and ``scores`` (held-out), and ``best`` (the evaluation that was chosen) of each.
        mean, std: of the score; the standard deviation is that of a sample, and null for a single run.
        chosen: seed with the best chosen evaluation, the first of equals.
        retained: ``mean`` and ``standard_error`` over seeds of the student's score in units of its teacher's, which is
        held fixed; where the teacher was scored.
        sampling_error: standard error of one accuracy over so many held-out sentences; of accuracies.
    """
    scores = np.array([run["score"] for run in runs], dtype=np.float64)  # (seeds,)
    mean, count = float(scores.mean()), len(runs)
    std = float(scores.std(ddof=1)) if count > 1 else None
    found: dict[str, Any] = {
        "runs": [
            {"seed": run["settings"]["seed"], "score": run["score"], "scores": run["scores"], "best": run["best"]}
            for run in runs
        ],
        "mean": mean,
        "std": std,
        "chosen": runs[_chosen(runs)]["settings"]["seed"],
    }
    teacher = runs[0].get("teacher_score")
    if teacher:
        error = None if std is None else std / math.sqrt(count) / teacher
        found["retained"] = {"mean": mean / teacher, "standard_error": error}
    if runs[0]["metric"] == "accuracy":
        sentences = runs[0]["manifest"]["data"]["held_out"]["examples"]
        found["sampling_error"] = math.sqrt(mean * (1 - mean) / sentences)
    return found


def _chosen(runs: Sequence[Mapping[str, Any]]) -> int:
    """Index of the run whose chosen evaluation is the best."""
    sign = -1 if runs[0]["scores"] is None else 1  # a loss, where nothing is scored
    return max(range(len(runs)), key=lambda i: (sign * runs[i]["best"][runs[i]["metric"]], -i))
