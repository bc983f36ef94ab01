"""Fronts: what nothing beats, by brute force and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spk2loihi.sweep.front import mark_front, mark_joint_front, non_dominated


@pytest.mark.parametrize("seed", range(20))
def test_front_is_what_nothing_beats(seed: int) -> None:
    """Small integers, so that there are ties in single columns and whole rows that are equal."""
    rows = np.random.default_rng(seed).integers(0, 4, (12, 3)).tolist()

    def beats(a: list[int], b: list[int]) -> bool:
        return a != b and a[0] <= b[0] and a[1] <= b[1] and a[2] <= b[2]

    assert non_dominated(rows) == [not any(beats(a, b) for a in rows) for b in rows]


def point(score: float, synops: float, steps: int, encoding: str = "rate") -> dict[str, Any]:
    return {"score": score, "synops_per_sample": synops, "latency_steps": steps, "encoding": encoding}


def test_front_wants_more_score_and_less_of_the_rest() -> None:
    points = [
        point(0.9, 100, 50),
        point(0.9, 100, 50),  # equal: both stay
        point(0.8, 90, 50),  # fewer SynOps
        point(0.8, 110, 20),  # faster
        point(0.9, 101, 50),  # more SynOps for nothing
        point(0.89, 100, 50),  # a lower score for nothing
        point(0.9, 100, 51),  # slower for nothing
    ]
    assert mark_front(points) == [True, True, True, True, False, False, False]


def test_encodings_have_a_front_each() -> None:
    points = [point(0.9, 100, 50), point(0.9, 60, 10, "graded"), point(0.8, 100, 10, "graded")]
    assert mark_front(points) == [True, True, False]
    assert mark_joint_front(points) == [False, True, False]


def test_schedules_share_the_front_of_their_encoding() -> None:
    """A spike adds a weight in either: settling beats windows, or is beaten, by counts alone."""
    points = [
        {**point(0.9, 100, 600), "schedule": "windowed"},
        {**point(0.9, 130, 160), "schedule": "settling"},  # more SynOps, faster
        {**point(0.9, 90, 150), "schedule": "windowed"},  # of a smaller T: beats both
    ]
    assert mark_front(points[:2]) == [True, True]
    assert mark_front(points) == [False, False, True]
