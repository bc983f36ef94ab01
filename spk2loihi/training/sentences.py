"""Everything a run trains on and is scored on, tokenised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from spk2loihi.data import (
    Encoded,
    Examples,
    Parts,
    TaskSpec,
    lines_digest,
    load_corpus,
    targets,
    tokenise,
    tokenise_corpus,
)
from spk2loihi.errors import UserError
from spk2loihi.training.distillation_stages import Stage
from spk2loihi.training.evaluation import LabelledData
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher

#: One text of a corpus in so many is for validation, and at most so many are.
_VALIDATION_SHARE, _VALIDATION_MOST = 20, 512


@dataclass
class Sentences:
    """Of the task and, where a stage wants one, of the corpus: to train on, to choose by, and to score with.

    Attributes:
        validation: None: the held-out sentences choose.
        corpus: to train on, and for validation.
        digests: number and SHA-256 of the examples by part, for the manifest.
    """

    train: LabelledData
    validation: LabelledData | None
    held_out: LabelledData
    pad_id: int
    corpus: tuple[LabelledData, LabelledData] | None = None
    digests: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        spec: TaskSpec,
        parts: Parts,
        teacher: Teacher,
        settings: TrainSettings,
        todo: list[Stage],
        report: Callable[[str], None],
    ) -> Sentences:
        """Tokenise with the teacher's tokenizer; UserError for a corpus that is missing, unfit or of no use."""
        wanted = any(stage.on_corpus for stage in todo)
        if wanted and settings.corpus is None:
            raise UserError("the general stage distils raw text, but no corpus is given: add a `corpus`")
        if settings.corpus is not None and not wanted:
            raise UserError(
                f"`corpus` {settings.corpus} is for general distillation, but the stage is {settings.stage}: add "
                "`stage` general or all, or leave it out"
            )
        tokenizer, limit = Tokenizer.from_str(teacher.tokenizer), settings.max_tokens
        train, cut = labelled(tokenizer, parts.train, limit, spec)
        held_out, _ = labelled(tokenizer, parts.held_out, limit, spec)
        validation = None if parts.validation is None else labelled(tokenizer, parts.validation, limit, spec)[0]
        _check_types(teacher, train, held_out, *([] if validation is None else [validation]))
        sentences = cls(train, validation, held_out, teacher.sizes.padding, digests=parts.digests())
        counted = f"{len(train.labels)} training"
        counted += "" if validation is None else f", {len(validation.labels)} validation"
        report(
            f"task {spec.name}: {counted} and {len(held_out.labels)} held-out sentences"
            + (f"; {cut} training sentences cut to {limit} tokens" if cut else "")
        )
        if settings.corpus is not None:
            lines = load_corpus(Path(settings.corpus))
            sentences.corpus = _parted(tokenise_corpus(tokenizer, lines, limit), settings.corpus)
            sentences.digests["corpus"] = lines_digest(lines)
            report(f"corpus {settings.corpus}: {len(sentences.corpus[0].encoded)} texts of up to {limit} tokens")
        return sentences

    def of(self, stage: Stage) -> tuple[LabelledData, LabelledData]:
        """What ``stage`` is trained on, and what chooses among its evaluations."""
        return self.corpus if stage.on_corpus and self.corpus is not None else (self.train, self.chooses)

    @property
    def chooses(self) -> LabelledData:
        return self.held_out if self.validation is None else self.validation

    @property
    def chosen_on(self) -> str:
        """Which part of the task chooses among evaluations."""
        return "held-out" if self.validation is None else "validation"


def _check_types(teacher: Teacher, *parts: LabelledData) -> None:
    known = teacher.sizes.types
    largest = max((int(e.token_type_ids.max()) for part in parts for e in part.encoded), default=0)
    if largest >= known:
        raise UserError(
            f"teacher {teacher.source} has {known} token type embedding, but the task has sentence pairs, whose "
            "second is "
            f"of type {largest}: choose a teacher with more, or leave `text_pair_column` out"
        )


def labelled(tokenizer: Tokenizer, examples: Examples, max_tokens: int, spec: TaskSpec) -> tuple[LabelledData, int]:
    """Examples of a task as training sees them, and how many were cut to ``max_tokens``."""
    tokenised = tokenise(tokenizer, examples, max_tokens, words=spec.answer == "tags")
    labels = targets(spec.metric, examples.labels, [one.first for one in tokenised.encoded])
    return LabelledData(tokenised.encoded, labels, spec.metric, tuple(spec.labels)), tokenised.truncated


def _parted(encoded: list[Encoded], corpus: str) -> tuple[LabelledData, LabelledData]:
    aside = set(range(0, len(encoded), _VALIDATION_SHARE)[:_VALIDATION_MOST])
    if len(encoded) <= len(aside):
        raise UserError(f"corpus {corpus} holds {len(encoded)} text where at least 2 are needed: give a longer one")
    parts = [[e for i, e in enumerate(encoded) if (i in aside) == out] for out in (False, True)]
    train, validation = (LabelledData(part, np.zeros(len(part), dtype=np.int64)) for part in parts)
    return train, validation
