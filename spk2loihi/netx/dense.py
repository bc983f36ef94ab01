"""Dense weights as stock Lava fits them into 8 bits, with all the loss that takes, and exact products with messages."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.netx.arrays import Array, exact_dtype
from spk2loihi.netx.hdf5_access import IntArray

_MIXED_MIN, _MIXED_MAX = -256, 254  # netx clips mixed-sign weights to these
_WEIGHT_BITS = 8


def fitted_weights(blocks: list[IntArray], label: str) -> tuple[list[IntArray], int]:
    """Mantissas of the blocks of one matrix, and the right shift of their sums; warns where Lava changes a weight.

    Args:
        blocks: (neurons, inputs) each: the matrix, or the feed-forward and the recurrent part of a ``dense_rec``,
            which netx optimises together but which are two synapse processes.

    Raises:
        UserError: all weights are zero, which the stock loader cannot scale.
    """
    shifted, shift, kept_bits = _optimise(np.hstack(blocks), label)
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    mantissas = [_fit(block, kept_bits) for block in np.split(shifted, ends, axis=1)]
    changed = sum(
        int(np.count_nonzero(mantissa != block << shift)) for mantissa, block in zip(mantissas, blocks, strict=True)
    )
    if changed:
        size, low, high = shifted.size, min(int(b.min()) for b in blocks), max(int(b.max()) for b in blocks)
        warnings.warn(
            f"{label}: stock Lava changes {changed} of {size} weights ({low} to {high}) when it fits them into 8 bits: "
            f"keep mixed signs within {_MIXED_MIN} to {_MIXED_MAX}, one sign within 255, and add a positive weight "
            "where none but a zero is above the rest",
            stacklevel=2,
        )
    return mantissas, shift


def _optimise(weight: IntArray, label: str) -> tuple[IntArray, int, int]:
    """``optimize_weight_bits`` of lava/lib/dl/netx/utils.py: shifted weights, the shift, and ``num_weight_bits``.

    Mixed-sign weights are clipped to -256 ... 254 and shifted left as far as 8 bits and sign hold; the shift is taken
    back from the sum. Weights of one sign beyond 8 bits would be shifted left by a negative count: NumPy makes all of
    them 0.
    """
    largest, smallest = int(weight.max()), int(weight.min())
    if largest == smallest == 0:
        raise UserError(f"{label}: all weights are zero, which stock netx cannot load: leave the layer out")
    if (largest > _MIXED_MAX and smallest < 0) or (smallest < _MIXED_MIN and largest > 0):
        weight = np.clip(weight, _MIXED_MIN, _MIXED_MAX)
        largest, smallest = int(weight.max()), int(weight.min())
    signed = largest >= 0 > smallest
    if signed:
        scale = min(127 / largest if largest else np.inf, -128 / smallest)
    else:
        scale = -256 / smallest if largest < 0 else 255 / largest
    shift = int(np.floor(np.log2(scale))) + signed
    if shift < 0:
        return np.zeros_like(weight), 0, _WEIGHT_BITS
    return weight << shift, shift, _WEIGHT_BITS - shift - (_spare_bits(weight) - signed)


def _fit(weight: IntArray, kept_bits: int) -> IntArray:
    """``clip_weights`` and ``truncate_weights`` of lava/utils/weightutils.py, as Lava's Dense calls them.

    They look at the signs anew, as netx does not pass its own ``sign_mode`` on. Three consequences are kept as they
    are in Lava:

    - Where the largest weight is 0, netx counts the matrix as mixed, but Lava's Dense counts it as inhibitory, with
      magnitudes up to 255: a weight the shift brought to -256 becomes -255, which truncation makes -128. So the -1 of
      a matrix of 0 and -1 work as -1/2, rounded down.
    - Where netx counts mixed signs and Lava's Dense does not (also in one part of a ``dense_rec``), truncation can be
      by -1 bits, and all weights become 0.
    - For the limit of 255, a matrix of nothing but -256 becomes 0.
    """
    mixed = int(weight.max()) > 0 > int(weight.min())
    dropped = _WEIGHT_BITS - kept_bits + mixed
    if dropped < 0:
        return np.zeros_like(weight)
    if mixed:
        return (np.clip(weight, -(2**_WEIGHT_BITS), 2**_WEIGHT_BITS - 1) >> dropped) << dropped
    magnitude = np.minimum(np.abs(weight), 2**_WEIGHT_BITS - 1)
    return np.sign(weight) * ((magnitude >> dropped) << dropped)


def _spare_bits(weight: IntArray) -> int:
    """Low bits, at most 8, that are zero in every weight."""
    return next((bits for bits in range(_WEIGHT_BITS, 0, -1) if not (weight % 2**bits).any()), 0)


_SMALL = 2**19  # weights of 16 bits that stay in a second-level cache
_FEW = 4  # at most one input in so many spikes: then adding their rows is faster than a matrix product


@dataclass(frozen=True)
class Matrix:
    """Computes ``weight @ message >> shift``.

    Attributes:
        weight: (neurons, inputs).
        bound: the largest sum of messages of 1, before the shift.
    """

    weight: IntArray
    shift: int
    bound: int

    @classmethod
    def of(cls, mantissa: IntArray, shift: int) -> Matrix:
        if not (mantissa % (1 << shift)).any():  # nothing is lost in the shift, so shift the weights
            mantissa, shift = mantissa >> shift, 0
        return cls(mantissa, shift, largest_sum(mantissa))

    def sums(self, messages: Array, largest: int) -> Array:
        """Of messages (B, steps, inputs) of at most ``largest`` in magnitude, (B, steps, neurons). Bytes are 0 or 1."""
        bytes_to_few = messages.dtype == np.uint8 and self.weight.size <= _SMALL
        if bytes_to_few and np.count_nonzero(messages) * _FEW <= messages.size:
            return self._row_sums(messages)
        dtype = exact_dtype(self.bound * largest)
        sums: Array = messages.reshape(-1, self.weight.shape[1]).astype(dtype, copy=False) @ self.weight.T.astype(dtype)
        if self.shift:
            sums = sums >> self.shift if dtype is np.int64 else np.floor(sums / dtype(1 << self.shift))
        return sums.reshape(*messages.shape[:2], len(self.weight))

    def _row_sums(self, spikes: NDArray[np.uint8]) -> NDArray[np.int32]:
        from spk2loihi.netx.neuron_kernels import spike_sums  # numba takes a while to import

        sums = np.empty((*spikes.shape[:2], len(self.weight)), np.int32)
        spike_sums(np.ascontiguousarray(spikes), self._rows, sums)
        return sums >> np.int32(self.shift)

    @cached_property
    def _rows(self) -> NDArray[np.int16]:
        return np.ascontiguousarray(self.weight.T, np.int16)  # of 8 bits and sign


def largest_sum(weight: IntArray) -> int:
    """What no neuron of (neurons, inputs) is sent more than in magnitude, of messages of 1."""
    return int(np.abs(weight).sum(1).max())


def stored_bits(weight: IntArray) -> int:
    """Bits a weight takes in memory once powers of two common to all weights are in the weight exponent.

    Two's complement where signs are mixed, magnitudes where they are not; 1 at least. The same number as
    ``lava.lib.dl.netx.utils.optimize_weight_bits`` gives for a matrix of mixed signs.
    """
    common = int(np.bitwise_or.reduce(np.abs(weight), axis=None))
    shift = (common & -common).bit_length() - 1 if common else 0
    low, high = int(weight.min(initial=0)) >> shift, int(weight.max(initial=0)) >> shift
    if low >= 0 or high <= 0:
        return max(1, (high - low).bit_length())
    return 1 + max(high.bit_length(), (-low - 1).bit_length())
