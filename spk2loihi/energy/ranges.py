"""What the stated bounds of prices make of totals and ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi.choices import Encoding
from spk2loihi.energy import estimate
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.simulators.counters import StageOps


def total_range(
    stages: Sequence[StageOps], coefficients: CoefficientSet, samples: int, encoding: Encoding
) -> list[float] | None:
    """Total in nJ a sample with every bounded price at its low and at its high end."""
    if not coefficients.uncertain:
        return None
    ends = (coefficients.at("low"), coefficients.at("high"))
    return [estimate.network_energy(stages, end, encoding).total / samples / 1e3 for end in ends]


def ratio_range(
    stages: Sequence[StageOps],
    coefficients: CoefficientSet,
    samples: int,
    baseline: Mapping[str, Any],
    baseline_set: CoefficientSet,
    encoding: Encoding,
) -> list[float] | None:
    """Ratio with the prices of either side at opposite ends; one set prices both sides at the same end."""
    if not coefficients.uncertain and not baseline_set.uncertain:
        return None
    same = coefficients is baseline_set
    low, high = coefficients.at("low"), coefficients.at("high")
    pairs = (
        (low, baseline_set.at("low" if same else "high")),
        (high, baseline_set.at("high" if same else "low")),
    )
    return sorted(
        estimate.network_energy(stages, own, encoding).total / samples / estimate.ann_energy_pj(baseline["macs"], other)
        for own, other in pairs
    )
