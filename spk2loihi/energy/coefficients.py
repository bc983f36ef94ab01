"""Energy coefficients: every number that turns a count into joules, with its unit, source and scope.

Sets are JSON files (`coefficient_file`), found by name or path (`coefficient_registry`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spk2loihi.choices import Encoding
from spk2loihi.network.soma import SOMAS

SetKind = Literal["chip", "arithmetic", "memory"]
Memory = Literal["included", "excluded"]
Bound = Literal["", "upper"]

#: Energy units a coefficient may carry, in picojoules.
PICOJOULES: dict[str, float] = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "uJ": 1e6, "µJ": 1e6}

#: Host operations the simulators count (`StageOps.host`).
HOST_OPERATIONS = ("embedding", *(kind for kind, soma in SOMAS.items() if soma.on_host))

#: What a coefficient of each name is charged for, by kind of set.
CHARGED_FOR: dict[SetKind, dict[str, str]] = {
    "chip": {
        "synop": "synaptic operation",
        "synop_with_static": "synaptic operation, with its share of static power",
        "neuron_active": "update of an active neuron",
        "neuron_inactive": "update of an inactive neuron",
        "spike": "spike message within a tile",
        "hop_east_west": "hop of a spike message between tiles, east-west",
        "hop_north_south": "hop of a spike message between tiles, north-south",
        **{f"host.{op}": f"element of the host operation {op}" for op in HOST_OPERATIONS},
    },
    "arithmetic": {"add": "addition", "multiply": "multiplication", "mac": "multiply-accumulate"},
    "memory": {
        "sram_8kB": "64-bit access to an SRAM of 8 kB",
        "sram_32kB": "64-bit access to an SRAM of 32 kB",
        "sram_1MB": "64-bit access to an SRAM of 1 MB",
        "dram": "64-bit access to DRAM",
    },
}

#: Listed in reports and never charged: static power belongs to no operation, and hops need a mapping.
NOT_CHARGED = ("synop_with_static", "hop_east_west", "hop_north_south")

#: Coefficients without which a set says nothing; they divide, so they must be above zero.
REQUIRED: dict[SetKind, tuple[str, ...]] = {
    "chip": ("synop",),
    "arithmetic": ("add", "mac"),
    "memory": ("sram_8kB", "sram_32kB", "sram_1MB", "dram"),
}


@dataclass(frozen=True)
class Coefficient:
    """One energy per operation. ``unit`` is a key of `PICOJOULES`; ``scope`` says what the value holds for.

    ``low`` and ``high`` bound the value where its source does; None where it does not.
    """

    name: str
    value: float
    unit: str
    source: str
    scope: str
    low: float | None = None
    high: float | None = None

    @property
    def picojoules(self) -> float:
        return self.value * PICOJOULES[self.unit]


@dataclass(frozen=True)
class CoefficientSet:
    """A named collection of coefficients of one technology.

    A ``chip`` set prices spiking hardware (SynOps, neuron updates, messages). An ``arithmetic`` set prices adders and
    multipliers of one number format (``precision``, e.g. "fp32"): it gives the same-shape ANN a baseline and the
    spiking network the "one addition a SynOp" figure most papers report. A ``memory`` set prices accesses; together
    with bare arithmetic it gives ANNs baselines that move their data (`spk2loihi.energy.ann_memory`).

    Attributes:
        memory: whether the price of an operation contains the memory traffic it causes. What is priced with memory is
            compared with nothing that is priced without.
        bound: "upper" where the source says only that an operation of its workload cost no more than this.
        within_synop: coefficients that the set lacks because its ``synop`` contains them.
    """

    name: str
    kind: SetKind
    scope: str
    coefficients: tuple[Coefficient, ...]
    precision: str = ""
    memory: Memory = "excluded"
    bound: Bound = ""
    within_synop: tuple[str, ...] = ()

    @property
    def prices_networks(self) -> bool:
        """It can price a spiking network."""
        return self.kind != "memory"

    def picojoules(self, name: str) -> float | None:
        """Energy in pJ of one operation called ``name``, or None where the set has none."""
        return next((c.picojoules for c in self.coefficients if c.name == name), None)

    @property
    def uncertain(self) -> bool:
        """Some coefficient has bounds."""
        return any(c.low is not None for c in self.coefficients)

    def at(self, end: Literal["low", "high"]) -> CoefficientSet:
        """The set with every bounded coefficient at that end."""
        ends = ((c, c.low if end == "low" else c.high) for c in self.coefficients)
        return replace(self, coefficients=tuple(c if v is None else replace(c, value=v) for c, v in ends))

    def required(self, name: str) -> float:
        """Energy in pJ of a coefficient the set cannot lack (`REQUIRED`)."""
        value = self.picojoules(name)
        assert value is not None, f"{self.name} lacks {name}"
        return value

    def synop_pj(self, encoding: Encoding = "rate") -> float:
        """Energy in pJ of one SynOp: the chip's synaptic operation, or bare arithmetic.

        In arithmetic, a binary spike adds a weight; a graded message multiplies the weight by its payload first.
        """
        if self.kind == "chip":
            return self.required("synop")
        return self.required("mac" if encoding == "graded" else "add")
