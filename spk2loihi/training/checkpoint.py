"""`model.pt`: one file with weights, configuration, tokenizer and task, loadable without unpickling code."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import Write, write_atomically
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.training.student_record import build_model, check_record, read_config
from spk2loihi.training.tensor_file import load_tensors

FORMAT = "spk2loihi-model"
VERSION = 1
_RECORDS = ("tokenizer", "task", "training")


@dataclass
class Checkpoint:
    """A trained student and everything needed to use it.

    Attributes:
        tokenizer: contents of a Hugging Face `tokenizer.json`.
        task: a `spk2loihi.data.TaskSpec` as a dictionary.
        training: seed, scores, teacher, versions: what made the weights.
    """

    model: SpikingBertForSequenceClassification
    tokenizer: str
    task: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    write_atomically(path, checkpoint_writer(checkpoint))


def checkpoint_writer(checkpoint: Checkpoint) -> Write:
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": checkpoint.model.config.to_dict(),
        "state_dict": checkpoint.model.state_dict(),
        "tokenizer": checkpoint.tokenizer,
        "task": checkpoint.task,
        "training": checkpoint.training,
    }
    return lambda sink: torch.save(content, cast(Any, sink))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read `model.pt`.

    Raises:
        UserError: the file is missing, damaged, not a spk2loihi model, of another version, or holds pickled code.
    """
    content = load_tensors(path, "model file")
    if content.get("format") != FORMAT:
        raise UserError(f"model file {path} was not written by spk2loihi train: train a student first")
    if content.get("version") != VERSION:
        raise UserError(
            f"model file {path} has format version {content.get('version')}, but this program reads version {VERSION}: "
            "train it again or use the matching spk2loihi"
        )
    try:
        return make_checkpoint(content["config"], content["state_dict"], *(content[name] for name in _RECORDS))
    except UserError as error:
        raise UserError(f"model file {path} is incomplete or inconsistent ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(
            f"model file {path} is incomplete or inconsistent ({first_line(error)}): train it again"
        ) from None


def make_checkpoint(config: Any, weights: Any, tokenizer: Any, task: Any, training: Any) -> Checkpoint:
    """Of the parts of a file; raises ValueError, UserError or others where they are damaged or do not fit together."""
    known = read_config(config)
    check_record(known, tokenizer, task, training)
    return Checkpoint(build_model(known, weights), tokenizer, task, training)
