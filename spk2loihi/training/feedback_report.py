"""Feedback in the report of a training: how large its weights are, and how its fixed points were solved."""

from __future__ import annotations

from typing import Any

import torch

from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.feedback import spectral_bound


@torch.no_grad()
def feedback_report(
    student: SpikingBertForSequenceClassification, solves: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """One record a layer, as `docs/guide/train.md` has them; none without feedback.

    Args:
        solves: of each stage with feedback, as a loop counted them.
    """
    return [
        {
            "stage": stage,
            "limit": layer.feedback.bound,
            "norm_bound": float(spectral_bound(layer.feedback.weight())),
            "norm": float(torch.linalg.matrix_norm(layer.feedback.weight(), 2)),
            **{direction: _shown(record) for direction, record in solves[stage].items()},
        }
        for stage, layer in zip(student.solves, student.encoder_layers(), strict=False)
        if layer.feedback is not None
    ]


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    """A `SolveRecord` with the mean of its iterations in place of their sum."""
    mean = record["iterations"] / record["solves"] if record["solves"] else None
    return {"mean_iterations": mean, **{name: value for name, value in record.items() if name != "iterations"}}


def feedback_lines(report: list[dict[str, Any]]) -> list[str]:
    """A line a layer."""
    return [
        f"{r['stage']}: feedback of norm {r['norm']:.3f}, at most {r['limit']:g}; "
        f"{_line('equilibrium', r['forward'])}; {_line('gradient', r['backward'])}"
        for r in report
    ]


def _line(what: str, record: dict[str, Any]) -> str:
    if not record["solves"]:
        return f"{what} never solved"
    return (
        f"{what} in {record['mean_iterations']:.1f} evaluations (at most {record['most_iterations']}), residual at "
        f"most {record['largest_residual']:.1e}, {record['unconverged']:,} of {record['solves']:,} unconverged"
    )
