"""The synapse processes netx builds, bit for bit, for all time steps of a run at once.

All take one time step: what they receive at step t reaches the neurons at step t + 1 (lava/proc/dense/models.py and
lava/proc/conv/models.py send the accumulation of the step before, then receive). Lava truncates sums to 32 bits on the
way to the neurons; the models here leave that to `exact.wrap_int32`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from spk2loihi.errors import UserError
from spk2loihi.simulators.stock.exact import INT32_MAX, Array, exact_dtype, wrap_int32
from spk2loihi.simulators.stock.netx import IntArray

_CONV_BITS = 24  # PyConvModelFixed.clamp_precision


class Synapse(Protocol):
    """Connections into one layer."""

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    def bound(self, largest: int) -> int:
        """No sum is greater than this in magnitude, for messages of at most ``largest``."""

    def drive(self, messages: Array, largest: int) -> Array:
        """What reaches the neurons in the step after each message, and in no other.

        Args:
            messages: whole numbers of at most ``largest`` in magnitude, (steps, B, *input_shape).

        Returns:
            Whole numbers, (steps, B, *output_shape): what arrives a step later; complex for complex weights.

        Raises:
            UserError: a sum could pass what Lava defines.
        """

    def operations(self, events: Array) -> IntArray:
        """Synaptic operations: messages times the weights of their neuron that are not 0.

        Args:
            events: how many messages each neuron sent, (B, *input_shape).

        Returns:
            (B,).
        """


@dataclass(frozen=True)
class _AllToAll:
    """What dense synapses with and without delays share.

    Attributes:
        mantissa: weights as the synapse holds them, at most 8 bits and sign, (neurons, inputs).
        shift: right shift of the sum; the negated ``weight_exp`` of Lava.
    """

    mantissa: IntArray
    shift: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.mantissa.shape[1],)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.mantissa.shape[0],)

    def operations(self, events: Array) -> IntArray:
        return events @ np.count_nonzero(self.mantissa, axis=0)


@dataclass(frozen=True)
class DenseSynapse(_AllToAll):
    """All-to-all synapses: ``PyDenseModelBitAcc`` of lava/proc/dense/models.py.

    A neuron receives ``sum_j mantissa_ij * s_j >> shift``, rounded down, of a sum of 32 bits.
    """

    def bound(self, largest: int) -> int:
        return (_dense_bound(self.mantissa, largest) >> self.shift) + 1  # for rounding down

    def drive(self, messages: Array, largest: int) -> Array:
        if _dense_bound(self.mantissa, largest) <= INT32_MAX:
            return _dense_sums(self.mantissa, self.shift, messages, largest)
        wrapped = wrap_int32(_dense_sums(self.mantissa, 0, messages, largest))
        shifted: Array = wrapped >> np.int32(self.shift)
        return shifted


@dataclass(frozen=True)
class ComplexDenseSynapse:
    """Two dense synapse processes that drive the real and the imaginary part of resonators."""

    real: DenseSynapse
    imag: DenseSynapse

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.real.input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.real.output_shape

    def bound(self, largest: int) -> int:
        return max(self.real.bound(largest), self.imag.bound(largest))

    def drive(self, messages: Array, largest: int) -> Array:
        return self.real.drive(messages, largest) + 1j * self.imag.drive(messages, largest).astype(np.float64)

    def operations(self, events: Array) -> IntArray:
        return self.real.operations(events) + self.imag.operations(events)


@dataclass(frozen=True)
class DelayedDenseSynapse(_AllToAll):
    """Dense synapses with delays: ``PyDelayDenseModelBitAcc`` of lava/proc/dense/models.py.

    Synapses of the same delay are summed and shifted right on their own; the results are added when they arrive.

    Attributes:
        delays: steps beyond the one every synapse takes, 0 to 62, (neurons, inputs).
    """

    delays: IntArray
    label: str

    def bound(self, largest: int) -> int:
        return (_dense_bound(self.mantissa, largest) >> self.shift) + len(np.unique(self.delays))  # 1 for rounding down

    def drive(self, messages: Array, largest: int) -> Array:
        """Raises UserError where Lava's products pass 32 bits before they are summed in 64."""
        if (product := int(np.abs(self.mantissa).max()) * largest) > INT32_MAX:
            raise UserError(
                f"{self.label}: weight times payload can reach {product} with payloads up to {largest}, beyond the "
                f"{INT32_MAX} of Lava's delayed synapses: use smaller payloads"
            )
        steps, batch = messages.shape[:2]
        bound = self.bound(largest)
        total: Array = np.zeros((steps, batch, *self.output_shape), exact_dtype(bound))
        for delay in np.unique(self.delays):
            here = self.delays == delay
            rows = here.any(1)
            if delay < steps:
                matrix = np.where(here, self.mantissa, 0)[rows]
                total[delay:, :, rows] += _dense_sums(matrix, self.shift, messages[: steps - delay], largest)
        return total


@dataclass(frozen=True)
class ConvSynapse:
    """Convolution: ``PyConvModelFixed`` of lava/proc/conv/models.py.

    netx flips the kernel and Lava convolves, so the result is the cross-correlation torch calls a convolution. Weights
    are taken as they are, without the 8-bit fitting of dense layers. Sums wrap to 24 bits (``signed_clamp`` of
    lava/proc/conv/utils.py is a modulo, in spite of its name).

    Attributes:
        kernel: (channels out, channels in of a group, x, y), unflipped.
        input_shape, output_shape: (x, y, channel).
        stride, padding, dilation: (x, y).
    """

    kernel: IntArray
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    label: str

    def bound(self, largest: int) -> int:
        return min(self._sum_bound(largest), 1 << (_CONV_BITS - 1))

    def drive(self, messages: Array, largest: int) -> Array:
        """Raises UserError when a sum could pass 32 bits: what Lava makes of it then depends on the processor."""
        bound, half = self._sum_bound(largest), 1 << (_CONV_BITS - 1)
        if bound > INT32_MAX:
            raise UserError(
                f"{self.label}: sums can reach {bound} with spikes up to {largest}, beyond the {INT32_MAX} of "
                "Lava's Conv: use smaller weights or payloads"
            )
        steps, batch = messages.shape[:2]
        if not steps * batch:
            return np.zeros((steps, batch, *self.output_shape), np.float32)
        sums = self._convolve(messages.reshape(-1, *self.input_shape), self.kernel, bound)
        if bound >= half:
            sums = (sums + half) % (2 * half) - half
        return sums.reshape(steps, batch, *self.output_shape)

    def operations(self, events: Array) -> IntArray:
        if not len(events):
            return np.zeros(0, np.int64)
        mask = (self.kernel != 0).astype(np.int64)
        bound = int(mask.sum((1, 2, 3)).max()) * int(events.max(initial=0))
        met = self._convolve(events, mask, bound)
        return met.reshape(len(events), -1).sum(1, dtype=np.float64).astype(np.int64)

    def _sum_bound(self, largest: int) -> int:
        return int(np.abs(self.kernel).sum((1, 2, 3)).max()) * largest

    def _convolve(self, planes: Array, kernel: IntArray, bound: int) -> Array:
        """(N, *input_shape) to (N, *output_shape), exact while no sum passes ``bound``."""
        dtype = exact_dtype(bound)
        if torch.get_float32_matmul_precision() != "highest":  # torch may round float32 to 8 or 11 bits then
            dtype = np.float64
        channels_first = torch.from_numpy(planes.astype(dtype, copy=False)).permute(0, 3, 1, 2)  # (N, c, x, y), a view
        weight = torch.from_numpy(kernel.astype(dtype)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            sums = torch.conv2d(channels_first, weight, None, self.stride, self.padding, self.dilation, self.groups)
            last: Array = sums.permute(0, 2, 3, 1).contiguous().numpy()  # (N, x, y, c)
        return last


def _dense_bound(mantissa: IntArray, largest: int) -> int:
    return int(np.abs(mantissa).sum(1).max()) * largest


def _dense_sums(mantissa: IntArray, shift: int, messages: Array, largest: int) -> Array:
    """``mantissa @ message >> shift`` for messages (steps, B, inputs)."""
    bound = _dense_bound(mantissa, largest)
    if not (mantissa % (1 << shift)).any():  # nothing is lost in the shift, so shift the weights
        mantissa, bound, shift = mantissa >> shift, bound >> shift, 0
    dtype = exact_dtype(bound)
    flat = messages.reshape(-1, mantissa.shape[1]).astype(dtype, copy=False)
    sums: Array = flat @ mantissa.T.astype(dtype)
    if shift:
        sums = sums >> shift if dtype is np.int64 else np.floor(sums / dtype(1 << shift))
    return sums.reshape(*messages.shape[:2], len(mantissa))
