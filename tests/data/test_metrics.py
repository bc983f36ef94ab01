"""Metrics against sklearn, scipy and hand, and where they are undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spk2loihi.choices import METRICS
from spk2loihi.data import NO_TAG, answer_of, formatted, predictions, score, targets


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_agree_with_sklearn(classes: int) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 400):
        labels = rng.integers(classes, size=n)
        predictions = np.where(rng.random(n) < 0.6, labels, rng.integers(classes, size=n))
        assert score("accuracy", predictions, labels) == pytest.approx(sklearn.accuracy_score(labels, predictions))
        if n > 2:  # sklearn warns about a single class
            expected = sklearn.matthews_corrcoef(labels, predictions)
            assert score("matthews", predictions, labels) == pytest.approx(expected)
        if classes == 2:
            expected = sklearn.f1_score(labels, predictions, zero_division=0)
            assert score("f1", predictions, labels) == pytest.approx(expected)


def test_correlations_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(7)
    for n in (2, 3, 50, 1000):
        labels = rng.integers(0, 26, n) / 5  # with ties, as in STS-B
        for predicted in (labels + rng.normal(size=n), np.round(rng.normal(size=n), 1), rng.integers(-99, 99, n)):
            if len(set(labels)) > 1 and len(set(predicted)) > 1:
                assert score("pearson", predicted, labels) == pytest.approx(stats.pearsonr(predicted, labels)[0])
                assert score("spearman", predicted, labels) == pytest.approx(stats.spearmanr(predicted, labels)[0])


def test_correlations_when_undefined() -> None:
    assert score("pearson", np.full(3, 0.1), np.arange(3.0)) == 0.0
    assert score("spearman", np.arange(3.0), np.zeros(3)) == 0.0
    assert score("pearson", np.array([1.0]), np.array([2.0])) == 0.0


def test_predictions_are_classes_or_values() -> None:
    assert predictions(np.array([[1, 5], [3, 2]]), "accuracy").tolist() == [1, 0]
    assert predictions(np.array([[1.5], [-2.0]]), "pearson").tolist() == [1.5, -2.0]


def test_scores_as_text() -> None:
    assert (formatted(0.89791, "accuracy"), formatted(-0.5, "pearson")) == ("89.79 %", "-0.5000")


def test_metrics_by_hand_and_when_undefined() -> None:
    labels, predictions = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    assert score("accuracy", predictions, labels) == pytest.approx(3 / 5)
    assert score("f1", predictions, labels) == pytest.approx(4 / 6)
    assert score("matthews", predictions, labels) == pytest.approx(1 / 6)
    assert score("matthews", np.ones(5, int), labels) == 0.0
    assert score("f1", np.zeros(5, int), labels) == 0.0
    for metric in METRICS:
        if answer_of(metric) in ("class", "value"):
            assert score(metric, labels, labels) == pytest.approx(1.0)


def test_f1_of_several_labels_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 2, (50, 4)), rng.integers(0, 2, (50, 4))
    labels[:, 3] = predicted[:, 3] = 0  # neither there nor predicted
    for name in ("micro", "macro"):
        wanted = metrics.f1_score(labels, predicted, average=name, zero_division=0)
        assert score(f"{name}_f1", predicted, labels) == pytest.approx(wanted)
    assert predictions(np.array([[3, 0, -1]]), "micro_f1").tolist() == [[1, 0, 0]]


def test_f1_of_entities_counts_whole_ones() -> None:
    names, none = ("O", "B-X", "I-X"), NO_TAG
    labels = np.array([[none, 1, 2, none, 0, 1], [none, 0, 1, none, none, none]])
    perfect = np.where(labels == none, 1, labels)
    assert score("entity_f1", perfect, labels, names) == 1.0
    shorter = perfect.copy()
    shorter[0, 2] = 0  # one of three entities is cut
    assert score("entity_f1", shorter, labels, names) == pytest.approx(2 / 3)
    assert score("entity_f1", np.zeros((2, 9), int), labels, names) == 0.0
    assert targets("entity_f1", [(1, 2)], [np.array([1, -1])]).tolist() == [[none, 1]]


@pytest.mark.parametrize(
    ("metric", "predictions", "labels"),
    [("bleu", [0], [0]), ("accuracy", [0, 1], [0]), ("accuracy", [], []), ("accuracy", [[0]], [[0]]), ("f1", [2], [1])],
)
def test_unfit_scores(metric: str, predictions: list[Any], labels: list[Any]) -> None:
    with pytest.raises(ValueError):
        score(metric, np.array(predictions), np.array(labels))
