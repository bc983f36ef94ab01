"""Like with like: the energies of ANNs, and the only place where two energies become a ratio.

An energy carries whether memory traffic is in it (`Priced`), and `ratio` refuses a pair that differs. So a spiking
network at the prices of a chip, which contain memory, meets ANNs that move their data, and bare additions meet bare
multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.choices import Encoding
from spk2loihi.energy import estimate
from spk2loihi.energy.ann_memory import BATCHES, AnnWork, bits_of, traffic, traffic_pj
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.coefficients import CoefficientSet, Memory
from spk2loihi.simulators.counters import StageOps

#: Ratios this close to 1 count as a tie: no price is known more precisely.
TIE = 0.005


@dataclass(frozen=True)
class Priced:
    """An energy in nJ a sample, with what the bounds of its prices make of it, and whether memory is in it."""

    nanojoules: float
    memory: Memory
    low: float
    high: float

    @property
    def range(self) -> list[float] | None:
        """[low, high], or None where no price has bounds."""
        return None if self.low == self.high else [self.low, self.high]


def ratio(own: Priced, other: Priced) -> float:
    """``own`` / ``other``.

    Raises:
        ValueError: memory traffic is in one of them only.
    """
    if own.memory != other.memory:
        raise ValueError(
            f"an energy with memory {own.memory} and one with memory {other.memory} are unlike: no ratio compares them"
        )
    return own.nanojoules / other.nanojoules


def outcome(value: float) -> str:
    """``wins``, ``loses`` or ``ties``: the spiking network against a baseline, from the ratio of their energies."""
    if abs(value - 1) <= TIE:
        return "ties"
    return "wins" if value < 1 else "loses"


def price_network(stages: Sequence[StageOps], coefficients: CoefficientSet, samples: int, encoding: Encoding) -> Priced:
    """The spiking network at the prices of a set."""

    def total(prices: CoefficientSet) -> float:
        return estimate.network_energy(stages, prices, encoding).total / samples / 1e3

    low, high = total(coefficients.at("low")), total(coefficients.at("high"))
    return Priced(total(coefficients), coefficients.memory, low, high)


def baselines(
    ann: AnnWork, teacher: AnnWork | None, sets: Sequence[CoefficientSet]
) -> dict[str, tuple[dict[str, Any], Priced]]:
    """Rows of ``per_sample.baselines``, with their energies.

    The same-shape ANN in every number format and the teacher in FP32: bare arithmetic, and with the memory traffic of
    each batch size by every memory set. An arithmetic set whose prices contain memory stands for itself.
    """
    models = [("ann", "same-shape ANN", ann)]
    if teacher is not None:
        models.append(("teacher", "teacher", teacher))
    memories = [s for s in sets if s.kind == "memory"]
    rows: dict[str, tuple[dict[str, Any], Priced]] = {}
    for model, words, work in models:
        for arithmetic in (s for s in sets if s.kind == "arithmetic"):
            if model == "teacher" and arithmetic.precision != "fp32":
                continue
            key = f"{model}:{arithmetic.name}"
            label = f"{words}, {fmt.precision(arithmetic.precision)}"
            label += "" if arithmetic.name in BUILTIN_SETS else f" ({arithmetic.name})"
            rows[key] = _bare(label, model, work, arithmetic)
            bits = bits_of(arithmetic)
            if bits is None or arithmetic.memory == "included":
                continue
            for memory in memories:
                for batch in BATCHES:
                    own = "" if memory.name in BUILTIN_SETS else f" ({memory.name})"
                    rows[f"{key}:{memory.name}:batch-{batch}"] = _with_memory(
                        f"{label}, batch {batch}{own}", model, work, arithmetic, memory, bits, batch
                    )
    return rows


def _bare(label: str, model: str, work: AnnWork, arithmetic: CoefficientSet) -> tuple[dict[str, Any], Priced]:
    def total(prices: CoefficientSet) -> float:
        return estimate.ann_energy_pj(work.macs, prices) / 1e3

    priced = Priced(total(arithmetic), arithmetic.memory, total(arithmetic.at("low")), total(arithmetic.at("high")))
    return _row(label, model, work, arithmetic, priced), priced


def _with_memory(
    label: str,
    model: str,
    work: AnnWork,
    arithmetic: CoefficientSet,
    memory: CoefficientSet,
    bits: int,
    batch: int,
) -> tuple[dict[str, Any], Priced]:
    moved = traffic(work, bits, batch)

    def parts(numbers: CoefficientSet, accesses: CoefficientSet) -> dict[str, float]:
        return {
            "arithmetic": estimate.ann_energy_pj(work.macs, numbers) / 1e3,
            "weights": traffic_pj(moved.weights, accesses) / 1e3,
            "activations": traffic_pj(moved.activations, accesses) / 1e3,
        }

    nanojoules = parts(arithmetic, memory)
    low = sum(parts(arithmetic.at("low"), memory.at("low")).values())
    high = sum(parts(arithmetic.at("high"), memory.at("high")).values())
    priced = Priced(sum(nanojoules.values()), "included", low, high)
    row = _row(label, model, work, arithmetic, priced)
    return {
        **row,
        "memory_coefficients": memory.name,
        "batch": batch,
        "parts_nJ": nanojoules,
        "accesses": asdict(moved),
    }, priced


def _row(label: str, model: str, work: AnnWork, arithmetic: CoefficientSet, priced: Priced) -> dict[str, Any]:
    return {
        "label": label,
        "model": model,
        "coefficients": arithmetic.name,
        "precision": arithmetic.precision,
        "macs": float(work.macs),
        "total_nJ": priced.nanojoules,
        "total_range_nJ": priced.range,
        "memory": priced.memory,
        "memory_coefficients": None,
        "batch": None,
        "parts_nJ": None,
        "accesses": None,
    }


def compare(
    coefficients: CoefficientSet,
    components_nj: Mapping[str, float],
    own: Priced,
    key: str,
    row: Mapping[str, Any],
    other: Priced,
    synapse_pj_per_dense: float,
) -> dict[str, Any]:
    """A row of ``comparisons``.

    Args:
        components_nj: of the spiking network at the prices of ``coefficients``.
        synapse_pj_per_dense: price of a SynOp times the dense operations of a sample: the energy at T x density 1.
    """
    value = ratio(own, other)
    synapse = components_nj["synapse"]
    return {
        "coefficients": coefficients.name,
        "baseline": key,
        "baseline_label": row["label"],
        "memory": own.memory,
        "batch": row["batch"],
        "snn_nJ": own.nanojoules,
        "baseline_nJ": other.nanojoules,
        "ratio": value,
        "factor": None if not value else max(value, 1 / value),
        "synapse_ratio": synapse / other.nanojoules,
        "overhead_ratio": (own.nanojoules - synapse) / other.nanojoules,
        "break_even_t_times_density": other.nanojoules * 1e3 / synapse_pj_per_dense,
        "outcome": outcome(value),
        "ratio_range": _ratio_range(own, other, same=row["coefficients"] == coefficients.name),
    }


def _ratio_range(own: Priced, other: Priced, same: bool) -> list[float] | None:
    """With the prices of either side at opposite ends; one set prices both sides at the same end."""
    if own.range is None and other.range is None:
        return None
    ends = (other.low, other.high) if same else (other.high, other.low)
    return sorted((own.low / ends[0], own.high / ends[1]))
