"""Answers of a network, and their scores: classes, values, sets of labels, or tags of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import METRICS
from spk2loihi.data.entities import entities

REGRESSION_METRICS = ("pearson", "spearman")
"""A task whose main metric is one of these is a regression: one output, whose label is a number."""

MULTI_LABEL_METRICS = ("micro_f1", "macro_f1")
"""Of a task whose sentences have any number of labels, none included; each label has an output."""

TAG_METRICS = ("entity_f1",)
"""Of a task whose words have a tag each; each token has an output for each tag."""

NO_TAG = -100
"""In an array of tags: a token that has none, such as padding, or all but the first of a word."""

_COMPANIONS = {
    "f1": ("accuracy",),
    "pearson": ("spearman",),
    "spearman": ("pearson",),
    "micro_f1": ("macro_f1",),
    "macro_f1": ("micro_f1",),
}
_PER_CENT = ("accuracy", "f1", "micro_f1", "macro_f1", "entity_f1")

Answer = Literal["class", "value", "labels", "tags"]


def answer_of(metric: str) -> Answer:
    """What a task with that main metric asks of a sentence: a class, a number, a set of labels, or its words' tags."""
    if metric in REGRESSION_METRICS:
        return "value"
    return "labels" if metric in MULTI_LABEL_METRICS else "tags" if metric in TAG_METRICS else "class"


def predictions(logits: NDArray[Any], metric: str) -> NDArray[Any]:
    """What outputs predict, floats or the membranes of a readout.

    Args:
        logits: (N, labels), or (N, L, labels) of the tokens of a tagged sentence.
        metric: the task's main one.

    Returns:
        The class with the largest output, (N,); the value of the single output, (N,); 1 where the output of a label is
        above 0, a probability above one half, (N, labels); or the tag with the largest one, (N, L).
    """
    answer = answer_of(metric)
    if answer == "value":
        return logits[:, 0]
    return (logits > 0).astype(np.int64) if answer == "labels" else logits.argmax(-1)


def targets(metric: str, labels: Sequence[Any], first: Sequence[NDArray[np.int64]] = ()) -> NDArray[Any]:
    """Labels of examples as an array that `score` compares with `predictions`.

    Args:
        labels: as `Examples` has them.
        first: of tagged sentences, the token that stands for each word, below 0 where none does.

    Returns:
        int64 classes (N,), float32 values (N,), float32 zeros and ones (N, labels), or int64 tags (N, L) with `NO_TAG`
        at tokens without one, L being one more than the last that has one.
    """
    answer = answer_of(metric)
    if answer != "tags":
        return np.array(labels, dtype=np.int64 if answer == "class" else np.float32)
    longest = 1 + max((int(tokens.max(initial=-1)) for tokens in first), default=0)
    array = np.full((len(labels), longest), NO_TAG, dtype=np.int64)
    for row, tags, tokens in zip(array, labels, first, strict=True):
        there = tokens >= 0
        row[tokens[there]] = np.asarray(tags)[there]
    return array


def reported(metric: str) -> tuple[str, ...]:
    """``metric`` and those that are customarily reported with it, which GLUE does for F1 and for correlations."""
    return (metric, *_COMPANIONS.get(metric, ()))


def formatted(value: float, metric: str) -> str:
    """A score as text: accuracy and F1 in per cent, correlations as they are."""
    return f"{100 * value:.2f} %" if metric in _PER_CENT else f"{value:.4f}"


def score(metric: str, predictions: NDArray[Any], labels: NDArray[Any], names: Sequence[str] = ()) -> float:
    """Score N predictions against N labels, both (N,) unless said otherwise; higher is better, 1.0 is perfect.

    Of class indices:

    * ``accuracy``: share of equal entries, 0 to 1;
    * ``f1``: F1 of class 1 in a two-class task, 0 to 1; 0 when there is no true positive;
    * ``matthews``: Matthews' correlation for any number of classes, -1 to 1; 0 when either side is constant.

    Of numbers:

    * ``pearson``: linear correlation, -1 to 1; 0 when either side is constant;
    * ``spearman``: Pearson's correlation of the ranks, equal values sharing the mean of theirs.

    Of sets of labels, zeros and ones (N, labels):

    * ``micro_f1``: F1 of all decisions together; ``macro_f1``: mean of the F1 of each label, 0 for one that is neither
      there nor predicted.

    Of tags (N, L), tokens with `NO_TAG` left out:

    * ``entity_f1``: F1 of whole entities, as seqeval counts them: type, first and last word must be right.

    Args:
        names: of the tags, such as O, B-PER and I-PER.

    Raises ValueError for an unknown metric, shapes that differ, no entries, or f1 with classes other than 0 and 1.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is not one of {', '.join(METRICS)}")
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if metric in TAG_METRICS:
        return _entity_f1(predictions, labels, names)
    wanted = 2 if metric in MULTI_LABEL_METRICS else 1
    if predictions.shape != labels.shape or predictions.ndim != wanted or predictions.size == 0:
        raise ValueError(f"predictions {predictions.shape} and labels {labels.shape} must be of one shape, not empty")
    return _SCORES[metric](predictions, labels)


def _accuracy(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((predictions == labels).mean())


def _f1(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    if not (np.isin(predictions, (0, 1)).all() and np.isin(labels, (0, 1)).all()):
        raise ValueError("f1 is defined for classes 0 and 1 only")
    hits = int(((predictions == 1) & (labels == 1)).sum())
    claimed_and_true = int((predictions == 1).sum()) + int((labels == 1).sum())
    return 2.0 * hits / claimed_and_true if hits else 0.0


def _micro_f1(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return _f1(predictions.ravel(), labels.ravel())


def _macro_f1(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return float(np.mean([_f1(p, true) for p, true in zip(predictions.T, labels.T, strict=True)]))


def _entity_f1(predictions: NDArray[Any], labels: NDArray[Any], names: Sequence[str]) -> float:
    if predictions.shape[1] < labels.shape[1] or len(predictions) != len(labels) or not len(labels):
        raise ValueError(f"tags {predictions.shape} do not cover those of {labels.shape}")
    hits = claimed_and_true = 0
    for ours, theirs in zip(predictions, labels, strict=True):
        known = theirs != NO_TAG
        predicted = entities([names[int(tag)] for tag in ours[: len(theirs)][known]])
        true = entities([names[int(tag)] for tag in theirs[known]])
        hits += len(predicted & true)
        claimed_and_true += len(predicted) + len(true)
    return 2.0 * hits / claimed_and_true if hits else 0.0


def _matthews(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    classes = np.unique(np.concatenate([predictions, labels]))
    predicted = np.array([(predictions == c).sum() for c in classes], dtype=np.float64)
    true = np.array([(labels == c).sum() for c in classes], dtype=np.float64)
    n = float(labels.size)
    # Gorodkin (2004): the correlation of the one-hot predictions with the one-hot labels.
    covariance = float((predictions == labels).sum()) * n - float(predicted @ true)
    variances = (n * n - float(predicted @ predicted)) * (n * n - float(true @ true))
    return covariance / float(np.sqrt(variances)) if variances > 0.0 else 0.0


def _pearson(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    a, b = (np.asarray(side, dtype=np.float64) for side in (predictions, labels))
    if (a == a[0]).all() or (b == b[0]).all():
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def _spearman(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return _pearson(_ranks(predictions), _ranks(labels))


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum()
    ranks: NDArray[np.float64] = (last - (count - 1) / 2)[place]
    return ranks


_SCORES: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "micro_f1": _micro_f1,
    "macro_f1": _macro_f1,
}

assert (*_SCORES, *TAG_METRICS) == METRICS
