"""Convergence of the average spiking rates to their equilibrium: checked curves and the measured exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi.energy.summary import plain

_FITTED = 3  # steps, the last: the law is that of long runs, before which deep stages have not heard from shallow ones


def convergence_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given curves with ``overall`` (mean over stages if not given), ``fitted_exponent`` (theory: -1) of the last
    three steps, and ``fitted_from``, the first of them.

    Args:
        given: the ``convergence`` of `build_report`.

    Raises:
        ValueError: a curve has not one point per step.
    """
    data: dict[str, Any] = plain(dict(given))
    steps, errors = data["steps"], data["mean_abs_error"]
    overall = data.get("overall") or [sum(column) / len(column) for column in zip(*errors.values(), strict=True)]
    for name, curve in {**errors, "overall": overall, "score": data.get("score") or steps}.items():
        if len(curve) != len(steps) or not steps:
            raise ValueError(f"convergence curve {name} has {len(curve)} points for {len(steps)} steps")
    last = slice(-_FITTED, None)
    return {
        **data,
        "overall": overall,
        "fitted_exponent": _exponent(steps[last], overall[last]),
        "fitted_from": steps[last][0],
    }


def _exponent(steps: Sequence[float], errors: Sequence[float]) -> float | None:
    """Least-squares slope of log error against log steps; None with fewer than two positive errors."""
    points = [(math.log(t), math.log(e)) for t, e in zip(steps, errors, strict=True) if e > 0]
    if len(points) < 2:
        return None
    mean_t, mean_e = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (e - mean_e) for t, e in points) / spread if spread else None
