"""Students as Hugging Face keeps models: folders and repositories of the hub, with tokenizer, task and model card."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import exists, fill_folder, open_regular, read_limited, sha256, write_json
from spk2loihi.json_file import read_json
from spk2loihi.models import SpikingBertConfig
from spk2loihi.results import is_student
from spk2loihi.temporary_files import temporary_folder
from spk2loihi.training.checkpoint import Checkpoint, load_checkpoint, make_checkpoint
from spk2loihi.training.model_card import CARD_MARK, model_card

TASK_FILE = "task.json"  # beside the files of a Hugging Face folder
_CONFIG_FILE, _TOKENIZER_FILE, _WEIGHTS_FILE, _CARD_FILE = (
    "config.json", "tokenizer.json", "model.safetensors", "README.md",
)  # fmt: skip
_READ = (_CONFIG_FILE, _TOKENIZER_FILE, TASK_FILE, _WEIGHTS_FILE)
_WRITTEN = (*_READ, "model.safetensors.index.json", "tokenizer_config.json", _CARD_FILE)
_TOKENIZER_MAX, _RECORD_MAX = 1 << 27, 1 << 24  # bytes of a tokenizer.json and of a task.json
_TEXT_MAX = 100_000  # characters of a text in a task.json
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?<!\.pt)")


def load_student(source: Path) -> Checkpoint:
    """A student from a `model.pt`, a folder of `save_pretrained`, or a repository of the hub (``owner/name``).

    Raises:
        UserError: there is none, or it is damaged.
    """
    if exists(source):
        return load_pretrained(source) if source.is_dir() else load_checkpoint(source)
    return load_pretrained(_downloaded(source)) if _HUB_ID.fullmatch(str(source)) else load_checkpoint(source)


def student_digest(source: Path) -> str | None:
    """SHA-256 of a `model.pt`, or of the weights in a folder; None for a repository of the hub."""
    if not exists(source):
        return None
    return sha256(source / _WEIGHTS_FILE if source.is_dir() else source)


def save_pretrained(checkpoint: Checkpoint, folder: Path, force: bool = False) -> None:
    """Write a Hugging Face folder: weights, configuration, tokenizer, model card, and the task in ``task.json``.

    A ``README.md`` that is there and was not made here stays.

    Args:
        force: replace files of these names in a folder that holds something else.

    Raises:
        UserError: the folder cannot be written, or holds another model.
    """
    there = [name for name in _WRITTEN if os.path.lexists(folder / name)]
    if there and not force and not is_student(folder):
        raise UserError(
            f"folder {folder} holds a {there[0]} that is no student of spk2loihi: choose another `folder`, or replace "
            "it with `force`"
        )
    own_card = not exists(folder / _CARD_FILE) or CARD_MARK in (folder / _CARD_FILE).read_text("utf-8", "replace")
    fill_folder(
        folder, lambda new: _write(checkpoint, new, own_card or force), (SafetensorError, RuntimeError), "folder"
    )


def _write(checkpoint: Checkpoint, folder: Path, card: bool) -> None:
    from transformers import PreTrainedTokenizerFast

    model = checkpoint.model
    model.save_pretrained(folder)
    tokenizer = Tokenizer.from_str(checkpoint.tokenizer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=tokenizer.id_to_token(model.config.pad_token_id or 0),
        model_max_length=model.config.max_tokens,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    (folder / _TOKENIZER_FILE).write_text(checkpoint.tokenizer, encoding="utf-8")  # as it was, to the letter
    write_json(folder / TASK_FILE, {"task": checkpoint.task, "training": checkpoint.training}, "folder")
    if card:
        (folder / _CARD_FILE).write_text(model_card(checkpoint), encoding="utf-8")


def push_to_hub(checkpoint: Checkpoint, repository: str, private: bool = False) -> str:
    """Write a folder of `save_pretrained` to a repository of the hub, which is made if it is not there; its address.

    Hugging Face's own login is used (`hf auth login`).

    Args:
        repository: ``owner/name``.

    Raises:
        UserError: it cannot be written.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with temporary_folder() as folder:
        save_pretrained(checkpoint, folder)
        try:
            made = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=made.repo_id, folder_path=folder, commit_message="Spiking student, with its model card"
            )
        except Exception as error:  # whatever the client and those it calls raise
            raise UserError(
                f"the student cannot be written to {repository} of the hub ({first_line(error)}): log in with hf auth "
                "login, and give an id that you may write to"
            ) from None
    return str(made)


def load_pretrained(folder: Path) -> Checkpoint:
    """Read what `save_pretrained` wrote.

    Raises:
        UserError: a file is missing or damaged, or the folder holds another kind of model.
    """
    for name in _READ:
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
        return make_checkpoint(config, weights, tokenizer.decode("utf-8"), record["task"], record["training"])
    except UserError as error:
        raise UserError(f"folder {folder} is incomplete or inconsistent ({error})") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"folder {folder} is incomplete or inconsistent ({first_line(error)}): save it again") from None
    except SafetensorError as error:
        raise UserError(f"folder {folder} cannot be read ({first_line(error)}): save it again") from None


def _downloaded(source: Path) -> Path:
    """The files of a repository of the hub that are read, in Hugging Face's cache."""
    from huggingface_hub import snapshot_download

    try:
        folder: Any = snapshot_download(str(source), allow_patterns=list(_READ))
    except Exception as error:  # whatever the client and those it calls raise
        raise UserError(
            f"student {source} is no file or folder here, and cannot be read from the hub ({first_line(error)}): give "
            "a model.pt, a folder of save_pretrained, or an id reachable from this machine"
        ) from None
    return Path(folder)
