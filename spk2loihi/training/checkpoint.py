"""`model.pt`: one file with weights, configuration, tokenizer and task, loadable without unpickling code."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import Write, exists, fill_folder, open_regular, read_limited, write_atomically, write_json
from spk2loihi.json_file import read_json
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.results import is_student
from spk2loihi.training.student_record import build_model, check_record, read_config
from spk2loihi.training.tensor_file import load_tensors

FORMAT = "spk2loihi-model"
VERSION = 1
_RECORDS = ("tokenizer", "task", "training")
_CONFIG_FILE, _TOKENIZER_FILE, _WEIGHTS_FILE = "config.json", "tokenizer.json", "model.safetensors"
_TOKENIZER_MAX, _RECORD_MAX = 1 << 27, 1 << 24  # bytes of a tokenizer.json and of a task.json
_TEXT_MAX = 100_000  # characters of a text in a task.json
TASK_FILE = "task.json"  # beside the files of a Hugging Face folder


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
        return _checkpoint(content["config"], content["state_dict"], *(content[name] for name in _RECORDS))
    except UserError as error:
        raise UserError(f"model file {path} is incomplete or inconsistent ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(
            f"model file {path} is incomplete or inconsistent ({first_line(error)}): train it again"
        ) from None


def _checkpoint(config: Any, weights: Any, tokenizer: Any, task: Any, training: Any) -> Checkpoint:
    """Raises ValueError, UserError or others where the parts are damaged or do not fit one another."""
    known = read_config(config)
    check_record(known, tokenizer, task, training)
    return Checkpoint(build_model(known, weights), tokenizer, task, training)


def save_pretrained(checkpoint: Checkpoint, folder: Path, force: bool = False) -> None:
    """Write a Hugging Face folder: weights, configuration, ``tokenizer.json``, and the task in ``task.json``.

    Args:
        force: replace files of these names in a folder that holds something else.

    Raises:
        UserError: the folder cannot be written, or holds another model.
    """
    names = ("config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json", TASK_FILE)
    there = [name for name in names if os.path.lexists(folder / name)]
    if there and not force and not is_student(folder):
        raise UserError(
            f"folder {folder} holds a {there[0]} that is no student of spk2loihi: choose another `folder`, or replace "
            "it with `force`"
        )

    def write(new: Path) -> None:
        checkpoint.model.save_pretrained(new)
        (new / "tokenizer.json").write_text(checkpoint.tokenizer, encoding="utf-8")
        write_json(new / TASK_FILE, {"task": checkpoint.task, "training": checkpoint.training}, "folder")

    fill_folder(folder, write, (SafetensorError, RuntimeError), "folder")


def load_pretrained(folder: Path) -> Checkpoint:
    """Read what `save_pretrained` wrote.

    Raises:
        UserError: a file is missing or damaged, or the folder holds another kind of model.
    """
    for name in (_CONFIG_FILE, _TOKENIZER_FILE, TASK_FILE, _WEIGHTS_FILE):
        if not exists(folder / name):
            raise UserError(
                f"folder {folder} has no {name}: give one that TrainingResult.save_pretrained wrote, or a model.pt"
            )
    remedy = "save it again with TrainingResult.save_pretrained"
    config = read_json(folder / _CONFIG_FILE, "configuration", remedy)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != SpikingBertConfig.model_type:
        raise UserError(
            f"folder {folder} holds a {kind} model, but only a {SpikingBertConfig.model_type} student can be exported: "
            "train one first"
        )
    record = read_json(folder / TASK_FILE, "task file", remedy, _RECORD_MAX, _TEXT_MAX)
    tokenizer = read_limited(folder / _TOKENIZER_FILE, "tokenizer", remedy, _TOKENIZER_MAX)
    open_regular(folder / _WEIGHTS_FILE, "weights", remedy).close()
    try:
        weights = load_file(folder / _WEIGHTS_FILE)
        return _checkpoint(config, weights, tokenizer.decode("utf-8"), record["task"], record["training"])
    except UserError as error:
        raise UserError(f"folder {folder} is incomplete or inconsistent ({error})") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"folder {folder} is incomplete or inconsistent ({first_line(error)}): save it again") from None
    except SafetensorError as error:
        raise UserError(f"folder {folder} cannot be read ({first_line(error)}): save it again") from None
