"""`model.pt`: one file with weights, configuration, tokenizer and task, loadable without unpickling code."""

from __future__ import annotations

import json
import os
import pickle
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import Write, fill_folder, write_atomically, write_json
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.results import is_student

FORMAT = "spk2loihi-model"
VERSION = 1
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


def load_tensors(path: Path, what: str) -> dict[str, Any]:
    """A dictionary of tensors and plain values written by `torch.save`, refusing anything that would execute code."""
    if not path.is_file():
        raise UserError(f"{what} {path} does not exist: make it first or name another file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{what} {path} is not a plain tensor file: it is damaged or holds pickled code, which is never loaded; "
            "use a file from someone you trust, written by spk2loihi train"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, struct.error) as error:
        raise UserError(
            f"{what} {path} cannot be read ({first_line(error)}): it is damaged or not a torch file; "
            "write it again with spk2loihi train"
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{what} {path} holds a {type(content).__name__}, not a spk2loihi model: use spk2loihi train")
    return content


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
        config = SpikingBertConfig(**content["config"])
        model = SpikingBertForSequenceClassification(config)
        model.load_state_dict(content["state_dict"])
        checkpoint = Checkpoint(model.eval(), content["tokenizer"], content["task"], content["training"])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(
            f"model file {path} is incomplete or inconsistent ({first_line(error)}): train it again"
        ) from None
    return checkpoint


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
    for name in ("config.json", "tokenizer.json", TASK_FILE):
        if not (folder / name).is_file():
            raise UserError(
                f"folder {folder} has no {name}: give one that TrainingResult.save_pretrained wrote, or a model.pt"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") != SpikingBertConfig.model_type:
            raise UserError(
                f"folder {folder} holds a {config.get('model_type')} model, but only a {SpikingBertConfig.model_type} "
                "student can be exported: train one first"
            )
        record = json.loads((folder / TASK_FILE).read_text(encoding="utf-8"))
        model, report = SpikingBertForSequenceClassification.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        if wrong := [*report["missing_keys"], *report["unexpected_keys"]]:
            raise UserError(
                f"folder {folder} does not hold the weights of its configuration ({wrong[0]}): save it again"
            )
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        return Checkpoint(model.eval(), tokenizer, record["task"], record["training"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"folder {folder} cannot be read ({first_line(error)}): save it again") from None
