"""Fine-tuning a teacher without a classifier on the task, and keeping it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer

from spk2loihi.errors import UserError
from spk2loihi.training.evaluation import LabelledData
from spk2loihi.training.loop import Criterion, Loop, LoopSettings
from spk2loihi.training.objective import FineTuning
from spk2loihi.training.run_state import RunState
from spk2loihi.training.teacher import Teacher


def fine_tune(
    teacher: Teacher,
    train: LabelledData,
    criterion: Criterion,
    settings: LoopSettings,
    accelerator: Accelerator,
    state: RunState,
    home: Path,
    report: Callable[[str], None],
    regression: bool,
) -> dict[str, float]:
    """Fine-tune ``teacher`` in place, keep it in the folder ``home``, and return its held-out scores.

    A regression is learned on standardised labels, so that their unit does not matter to the learning rate, and the
    classifier then rescaled to the labels' own.
    """
    scale = (float(train.labels.mean()), float(train.labels.std()) or 1.0) if regression else None
    loop = Loop(FineTuning(teacher.model, scale), train, criterion, settings, accelerator, state, "teacher", report)
    best = loop.run().best
    assert best is not None  # there is at least one epoch
    if scale is not None:
        classifier = teacher.model.classifier
        with torch.no_grad():
            classifier.weight.mul_(scale[1])
            classifier.bias.mul_(scale[1]).add_(scale[0])
    if accelerator.is_main_process:
        _keep(teacher, home)
    accelerator.wait_for_everyone()
    return {name: value for name, value in best.items() if name not in ("step", "epoch")}


def _keep(teacher: Teacher, home: Path) -> None:
    """Write the folder under another name, then rename: a killed run leaves it whole or as it was."""
    new, old = (home.with_name(f".{home.name}.{os.getpid()}.{which}.tmp") for which in ("new", "old"))
    try:
        teacher.model.save_pretrained(new)
        Tokenizer.from_str(teacher.tokenizer).save(str(new / "tokenizer.json"))
        if home.exists():
            os.replace(home, old)
        os.replace(new, home)
    except OSError as error:
        raise UserError(f"{home} cannot be written ({error.strerror or error}): choose another place with -o") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
