"""Whether a teacher knows the task: one that does not is never distilled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import NO_TAG, TaskSpec, formatted, score
from spk2loihi.errors import UserError

_CLEARLY = 2.0  # standard errors


def check_teacher_score(
    spec: TaskSpec,
    scores: Mapping[str, float],
    labels: NDArray[Any],
    predict: Callable[[], NDArray[Any]],
    teacher: str,
    given: bool,
) -> None:
    """Refuse a teacher whose held-out predictions say nothing about the labels, or stand for other labels.

    Knowing nothing, n sentences score as follows, give or take a standard error, which a teacher has to exceed:

    * accuracy: the share m of the most frequent class, within sqrt(m (1 - m) / n). A teacher that knows something may
      stay there if the others are rare, so clearly correlated predictions (Matthews above 2 / sqrt(n)) will do, too;
    * Matthews, and F1, of which predicting only class 1 is no small one: Matthews 0, within 1 / sqrt(n);
    * Pearson and Spearman: 0, within 1 / sqrt(n).

    * F1 of several labels: that of the best answer that is the same for all, within one half over sqrt(n);
    * F1 of entities: 0, within 1 / sqrt(n).

    Labels that are all equal tell nothing, and are not judged by.

    Args:
        scores: of the held-out sentences, by metric.
        labels: theirs, (N,).
        predict: the teacher's predictions for them, (N,); called only where they are needed.
        given: the teacher came with its classifier, rather than being fine-tuned in this run.
    """
    if len(np.unique(labels[labels != NO_TAG] if spec.answer == "tags" else labels, axis=0)) < 2:
        return
    if spec.answer in ("labels", "tags"):
        _check_f1(spec, scores[spec.metric], labels, teacher, given)
        return
    error = 1 / math.sqrt(len(labels))
    share, majority = _majority(labels)
    margin = math.sqrt(share * (1 - share) / len(labels))
    best_guess = {"accuracy": share + margin, "f1": math.inf}.get(spec.metric, error)
    exceeds = scores[spec.metric] > best_guess  # false for NaN
    if exceeds and (spec.regression or not given):
        return
    found = f"teacher {teacher} has a held-out {spec.metric} of {formatted(scores[spec.metric], spec.metric)}"
    of = f"({len(labels)} sentences): {_remedy(given)}"
    if spec.regression:
        raise UserError(f"{found}, and knowing nothing gives 0 within {error:.4f} {of}")
    predictions = predict()
    _check_order(spec, predictions, labels, found)
    correlation = score("matthews", predictions, labels)
    if exceeds or correlation > (_CLEARLY if spec.metric == "accuracy" else 1) * error:
        return
    if spec.metric == "accuracy":
        nothing = (
            f"answering {spec.labels[majority]!r} to all gives {formatted(share, 'accuracy')} within "
            f"{formatted(margin, 'accuracy')}"
        )
    else:
        own = "" if spec.metric == "matthews" else f", and its own is {correlation:.4f}"
        nothing = f"knowing nothing gives a Matthews correlation of 0 within {error:.4f}{own}"
    one = spec.labels[int(predictions[0])]
    always = f", answering {one!r} to every sentence" if len(np.unique(predictions)) == 1 else ""
    raise UserError(f"{found}{always}, and {nothing} {of}")


def _remedy(given: bool) -> str:
    if given:
        return "name a `teacher` fine-tuned on this task, or one without a classifier, which is fine-tuned first"
    return "give more `teacher_epochs`, another `teacher_learning_rate`, or a fine-tuned `teacher`"


def _check_f1(spec: TaskSpec, found: float, labels: NDArray[Any], teacher: str, given: bool) -> None:
    """Refuse a teacher whose sets of labels, or entities, are no better than one answer for all sentences."""
    nothing, margin = 0.0, 1 / math.sqrt(len(labels))
    if spec.answer == "labels":
        order, margin = np.argsort(-labels.sum(0)), margin / 2
        for most in range(1, labels.shape[1] + 1):
            constant = np.zeros_like(labels)
            constant[:, order[:most]] = 1
            nothing = max(nothing, score(spec.metric, constant, labels))
    if not found > nothing + margin:
        raise UserError(
            f"teacher {teacher} has a held-out {spec.metric} of {formatted(found, spec.metric)}, and one answer for "
            f"all sentences gives {formatted(nothing, spec.metric)} within {formatted(margin, spec.metric)} "
            f"({len(labels)} sentences): {_remedy(given)}"
        )


def _check_order(spec: TaskSpec, predictions: NDArray[Any], labels: NDArray[Any], found: str) -> None:
    """Refuse outputs that would be right far more often if they stood for other labels."""
    order = _better_order(predictions, labels, len(spec.labels))
    if order is None:
        return
    right, otherwise = (predictions == labels).mean(), (np.array(order)[predictions] == labels).mean()
    margin = math.sqrt(max(otherwise * (1 - otherwise), 1 / len(labels)) / len(labels))
    if otherwise - right > _CLEARLY * margin and otherwise > _majority(labels)[0] + margin:
        names = ", ".join(spec.labels[i] for i in order)
        raise UserError(
            f"{found}, but an accuracy of {formatted(float(otherwise), 'accuracy')} if its outputs stand for "
            f"{names}, in "
            "that order: write the names of its labels, in the order of its outputs, as id2label in its configuration"
        )


def _better_order(predictions: NDArray[Any], labels: NDArray[Any], classes: int) -> Sequence[int] | None:
    """The label each output agrees with most; None where two agree with the same, or each with its own."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (predictions, labels), 1)
    order = [int(row.argmax()) if row.any() else None for row in counts]
    free = [label for label in range(classes) if label not in order]
    if len(set(order) - {None}) < classes - order.count(None):
        return None
    full = [free.pop(0) if label is None else label for label in order]
    return None if full == list(range(classes)) else full


def _majority(labels: NDArray[Any]) -> tuple[float, int]:
    classes, counts = np.unique(labels, return_counts=True)
    return float(counts.max() / len(labels)), int(classes[counts.argmax()])
