"""Copies of the tiny teacher with other weights and configurations, and what becomes of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import spk2loihi as s2l
from spk2loihi.data import load_held_out, task_spec
from spk2loihi.training.evaluation import evaluate
from spk2loihi.training.sentences import labelled
from spk2loihi.training.teacher import Teacher, load_teacher
from support.tiny_task import TinyTask

LABELS = ["neg", "pos"]


def accuracy(teacher: Teacher, task: TinyTask) -> float:
    spec = task_spec(train_file=task.train_file, dev_file=task.dev_file, labels=LABELS)
    data, _ = labelled(Tokenizer.from_str(teacher.tokenizer), load_held_out(spec), 32, spec)
    return evaluate(teacher.model, data, ["accuracy"], 0)["accuracy"]


def edited(task: TinyTask, place: Path, weights: Callable[[dict], dict] | None = None, **config: Any) -> Path:
    """A copy of the tuned teacher with other weights, and other fields of its configuration; ``...`` removes one."""
    shutil.copytree(task.tuned, place)
    record = {**json.loads((place / "config.json").read_text()), **config}
    (place / "config.json").write_text(json.dumps({k: v for k, v in record.items() if v is not ...}))
    if weights is not None:
        save_file(weights(load_file(place / "model.safetensors")), place / "model.safetensors", {"format": "pt"})
    return place


def swapped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, **{n: weights[n].flip(0).contiguous() for n in ("classifier.weight", "classifier.bias")}}


def refusal(source: Path | None, words: str, labels: list[str] = LABELS) -> str:
    with pytest.raises(s2l.UserError, match=words) as error:
        load_teacher(str(source), labels)
    assert "\n" not in str(error.value)
    assert str(source) in str(error.value)
    return str(error.value)
