"""Counts times coefficients. Pure functions: counters in, picojoules out.

All results are totals over whatever the counters were summed over; divide by the number of samples for an average.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from spk2loihi.choices import Encoding
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.simulators.counters import StageOps

#: Fields of `Energy`, and what a reader calls them.
COMPONENTS = {
    "synapse": "synaptic operations",
    "neuron": "neuron updates",
    "routing": "spike messages",
    "host": "host operations",
}


@dataclass(frozen=True)
class Energy:
    """Energy in pJ, by component. ``routing`` is a lower bound: hops between tiles are unknown without a mapping."""

    synapse: float = 0.0
    neuron: float = 0.0
    routing: float = 0.0
    host: float = 0.0

    @property
    def total(self) -> float:
        return self.synapse + self.neuron + self.routing + self.host

    def __add__(self, other: Energy) -> Energy:
        return Energy(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def stage_energy(ops: StageOps, coefficients: CoefficientSet, encoding: Encoding = "rate") -> Energy:
    """Energy of one stage of the spiking network. What the set has no coefficient for adds nothing: `not_included`."""
    price = coefficients.picojoules
    return Energy(
        synapse=(ops.synops + ops.attention_synops) * coefficients.synop_pj(encoding),
        neuron=ops.active_updates * (price("neuron_active") or 0.0)
        + ops.inactive_updates * (price("neuron_inactive") or 0.0),
        routing=ops.messages * (price("spike") or 0.0),
        host=sum(elements * (price(f"host.{op}") or 0.0) for op, elements in ops.host.items()),
    )


def network_energy(stages: Iterable[StageOps], coefficients: CoefficientSet, encoding: Encoding = "rate") -> Energy:
    """Energy of the spiking network: the sum over its stages."""
    return sum((stage_energy(ops, coefficients, encoding) for ops in stages), Energy())


def not_included(stages: Iterable[StageOps], coefficients: CoefficientSet) -> dict[str, int]:
    """Operations that were counted but have no price in the set, not even within a SynOp's: name -> count."""
    counted: dict[str, int] = {"neuron_active": 0, "neuron_inactive": 0, "spike": 0}
    for ops in stages:
        counted["neuron_active"] += ops.active_updates
        counted["neuron_inactive"] += ops.inactive_updates
        counted["spike"] += ops.messages
        for op, elements in ops.host.items():
            counted[f"host.{op}"] = counted.get(f"host.{op}", 0) + elements
    priced = {c.name for c in coefficients.coefficients}.union(coefficients.within_synop)
    return {name: n for name, n in counted.items() if n and name not in priced}


def neuron_updates(stages: Iterable[StageOps]) -> int:
    """Neuron updates, active and inactive."""
    return sum(ops.active_updates + ops.inactive_updates for ops in stages)


def synops(stages: Iterable[StageOps]) -> int:
    """Synaptic operations, linear and attention."""
    return sum(ops.synops + ops.attention_synops for ops in stages)


def dense_operations(stages: Iterable[StageOps]) -> int:
    """Multiply-accumulates of the ANN of the same shape, attention products included."""
    return sum(ops.dense for ops in stages)


def ann_energy_pj(macs: float, arithmetic: CoefficientSet) -> float:
    """Energy in pJ of ``macs`` multiply-accumulates."""
    return macs * arithmetic.required("mac")


def t_times_density(stages: Sequence[StageOps]) -> float | None:
    """SynOps per multiply-accumulate of the same-shape ANN. None without dense operations."""
    dense = dense_operations(stages)
    return synops(stages) / dense if dense else None
