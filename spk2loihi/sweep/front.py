"""The Pareto front: points that no other point beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: What a point of a sweep is judged by, and whether more of it is better. Counts only: no price decides.
OBJECTIVES = {"score": True, "synops_per_sample": False, "latency_steps": False}


def non_dominated(costs: Sequence[Sequence[float]]) -> list[bool]:
    """Which rows no other row dominates. Less is better in every column.

    A row dominates another when it is nowhere worse and somewhere better; so of equal rows each stays.
    """
    table = np.asarray(costs, dtype=np.float64)  # (points, objectives)
    return [not ((table <= row).all(1) & (table < row).any(1)).any() for row in table]


def mark_front(points: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which points lie on the front of their encoding, by `OBJECTIVES`.

    Encodings are not compared: a SynOp of a spike adds a weight, one of a graded message multiplies it first, and no
    chip's price for the latter is published. Schedules are: windowed or settling, a spike adds a weight.
    """
    on_front = [False] * len(points)
    for encoding in {point["encoding"] for point in points}:
        index = [i for i, point in enumerate(points) if point["encoding"] == encoding]
        for i, stays in zip(index, non_dominated([_costs(points[i]) for i in index]), strict=True):
            on_front[i] = stays
    return on_front


def mark_joint_front(points: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which points lie on the front when a graded message's SynOp counts like a spike's."""
    return non_dominated([_costs(point) for point in points]) if points else []


def _costs(point: Mapping[str, Any]) -> list[float]:
    return [-point[name] if more_is_better else point[name] for name, more_is_better in OBJECTIVES.items()]
