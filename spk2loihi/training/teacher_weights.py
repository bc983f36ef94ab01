"""Whether a teacher's weights are those of its configuration: all there, of the right shapes, and finite."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from spk2loihi.errors import UserError
from spk2loihi.training.families import Family
from spk2loihi.training.teacher_config import some

_FLOATS = ("F64", "F32", "F16", "BF16")
_QUANTISED = re.compile(
    r"\.(SCB|absmax|quant_state\S*|weight_format|qweight|qzeros|scales?|zero_points?|_packed_params\S*)$"
)
_BUFFERS = re.compile(r"(^|\.)(position_ids|token_type_ids)$")
_HEADER_LIMIT = 100_000_000  # bytes, as safetensors has it


def check_loaded(
    model: PreTrainedModel, report: Mapping[str, Any], family: Family, classifies: bool, teacher: str
) -> list[str]:
    """What to say about weights that were loaded, as lines.

    Args:
        report: of `from_pretrained` with `output_loading_info`.
        classifies: the classifier is part of the teacher, and not to be fine-tuned first.

    Raises:
        UserError: some are missing, or of another shape, and would be random.
    """
    fresh = family.fresh if not classifies else ()
    pooler = f"{family.encoder}.pooler."  # of a language model there is none: fine-tuning makes one
    all_names = list(model.state_dict())
    wrong = {
        key: (theirs, ours) for key, theirs, ours in report["mismatched_keys"] if not key.startswith(fresh or "\\0")
    }
    for key in all_names:
        if key in wrong:
            theirs, ours = (" x ".join(map(str, shape)) for shape in wrong[key])
            others = f", and so on for {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise UserError(
                f"teacher {teacher} has weights {key} of shape {theirs} where its configuration has "
                f"{ours}{others}: give "
                "the configuration the weights were trained with"
            )
    unexpected = sorted(key for key in report["unexpected_keys"] if not _BUFFERS.search(key))
    if not any(key.startswith(pooler) for key in all_names):  # a tagger has none, and misses nothing
        unexpected = [key for key in unexpected if not key.startswith((pooler, "pooler."))]
    if quantised := [key for key in unexpected if _QUANTISED.search(key)]:
        raise UserError(
            f"teacher {teacher} holds quantised weights ({some(quantised)}), but only floats can be distilled: save it "
            "without quantisation"
        )
    allowed = (*fresh, pooler) if not classifies else ()
    missing = [key for key in all_names if key in report["missing_keys"]]
    lacking = [key for key in missing if not allowed or not key.startswith(allowed)]
    if lacking:
        instead = f", and holds others ({some(unexpected)})" if unexpected else ""
        raise UserError(
            f"teacher {teacher} lacks {len(lacking)} of {len(all_names)} weights ({some(lacking)}){instead}: save "
            "the whole "
            "model with save_pretrained, so that no weight has to be made up"
        )
    notes = []
    if any(key.startswith(pooler) for key in missing):
        notes.append(
            f"teacher {teacher}: it has no pooler, which starts at random and is fine-tuned with the classifier"
        )
    if unexpected:
        notes.append(
            f"teacher {teacher}: {len(unexpected)} of its weights are not part of a {family.name} classifier and are "
            f"left out ({some(unexpected)})"
        )
    return notes


def check_structure(model: PreTrainedModel, teacher: str) -> None:
    """Refuse a model in memory whose weights are not those of its configuration: layers taken out, or put in."""
    with torch.device("meta"):
        plain = type(model)(model.config).state_dict()
    own = {name: getattr(value, "shape", None) for name, value in model.state_dict().items()}
    wrong = [name for name in {**plain, **own} if name not in plain or own.get(name) != plain[name].shape]
    if wrong:
        raise UserError(
            f"teacher {teacher} is not the model of its configuration, from which {some(wrong)} differ: give a "
            f"{type(model).__name__} as from_pretrained makes it"
        )
    unfit = [n for n, value in model.state_dict().items() if value.is_meta or not value.is_floating_point()]
    if unfit:
        raise UserError(
            f"teacher {teacher} has weights that are not numbers in memory, or no floats ({some(unfit)}): load it "
            "without "
            "quantisation or a device map"
        )


def check_finite(model: nn.Module, teacher: str) -> None:
    bad = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
    if bad:
        raise UserError(
            f"teacher {teacher} has weights that are not finite, in {some(bad)}: its training has failed, or its "
            "file is "
            "damaged; give another"
        )


def check_precision(folder: Path) -> None:
    """Refuse files of a folder with weights that are no floats, and would be taken for some.

    What cannot be read is left to the loading itself.
    """
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(size)) if size <= _HEADER_LIMIT else {}
            kinds = {name: record["dtype"] for name, record in header.items() if name != "__metadata__"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error):
            continue
        _check_kinds(kinds, {name for name, kind in kinds.items() if kind not in _FLOATS}, folder)
    if any(folder.glob("*.safetensors")):
        return
    for path in sorted(folder.glob("pytorch_model*.bin")):
        try:
            tensors = torch.load(path, map_location="meta", weights_only=True)
            kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
            floats = ("float64", "float32", "float16", "bfloat16")
        except Exception:
            continue
        _check_kinds(kinds, {name for name, kind in kinds.items() if kind not in floats}, folder)


def _check_kinds(kinds: Mapping[str, str], unfit: set[str], folder: Path) -> None:
    weights = sorted(name for name in unfit if not _BUFFERS.search(name))
    if weights:
        raise UserError(
            f"teacher {folder} holds quantised weights ({kinds[weights[0]]} in {some(weights)}), but only floats "
            "can be "
            "distilled: save it without quantisation"
        )
