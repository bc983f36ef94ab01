"""The leak of neurons in integers, and the sums over time it weighs: shared by every backend, so that all round alike.

A leaky quantity x loses the share ``decay / 4096`` in each step. As in Lava's LIF (``AbstractPyLifModelFixed`` of
lava/proc/lif/models.py, and Loihi's own: Davies et al. 2018) what is kept is rounded towards zero::

    x <- sign(x) * ((|x| * (4096 - decay)) >> 12)

The membrane of a linear stage is leaky itself. Every other stage compares weighted sums over time, in which a step
counts ``(1 - decay / 4096) ** age``: of its drive, of the spikes it has sent, and of 1, the *weight of time* W. These
have `FRACTION_BITS` fractional bits, because a sum of a few spikes would lose a share of itself to each rounding.
Without a leak they are plain sums without fractional bits, and W is the number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.limits import DECAY_BITS, DECAY_MAX
from spk2loihi.ranges import shown

IntArray = NDArray[np.int64]

#: Fractional bits of a leaky sum. Each step loses less than one unit, so a sum of weights W is off by less than W units
#: of 2**-12: rates by less than 0.03 %, far below the half spike in W that any rate is off by.
FRACTION_BITS = 12


def decay_of(leak: float) -> int:
    """The integer decay, in units of 1/4096, of neurons that lose ``leak`` of their membrane in each step.

    Raises:
        UserError: 12 bits have no such decay.
    """
    decay = round(leak * 2**DECAY_BITS)
    if leak and not 1 <= decay <= DECAY_MAX:
        raise UserError(
            f"`leak` is {shown(leak)}, which is {decay} of the {2**DECAY_BITS} parts of a Loihi decay, but "
            f"{DECAY_BITS} bits hold 1 to {DECAY_MAX}: choose a `leak` from {1 / 2**DECAY_BITS:.4f} to "
            f"{DECAY_MAX / 2**DECAY_BITS:.4f}, or 0 for none"
        )
    return decay


def check_leak_and_feedback(preset: str, leak: float, feedback: float) -> None:
    """
    Raises:
        UserError: no network of that preset has them.
    """
    decay_of(leak)
    for name, value in (("leak", leak), ("feedback", feedback)):
        if preset == "stock" and value:
            raise UserError(
                f"`{name}` is {shown(value)}, but neurons of the stock preset send one payload a token and have no "
                "membrane that outlasts a step: choose the `preset` spikingbert or neurocore"
            )


@dataclass(frozen=True)
class Leak:
    """The leak of a network's neurons, and what a stage computes of weighted sums.

    Args:
        decay: in units of 1/4096 a step; 0: no leak.
    """

    decay: int

    @property
    def fraction(self) -> int:
        """Fractional bits of sums over time."""
        return FRACTION_BITS if self.decay else 0

    def __call__(self, x: IntArray) -> IntArray:
        """What is left of ``x`` a step later, rounded towards zero; |x| is below 2**51."""
        if not self.decay:
            return x
        kept: IntArray = np.abs(x) * (2**DECAY_BITS - self.decay) >> DECAY_BITS
        return np.where(x < 0, -kept, kept)

    def one(self, x: IntArray) -> IntArray:
        """Spikes or drive of a step, as a sum over time takes them."""
        return x << self.fraction

    def largest(self, bound: int) -> int:
        """A bound of a sum over time, of one without leak."""
        return bound << self.fraction

    def weights(self) -> Iterator[int]:
        """W of the first step, of the first two steps, and so on."""
        weight = np.zeros((), np.int64)
        while True:
            weight = self(weight) + self.one(np.ones((), np.int64))
            yield int(weight)

    def largest_weight(self, steps: int) -> int:
        """A bound on W after ``steps`` steps, without its fractional bits."""
        return steps if not self.decay else min(steps, -(-(2**DECAY_BITS) // self.decay))

    def mean(self, total: IntArray, weight: int, window: int, order: int) -> IntArray:
        """The weighted mean of a drive, as the drive of a window of ``window`` steps; rounded down.

        Args:
            total: weighted sum of the drive; of order 2 a product of two such sums, with the fractional bits of one.
            weight: W.
            order: 1: synapses; 2: an attention product, which grows with the square of time.
        """
        if order == 1:
            return total * window // weight
        return total * window**2 // (weight * weight >> self.fraction)

    def membrane(self, z: IntArray, weight: int, sent: IntArray, threshold: int) -> IntArray:
        """Charge less what was sent, and half a threshold, against a threshold of ``threshold << fraction``.

        Args:
            z: result of the soma function for the mean drive of a window, at most T thresholds.
            sent: weighted sum of the spikes sent in the steps before.
            threshold: T times that of the stage.
        """
        return z * weight - threshold * sent + (threshold // 2 << self.fraction)
