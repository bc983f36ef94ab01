"""What a stage of the `stock` preset has in place of a threshold: one synapse, then a range gate.

A soft-reset neuron divides by its threshold. No process that Intel ships does, so a stage of a `stock` network sends
its drive through one synapse a neuron instead. Its weight and exponent stand for a threshold of ``2**shift / weight``::

    v = round(weight * max(U, 0) / 2**shift)        max only where ``relu``
    n = v if |v| <= limit else 0

``round`` differs between Lava's CPU models and the chip, so there are two arithmetics. ``lava``: half a unit is added
to ``U`` before (with the bias, so only where a token exists), and the shift rounds down. ``chip``: the product is
rounded half away from zero.

The range gate is what bounds a network without clips: a payload beyond it is not sent. It is made of two stock
populations that differ in their thresholds (`spk2loihi.chip`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Requantise:
    """One synapse a neuron, and a range gate.

    Attributes:
        weight: (channels,), 1 to 255; of scores one value a head.
        shift: of the product, in bits; the weight exponent of the synapses is its negative.
        relu: negative drives count as 0.
        limit: largest |payload| that the range gate lets pass, T of the network.
    """

    weight: IntArray
    shift: int
    relu: bool
    limit: int

    @cached_property
    def half(self) -> IntArray:
        """Half an output unit in units of U, (channels,), to the nearest even integer: synapses of mixed signs are."""
        half: IntArray = 2 * ((2**self.shift + 2 * self.weight) // (4 * self.weight))
        return half

    def payload(self, u: IntArray, arithmetic: Arithmetic, exists: NDArray[Any] | bool = True) -> IntArray:
        """Payloads of drives.

        Args:
            u: (..., channels), or (..., heads, tokens, tokens) transposed so that the channel is the last axis.
            exists: where the neuron's tokens are; half a unit is added there alone.
        """
        if arithmetic == "lava":
            u = u + self.half * np.asarray(exists, dtype=np.int64)
        if self.relu:
            u = np.maximum(u, 0)
        v = shifted(u * self.weight, self.shift, arithmetic)
        return np.where(np.abs(v) <= self.limit, v, 0)

    def to_dict(self) -> dict[str, Any]:
        return {"weight": self.weight.tolist(), "shift": self.shift, "relu": self.relu, "limit": self.limit}


def shifted(product: IntArray, bits: int, arithmetic: Arithmetic) -> IntArray:
    """``product / 2**bits``: rounded down as Lava's CPU models do, or half away from zero as Loihi 2 does.

    The chip's rule: `lava.proc.graded.process.loihi2round`, and the 15 integers of a Loihi 2 in Lava's tutorial
    "Fixed point dot product" follow from it.
    """
    if bits <= 0:
        return product << -bits
    if arithmetic == "lava":
        return product >> bits
    result: IntArray = np.sign(product) * ((np.abs(product) + (1 << (bits - 1))) >> bits)
    return result
