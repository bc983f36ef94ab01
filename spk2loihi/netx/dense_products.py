"""Products of weights and messages, exact, by the faster of two ways."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.hdf5_access import IntArray
from spk2loihi.netx.number_types import Array, exact_dtype

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
