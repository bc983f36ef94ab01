"""What an ANN pays for moving its data: compulsory traffic, priced by the size of the memory.

Each weight is read once a batch, from the smallest memory that holds all weights: an SRAM of 8 kB, 32 kB or 1 MB, or
DRAM. Each activation is written once and read once, in the smallest SRAM that holds what its stage sends for the whole
batch, and in the one of 1 MB where none does. All further reuse is in registers and free, and partial sums are never
spilled. No schedule of the same memories moves less, so the figures are lower bounds, and favour the ANN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spk2loihi.energy.coefficients import CoefficientSet

#: Sentences that share one reading of the weights: an answer at once, and a server's throughput.
BATCHES = (1, 64)

#: Bytes that an SRAM holds, by the name of its price, smallest first (Horowitz 2014).
SRAM_BYTES = {"sram_8kB": 8 << 10, "sram_32kB": 32 << 10, "sram_1MB": 1 << 20}
ACCESS_BITS = 64  # Horowitz 2014 prices accesses of 64 bits


@dataclass(frozen=True)
class AnnWork:
    """What an ANN does for one sample.

    Attributes:
        weights: parameters of its linear maps.
        activations: values that each stage sends.
    """

    macs: float
    weights: float
    activations: tuple[float, ...]


@dataclass(frozen=True)
class Traffic:
    """64-bit accesses for one sample, by memory."""

    weights: dict[str, float]
    activations: dict[str, float]


def bits_of(arithmetic: CoefficientSet) -> int | None:
    """Bits of a number in ``fp32``, ``bf16``, ``int8``; None where the precision does not end in them."""
    found = re.search(r"\d+$", arithmetic.precision)
    return int(found[0]) if found and 1 <= int(found[0]) <= ACCESS_BITS else None


def traffic(work: AnnWork, bits: int, batch: int) -> Traffic:
    """Compulsory accesses for one of ``batch`` samples with numbers of ``bits`` bits."""
    weights = {_home(work.weights * bits / 8) or "dram": work.weights * bits / ACCESS_BITS / batch}
    activations: dict[str, float] = {}
    for values in work.activations:
        home = _home(values * bits / 8 * batch) or "sram_1MB"
        activations[home] = activations.get(home, 0.0) + 2 * values * bits / ACCESS_BITS
    return Traffic(weights, activations)


def traffic_pj(accesses: dict[str, float], memory: CoefficientSet) -> float:
    """Energy in pJ of accesses."""
    return sum(n * memory.required(level) for level, n in accesses.items())


def _home(size: float) -> str | None:
    """The smallest SRAM of at least ``size`` bytes."""
    return next((level for level, room in SRAM_BYTES.items() if size <= room), None)
