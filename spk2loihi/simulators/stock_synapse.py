"""The synapse processes netx builds, bit for bit: Dense with its 8-bit weights, and Conv.

Both take one time step: what they receive at step t reaches the neurons at step t + 1 (lava/proc/dense/models.py and
lava/proc/conv/models.py send the accumulation of the step before, then receive). The delay is kept by `StockNetwork`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.simulators.stock_netx import IntArray
from spk2loihi.simulators.stock_neuron import Int32Array

Accumulate = Callable[[Int32Array], Int32Array]
"""Spikes of one step (B, *input_shape) to weighted sums (B, *output_shape), as ``a_out`` of Lava sends them."""

_FLOAT32_EXACT = 2**24  # integers up to here, and sums of them that stay up to here, are exact in float32
_FLOAT64_EXACT = 2**53
_INT32_MAX = 2**31 - 1
_MIXED_MIN, _MIXED_MAX = -256, 254  # netx clips mixed-sign weights to these
_WEIGHT_BITS = 8
_CONV_BITS = 24  # PyConvModelFixed.clamp_precision


class Synapse(Protocol):
    """Connections into one layer."""

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    def accumulator(self, largest: int) -> Accumulate:
        """The sum over synapses, exact for spikes of at most ``largest`` in magnitude."""


@dataclass(frozen=True)
class DenseSynapse:
    """All-to-all synapses: ``PyDenseModelBitAcc`` of lava/proc/dense/models.py.

    A neuron receives ``int32(sum_j mantissa_ij * s_j) >> shift``, rounded down. (Lava sums binary spikes in 64 bits and
    graded ones in 32; the two differ only beyond 2**23 inputs.)

    Attributes:
        mantissa: weights as the synapse holds them, at most 8 bits and sign, (neurons, inputs).
        shift: right shift of the sum; the negated ``weight_exp`` of Lava.
    """

    mantissa: IntArray
    shift: int

    @classmethod
    def from_weight(cls, weight: IntArray, label: str) -> DenseSynapse:
        """What the stock loader makes of a weight matrix; warns when that is not the matrix itself.

        Raises:
            UserError: all weights are zero, which the stock loader cannot scale.
        """
        mantissa, shift = quantise(weight, label)
        changed = int(np.count_nonzero(mantissa != weight << shift))
        if changed:
            warnings.warn(
                f"{label}: stock Lava changes {changed} of {weight.size} weights ({int(weight.min())} to "
                f"{int(weight.max())}) when it fits them into 8 bits: keep mixed signs within {_MIXED_MIN} to "
                f"{_MIXED_MAX}, one sign within 255, and add a positive weight where none but a zero is above the rest",
                stacklevel=2,
            )
        return cls(mantissa, shift)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.mantissa.shape[1],)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.mantissa.shape[0],)

    def accumulator(self, largest: int) -> Accumulate:
        bound = int(np.abs(self.mantissa).sum(1).max()) * largest
        matrix: NDArray[Any] = self.mantissa.T.astype(_exact_dtype(bound))  # (inputs, neurons)
        shift = np.int32(self.shift)

        def accumulate(spikes: Int32Array) -> Int32Array:
            total = (spikes.astype(matrix.dtype) @ matrix).astype(np.int64).astype(np.int32)
            result: Int32Array = total >> shift
            return result

        return accumulate


@dataclass(frozen=True)
class ConvSynapse:
    """Convolution: ``PyConvModelFixed`` of lava/proc/conv/models.py.

    netx flips the kernel and Lava convolves, so the result is the cross-correlation torch calls a convolution. Weights
    are taken as they are, without the 8-bit fitting of dense layers. Sums wrap to 24 bits (``signed_clamp`` of
    lava/proc/conv/utils.py is a modulo, in spite of its name).

    Attributes:
        kernel: (x, y, groups, channels in per group, channels out per group), unflipped.
        input_shape, output_shape: (x, y, channel).
        stride, padding, dilation: (x, y).
    """

    kernel: IntArray
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    label: str

    def accumulator(self, largest: int) -> Accumulate:
        """Raises UserError when a sum could pass 32 bits: what Lava makes of it then depends on the processor."""
        bound = int(np.abs(self.kernel).sum((0, 1, 3)).max()) * largest
        if bound > _INT32_MAX:
            raise UserError(
                f"{self.label}: sums can reach {bound} with spikes up to {largest}, beyond the {_INT32_MAX} of "
                "Lava's Conv: use smaller weights or payloads"
            )
        kernel = self.kernel.astype(_exact_dtype(bound))
        groups, channels = kernel.shape[2], kernel.shape[3]
        (pad_x, pad_y), half = self.padding, 1 << (_CONV_BITS - 1)
        size_x, size_y, _ = self.output_shape

        def accumulate(spikes: Int32Array) -> Int32Array:
            batch = spikes.shape[0]
            padded = np.pad(spikes.astype(kernel.dtype), ((0, 0), (pad_x, pad_x), (pad_y, pad_y), (0, 0)))
            grouped = np.moveaxis(padded.reshape(*padded.shape[:3], groups, channels), 3, 0)  # (G, B, x, y, c)
            total = np.zeros((groups, batch * size_x * size_y, kernel.shape[4]), kernel.dtype)
            for x in range(kernel.shape[0]):
                for y in range(kernel.shape[1]):
                    patch = grouped[:, :, self._taps(0, x), self._taps(1, y)].reshape(groups, -1, channels)
                    np.add(total, patch @ kernel[x, y], out=total)
            sums = total.astype(np.int64).reshape(groups, batch, size_x, size_y, -1)
            sums = np.moveaxis(sums, 0, 3).reshape(batch, *self.output_shape)
            wrapped: Int32Array = ((sums + half) % (2 * half) - half).astype(np.int32)
            return wrapped

        return accumulate

    def _taps(self, axis: int, index: int) -> slice:
        """The inputs one kernel element meets along an axis, one for each output."""
        start, stride = index * self.dilation[axis], self.stride[axis]
        return slice(start, start + stride * (self.output_shape[axis] - 1) + 1, stride)


def quantise(weight: IntArray, label: str) -> tuple[IntArray, int]:
    """Mantissas and right shift of a dense matrix after the stock loader and Lava's Dense model fitted it into 8 bits.

    First ``optimize_weight_bits`` of lava/lib/dl/netx/utils.py: mixed-sign weights are clipped to -256 ... 254 and
    shifted left as far as 8 bits and sign hold; the shift is taken back from the sum. Then ``clip_weights`` and
    ``truncate_weights`` of lava/utils/weightutils.py, which look at the signs anew, as netx does not pass its own
    ``sign_mode`` on. Three consequences are kept as they are in Lava:

    - Weights of one sign beyond 8 bits would be shifted left by a negative count: NumPy makes all of them 0.
    - Where the largest weight is 0, netx counts the matrix as mixed, but Lava's Dense counts it as inhibitory, with
      magnitudes up to 255: a weight the shift brought to -256 becomes -255, which truncation makes -128. So the -1 of
      a matrix of 0 and -1 work as -1/2, rounded down. If the smallest lies in -255 ... -129 and any weight is odd,
      truncation is by -1 bits, and all weights become 0.
    - For the same limit of 255, a matrix of nothing but -256 becomes 0.

    Raises:
        UserError: all weights are zero; netx raises OverflowError.
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
        return np.zeros_like(weight), 0
    spare = _spare_bits(weight)
    weight = weight << shift

    # From here on, lava/utils/weightutils.py. num_weight_bits is 8 - shift - (spare - signed).
    mixed = int(weight.max()) > 0 > int(weight.min())
    dropped = shift + spare - signed + mixed
    if mixed:
        return (np.clip(weight, -(2**_WEIGHT_BITS), 2**_WEIGHT_BITS - 1) >> dropped) << dropped, shift
    magnitude = np.minimum(np.abs(weight), 2**_WEIGHT_BITS - 1)
    if dropped < 0:
        return np.zeros_like(weight), shift
    return np.sign(weight) * ((magnitude >> dropped) << dropped), shift


def _spare_bits(weight: IntArray) -> int:
    """Low bits, at most 8, that are zero in every weight."""
    return next((bits for bits in range(_WEIGHT_BITS, 0, -1) if not (weight % 2**bits).any()), 0)


def _exact_dtype(bound: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    """The fastest type in which sums of integers are exact, if no partial sum is greater than ``bound``."""
    if bound <= _FLOAT32_EXACT:
        return np.float32
    return np.float64 if bound <= _FLOAT64_EXACT else np.int64
