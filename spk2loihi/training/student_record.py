"""What a file says a student is, and whether that holds: checked before anything is computed with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import torch
from msgspec import Meta, Struct

from spk2loihi.data import TaskSpec, read_tokenizer
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.file_meta import Provenance, checked
from spk2loihi.ranges import RANGES

_LOG_THRESHOLD_MAX = 30.0  # e**30: far beyond any activation
_CHANNEL_EXPONENT_MAX = 62
_PLAIN_MAX = 100_000  # values in a record of a training
_DEPTH_MAX = 32
_VOCABULARY_MAX = 1 << 22


def _whole(name: str) -> Any:
    return Meta(ge=int(RANGES[name].least), le=int(RANGES[name].most))


_Share = Annotated[float, Meta(ge=0, lt=1)]


class _StudentConfig(Struct):
    """Fields of `SpikingBertConfig`; those of Hugging Face that it ignores are dropped."""

    hidden_size: Annotated[int, _whole("hidden")]
    num_hidden_layers: Annotated[int, _whole("layers")]
    num_attention_heads: Annotated[int, _whole("heads")]
    intermediate_size: Annotated[int, _whole("intermediate")]
    vocab_size: Annotated[int, Meta(ge=1, le=_VOCABULARY_MAX)]
    max_position_embeddings: Annotated[int, Meta(ge=1, le=1 << 20)]
    type_vocab_size: Annotated[int, Meta(ge=1, le=1024)]
    preset: Annotated[str, Meta(max_length=40)]
    timesteps: int
    weight_bits: float
    signed: bool
    max_tokens: Annotated[int, _whole("max_tokens")]
    quantised: bool
    id2label: dict[int, str]
    leak: _Share = 0.0
    feedback: _Share = 0.0
    solver: Annotated[str, Meta(max_length=40)] = "anderson"
    gradient: Annotated[str, Meta(max_length=40)] = "solver"
    gradient_steps: Annotated[int, _whole("gradient_steps")] = 64
    hidden_act: Annotated[str, Meta(max_length=40)] = "gelu"
    head: Annotated[str, Meta(max_length=40)] = "tanh"
    embedding_size: Annotated[int, _whole("hidden")] | None = None
    relative_positions: bool = False
    layer_norm_eps: Annotated[float, Meta(ge=0, le=1)] = 1e-12
    problem_type: Literal["multi_label_classification"] | None = None
    pad_token_id: Annotated[int, Meta(ge=0, le=_VOCABULARY_MAX)] | Literal[None] = 0
    model_type: Literal["spiking-bert"] = "spiking-bert"


def read_config(record: Any) -> SpikingBertConfig:
    """Raises ValueError, or UserError, for sizes no student has."""
    if not isinstance(record, Mapping):
        raise ValueError("its configuration is no dictionary")
    known = {name: value for name, value in record.items() if name in _StudentConfig.__struct_fields__}
    try:
        config = msgspec.convert(known, _StudentConfig, strict=not _keys_are_text(known))
    except msgspec.ValidationError as error:
        raise ValueError(f"configuration: {error}") from None
    if sorted(config.id2label) != list(range(len(config.id2label))) or len(config.id2label) not in RANGES["labels"]:
        raise ValueError("configuration: id2label does not number the labels from 0")
    if config.max_tokens < 3:
        raise ValueError(f"configuration: max_tokens is {config.max_tokens}, and [CLS], a word and [SEP] are three")
    if (config.pad_token_id or 0) >= config.vocab_size:
        raise ValueError(f"configuration: pad_token_id {config.pad_token_id} of {config.vocab_size} words")
    fields = {name: getattr(config, name) for name in known}
    return SpikingBertConfig(
        **{**fields, "pad_token_id": config.pad_token_id or 0},
        label2id={label: number for number, label in config.id2label.items()},
    )


def _keys_are_text(record: dict[str, Any]) -> bool:
    """JSON has no other keys."""
    labels = record.get("id2label")
    return isinstance(labels, dict) and all(isinstance(key, str) for key in labels)


def build_model(config: SpikingBertConfig, weights: Any) -> SpikingBertForSequenceClassification:
    """The student with those weights, whose names, shapes and types are compared before any memory is taken.

    Raises:
        ValueError: they are not those of the configuration, or not finite.
    """
    if not isinstance(weights, Mapping):
        raise ValueError("it has no weights")
    with torch.device("meta"):
        expected = SpikingBertForSequenceClassification(config).state_dict()
    for name in (*expected, *weights):
        if name not in weights or name not in expected:
            raise ValueError(f"weights: {str(name)[:80]} is {'missing' if name in expected else 'unknown'}")
        tensor, wanted = weights[name], expected[name]
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise ValueError(f"weights: {name} is no tensor of numbers")
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(f"weights: {name} is {_kind(tensor)}, where the configuration makes it {_kind(wanted)}")
        if not tensor.is_contiguous():
            raise ValueError(f"weights: {name} is not contiguous")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"weights: {name} holds NaN or infinity")
        _check_range(name, tensor)
    model = SpikingBertForSequenceClassification(config)
    model.load_state_dict(dict(weights))
    return model.eval()


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _check_range(name: str, tensor: torch.Tensor) -> None:
    """Logarithms and exponents, of which the power must not overflow."""
    part = name.rsplit(".", 1)[-1]
    limits = {
        "log_threshold": (-_LOG_THRESHOLD_MAX, _LOG_THRESHOLD_MAX),
        "channel_exponent": (-_CHANNEL_EXPONENT_MAX, _CHANNEL_EXPONENT_MAX),
        "column_exponent": (0, 7),
        "step_ratio": (1e-6, 1e6),
    }
    if part in limits and tensor.numel():
        least, most = limits[part]
        low, high = float(tensor.min()), float(tensor.max())
        whole = not part.endswith("exponent") or bool((tensor == tensor.round()).all())
        if not least <= low <= high <= most or not whole:
            kind = "whole numbers " if part.endswith("exponent") else ""
            raise ValueError(f"weights: {name} is {low:g} to {high:g}, but it is {kind}from {least:g} to {most:g}")


def check_record(config: SpikingBertConfig, tokenizer: Any, task: Any, training: Any) -> None:
    """Raises ValueError, or UserError, where tokenizer, task and record of the training do not fit the student."""
    if not isinstance(tokenizer, str):
        raise ValueError("its tokenizer is no text")
    vocabulary = read_tokenizer(tokenizer).get_vocab(with_added_tokens=True)
    if not vocabulary or max(vocabulary.values()) >= config.vocab_size:
        raise ValueError(f"its tokenizer does not have the {config.vocab_size} words of the embedding")
    if not isinstance(task, dict) or not isinstance(training, dict):
        raise ValueError("its task and the record of its training are no dictionaries")
    labels = TaskSpec.from_dict(task).labels
    names = [config.id2label[number] for number in range(config.num_labels)]
    if labels != names:
        raise ValueError(f"its task has {len(labels)} labels, {_few(labels)}, and the student {_few(names)}")
    _check_plain(training)
    checked({"training": training}, Provenance, "record of the training")


def _few(names: list[str]) -> str:
    return ", ".join(name[:30] for name in names[:3]) + ("…" if len(names) > 3 else "")


def _check_plain(record: Any) -> None:
    """What JSON can hold, and not too much of it: a file can name one list in another, many times over."""
    todo, count = [(record, 0)], 0
    while todo:
        value, depth = todo.pop()
        count += 1
        if count > _PLAIN_MAX or depth > _DEPTH_MAX:
            raise ValueError("the record of its training is too large or nested too deep")
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise ValueError("the record of its training has keys that are no text")
            todo += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, (list, tuple)):
            if len(value) > _PLAIN_MAX:
                raise ValueError("the record of its training is too large")
            todo += [(each, depth + 1) for each in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("the record of its training has a number that is not finite")
        elif not isinstance(value, (str, int, float, type(None))) or (
            isinstance(value, int) and not -(2**63) <= value < 2**63
        ):
            raise ValueError(f"the record of its training holds a {type(value).__name__}")
