"""Training sentences set aside for validation: they choose among evaluations, so that held-out data only score."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from spk2loihi.data.examples import Examples, examples_digest
from spk2loihi.data.metrics import Answer
from spk2loihi.data.phrases import Phrases
from spk2loihi.data.split import sentence_key
from spk2loihi.data.tasks import TaskSpec, load_held_out, load_train
from spk2loihi.errors import UserError
from spk2loihi.ranges import check_numbers

#: By default one sentence in so many, at least and at most so many sentences, but never more than one in eight.
_ONE_IN, _LEAST, _MOST, _NEVER_MORE = 20, 500, 2000, 8
_FEWEST = 10  # by fewer nothing can be chosen: none are set aside
_SEED = 2  # of the split alone: runs with other seeds share it
_BINS = 10  # of a regression's labels


@dataclass(frozen=True)
class Parts:
    """Sentences of a task by what they are for.

    Attributes:
        validation: to choose among evaluations by; None: nothing is set aside, and the held-out sentences choose.
        held_out: to score with.
    """

    train: Examples
    validation: Examples | None
    held_out: Examples

    def digests(self) -> dict[str, Any]:
        """Number and SHA-256 of the examples by part, for a manifest."""
        parts = {"train": self.train, "validation": self.validation, "held_out": self.held_out}
        return {name: examples_digest(part) for name, part in parts.items() if part is not None}


def load_parts(spec: TaskSpec, share: float | None = None) -> tuple[TaskSpec, Parts]:
    """Every part of a task, and the spec with its labels filled in.

    Args:
        share: of the training sentences to set aside; None: `validation_size` says how many; 0: none.

    Raises:
        UserError: as `load_train` and `load_held_out`; or the share is out of its range, or comes to no sentence.
    """
    check_numbers({"validation_share": share})
    spec, examples = load_train(spec)
    held_out = load_held_out(spec)
    if share == 0:
        return spec, Parts(examples, None, held_out)
    train, validation = set_aside(examples, share, spec.answer)
    if share and not len(validation):
        raise UserError(
            f"`validation_share` is {share:g}, which is none of {len(examples)} training sentences: choose a larger "
            "one, or 0 to choose by the held-out sentences"
        )
    return spec, Parts(train, validation if len(validation) else None, held_out)


def validation_size(sentences: int, share: float | None = None) -> int:
    """How many of so many sentences are set aside.

    By default one in 20, at least 500 and at most 2,000, but no more than one in eight; none where that is below 10.
    """
    if share is not None:
        return round(share * sentences)
    size = min(max(sentences // _ONE_IN, _LEAST), _MOST, sentences // _NEVER_MORE)
    return size if size >= _FEWEST else 0


def set_aside(examples: Examples, share: float | None, answer: Answer) -> tuple[Examples, Examples]:
    """Part sentences into those to train on and those for validation (`validation_size`), both in their order.

    The same sentences are set aside whatever the seed of a training. Classes, and tenths of the values of a regression,
    have the same share in both parts, and no class loses more than half of its sentences.

    No sentence of one part has a copy in the other (`sentence_key`): further copies of a validation sentence are in
    neither. Nor has it a phrase in the other: only sentences that are no phrase of another one are counted and set
    aside, and the phrases of those that are set aside are in neither part. SST-2's training data are such phrases:
    without this rule 86.5 % of the validation sentences would be part of one to train on. Pairs are compared whole.

    Args:
        share: as of `load_parts`.
        answer: of the task: what its labels are.
    """
    seconds = examples.text_b if examples.text_b is not None else [None] * len(examples)
    keys = [sentence_key(a, b) for a, b in zip(examples.text_a, seconds, strict=True)]
    phrases = Phrases(examples.text_a if examples.text_b is None else [])
    kinds, distinct = _kinds(examples, answer), set[str]()
    strata: dict[int, list[int]] = defaultdict(list)
    for index in np.random.default_rng(_SEED).permutation(len(examples)).tolist():
        if keys[index] not in distinct and not phrases.is_part(index):
            distinct.add(keys[index])
            strata[kinds[index]].append(index)
    quotas = _quotas({kind: len(members) for kind, members in strata.items()}, validation_size(len(distinct), share))
    chosen = sorted(index for kind, members in strata.items() for index in members[: quotas[kind]])
    taken = {keys[index] for index in chosen}
    parts = phrases.parts_of(chosen)
    train = [i for i in range(len(examples)) if keys[i] not in taken and i not in parts]
    return examples.select(train), examples.select(chosen)


def _kinds(examples: Examples, answer: Answer) -> list[int]:
    """What the share of each in both parts shall be the same: by sentence."""
    if answer == "class":
        return [int(label) for label in examples.labels]
    if answer == "value":
        values = np.asarray(examples.labels, dtype=np.float64)
        edges = np.quantile(values, np.arange(1, _BINS) / _BINS)
        return [int(kind) for kind in np.searchsorted(edges, values)]
    return [0] * len(examples)  # sets of labels, and tags of words, are too many kinds


def _quotas(members: dict[int, int], size: int) -> dict[int, int]:
    """How many of each kind add up to ``size``, in proportion, by largest remainder; at most half of a kind."""
    total = sum(members.values())
    exact = {kind: size * count / total for kind, count in members.items()}
    quotas = {kind: int(share) for kind, share in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: (int(exact[kind]) - exact[kind], kind))
    while sum(quotas.values()) < size:
        room = [kind for kind in by_remainder if quotas[kind] < members[kind] // 2]
        if not room:
            break
        for kind in room[: size - sum(quotas.values())]:
            quotas[kind] += 1
    return quotas
