"""Scores of predicted classes, or values, against true ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import METRICS

REGRESSION_METRICS = ("pearson", "spearman")
"""A task whose main metric is one of these is a regression: one output, whose label is a number."""

_COMPANIONS = {"f1": ("accuracy",), "pearson": ("spearman",), "spearman": ("pearson",)}


def predictions(logits: NDArray[Any]) -> NDArray[Any]:
    """What outputs (N, labels) predict, (N,): the class with the largest one, or the value of a single output."""
    return logits[:, 0] if logits.shape[1] == 1 else logits.argmax(-1)


def reported(metric: str) -> tuple[str, ...]:
    """``metric`` and those that are customarily reported with it, which GLUE does for F1 and for correlations."""
    return (metric, *_COMPANIONS.get(metric, ()))


def formatted(value: float, metric: str) -> str:
    """A score as text: accuracy and F1 in per cent, correlations as they are."""
    return f"{100 * value:.2f} %" if metric in ("accuracy", "f1") else f"{value:.4f}"


def score(metric: str, predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    """Score N predictions, shape (N,), against N labels; higher is better, 1.0 is perfect.

    Of class indices:

    * ``accuracy``: share of equal entries, 0 to 1;
    * ``f1``: F1 of class 1 in a two-class task, 0 to 1; 0 when there is no true positive;
    * ``matthews``: Matthews' correlation for any number of classes, -1 to 1; 0 when either side is constant.

    Of numbers:

    * ``pearson``: linear correlation, -1 to 1; 0 when either side is constant;
    * ``spearman``: Pearson's correlation of the ranks, equal values sharing the mean of theirs.

    Raises ValueError for an unknown metric, shapes that differ, no entries, or f1 with classes other than 0 and 1.
    """
    if metric not in _SCORES:
        raise ValueError(f"metric {metric!r} is not one of {', '.join(METRICS)}")
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or predictions.ndim != 1 or predictions.size == 0:
        raise ValueError(f"predictions {predictions.shape} and labels {labels.shape} must be vectors of one length > 0")
    return _SCORES[metric](predictions, labels)


def _accuracy(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((predictions == labels).mean())


def _f1(predictions: NDArray[Any], labels: NDArray[Any]) -> float:
    if not (np.isin(predictions, (0, 1)).all() and np.isin(labels, (0, 1)).all()):
        raise ValueError("f1 is defined for classes 0 and 1 only")
    hits = int(((predictions == 1) & (labels == 1)).sum())
    claimed_and_true = int((predictions == 1).sum()) + int((labels == 1).sum())
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
}

assert tuple(_SCORES) == METRICS
