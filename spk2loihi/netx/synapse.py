"""The synapse processes netx builds, bit for bit, for all time steps of a run at once.

All take one time step: what they receive at step t reaches the neurons at step t + 1 (lava/proc/dense/models.py and
lava/proc/conv/models.py send the accumulation of the step before, then receive). Lava truncates sums to 32 bits on the
way to the neurons; the models here leave that to `exact.wrap_int32`.

Torch and numba take a while to import: whoever only looks at a network needs neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.netx.arrays import INT32_MAX, Array, exact_dtype, wrap_int32
from spk2loihi.netx.dense import Matrix, largest_sum
from spk2loihi.netx.hdf5_access import IntArray
from spk2loihi.netx.table_convolution import TableConvolution, table_convolution

if TYPE_CHECKING:
    from spk2loihi.netx.byte_convolution import ByteConvolution

_CONV_BITS = 24  # PyConvModelFixed.clamp_precision


class Synapse(Protocol):
    """Connections into one layer."""

    @property
    def input_shape(self) -> tuple[int, ...]: ...

    @property
    def output_shape(self) -> tuple[int, ...]: ...

    @property
    def weights(self) -> tuple[IntArray, ...]:
        """As the synapse holds them: one array, or real and imaginary part."""

    @property
    def fan_in(self) -> int:
        """Synapses onto one neuron, zeros included."""

    @property
    def existing(self) -> int:
        """Synapses: weights that are not 0, counted for every output."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the same layer of an ANN: weights for every output, zeros and padding included."""

    def drive(self, messages: Array, largest: int) -> Array:
        """What reaches the neurons in the step after each message, and in no other.

        Args:
            messages: whole numbers of at most ``largest`` in magnitude, (B, steps, *input_shape); bytes are 0 or 1.

        Returns:
            Whole numbers, (B, steps, *output_shape): what arrives a step later; complex for complex weights.

        Raises:
            UserError: a sum could pass what Lava defines.
        """

    def reach(self, largest: int) -> int | None:
        """What a drive never passes in magnitude, with messages of at most ``largest``; None if not known."""

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

    @property
    def weights(self) -> tuple[IntArray, ...]:
        return (self.mantissa,)

    @property
    def fan_in(self) -> int:
        return self.mantissa.shape[1]

    @property
    def existing(self) -> int:
        return int(np.count_nonzero(self.mantissa))

    @property
    def macs(self) -> int:
        return self.mantissa.size

    def operations(self, events: Array) -> IntArray:
        return events @ np.count_nonzero(self.mantissa, axis=0)

    @cached_property
    def _largest(self) -> int:
        return largest_sum(self.mantissa)


@dataclass(frozen=True)
class DenseSynapse(_AllToAll):
    """All-to-all synapses: ``PyDenseModelBitAcc`` of lava/proc/dense/models.py.

    A neuron receives ``sum_j mantissa_ij * s_j >> shift``, rounded down, of a sum of 32 bits.
    """

    def drive(self, messages: Array, largest: int) -> Array:
        if self._largest * largest <= INT32_MAX:  # before the shift: that is where Lava wraps
            return self._matrix.sums(messages, largest)
        wrapped = wrap_int32(Matrix.of(self.mantissa, 0).sums(messages, largest))
        shifted: Array = wrapped >> np.int32(self.shift)
        return shifted

    def reach(self, largest: int) -> int | None:
        bound = self._largest * largest
        return (bound >> self.shift) + 1 if bound <= INT32_MAX else None

    @cached_property
    def _matrix(self) -> Matrix:
        return Matrix.of(self.mantissa, self.shift)


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

    @property
    def weights(self) -> tuple[IntArray, ...]:
        return (self.real.mantissa, self.imag.mantissa)

    @property
    def fan_in(self) -> int:
        return self.real.fan_in + self.imag.fan_in

    @property
    def existing(self) -> int:
        return self.real.existing + self.imag.existing

    @property
    def macs(self) -> int:
        return self.real.macs + self.imag.macs

    def drive(self, messages: Array, largest: int) -> Array:
        return self.real.drive(messages, largest) + 1j * self.imag.drive(messages, largest).astype(np.float64)

    def reach(self, largest: int) -> int | None:
        return None

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

    def drive(self, messages: Array, largest: int) -> Array:
        """Raises UserError where Lava's products pass 32 bits before they are summed in 64."""
        if (product := int(np.abs(self.mantissa).max()) * largest) > INT32_MAX:
            raise UserError(
                f"{self.label}: weight times payload can reach {product} with payloads up to {largest}, beyond the "
                f"{INT32_MAX} of Lava's delayed synapses: use smaller payloads"
            )
        batch, steps = messages.shape[:2]
        delays = np.unique(self.delays)
        total: Array = np.zeros((batch, steps, *self.output_shape), exact_dtype(self.reach(largest)))
        for delay in delays:
            here = self.delays == delay
            rows = here.any(1)
            if delay < steps:
                matrix = Matrix.of(np.where(here, self.mantissa, 0)[rows], self.shift)
                total[:, delay:, rows] += matrix.sums(messages[:, : steps - delay], largest)
        return total

    def reach(self, largest: int) -> int:
        return (self._largest * largest >> self.shift) + len(np.unique(self.delays))  # 1 each for rounding down


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

    def drive(self, messages: Array, largest: int) -> Array:
        """Raises UserError when a sum could pass 32 bits: what Lava makes of it then depends on the processor."""
        bound, half = self._largest * largest, 1 << (_CONV_BITS - 1)
        if bound > INT32_MAX:
            raise UserError(
                f"{self.label}: sums can reach {bound} with spikes up to {largest}, beyond the {INT32_MAX} of "
                "Lava's Conv: use smaller weights or payloads"
            )
        batch, steps = messages.shape[:2]
        if not steps * batch:
            return np.zeros((batch, steps, *self.output_shape), np.float32)
        if messages.dtype == np.uint8 and self.in_tables is not None:
            return self.in_tables.sums(messages)
        planes = messages.reshape(-1, *self.input_shape)
        on_bytes = self._on_bytes if messages.dtype == np.uint8 else None
        sums: Array = self._convolve(planes, bound) if on_bytes is None else on_bytes.sums(planes)
        if bound >= half:
            sums = (sums + half) % (2 * half) - half
        return sums.reshape(batch, steps, *self.output_shape)

    def reach(self, largest: int) -> int:
        return min(self._largest * largest, 1 << (_CONV_BITS - 1))

    @property
    def weights(self) -> tuple[IntArray, ...]:
        return (self.kernel,)

    @property
    def fan_in(self) -> int:
        return self.kernel[0].size

    @property
    def existing(self) -> int:
        return int(self._fan_out.sum(dtype=np.int64))

    @property
    def macs(self) -> int:
        x, y, _ = self.output_shape
        return x * y * self.kernel.size

    def operations(self, events: Array) -> IntArray:
        from spk2loihi.netx.neuron_kernels import weighted_sums

        met: IntArray = weighted_sums(np.ascontiguousarray(events, np.int32).reshape(len(events), -1), self._fan_out)
        return met

    @cached_property
    def _largest(self) -> int:
        return largest_sum(self.kernel.reshape(len(self.kernel), -1))

    @cached_property
    def in_tables(self) -> TableConvolution | None:
        if self.groups > 1:
            return None
        return table_convolution(
            self.kernel, self.input_shape, self.output_shape, self.stride, self.padding, self.dilation
        )

    @cached_property
    def _on_bytes(self) -> ByteConvolution | None:
        from spk2loihi.netx.byte_convolution import byte_convolution

        return byte_convolution(
            self.kernel, self.input_shape, self.stride, self.padding, self.dilation, self.groups, self._convolve
        )

    @cached_property
    def _fan_out(self) -> NDArray[np.int32]:
        """How many weights that are not 0 a message of each neuron meets, flat (x, y, channel)."""
        x, y, channels = self.input_shape
        out, into, *taps = self.kernel.shape
        blocks = (self.kernel != 0).reshape(self.groups, out // self.groups, into, *taps)
        weights = blocks.sum(1, dtype=np.int32).reshape(channels, *taps)  # that a tap has for each channel in
        met = np.zeros((x, y, channels), np.int32)
        for tap_x, tap_y in np.ndindex(*taps):
            met[self._under_tap(0, tap_x), self._under_tap(1, tap_y)] += weights[:, tap_x, tap_y]
        return met.reshape(-1)

    def _under_tap(self, axis: int, tap: int) -> slice:
        """Inputs along an axis that a tap of the kernel meets, as it moves over the output."""
        stride, first = self.stride[axis], tap * self.dilation[axis] - self.padding[axis]
        before = max(0, -(first // stride))  # places where the tap lies before the input
        last = min(self.output_shape[axis] - 1, (self.input_shape[axis] - 1 - first) // stride)
        return slice(0, 0) if last < before else slice(first + before * stride, first + last * stride + 1, stride)

    def _convolve(self, planes: Array, bound: int) -> Array:
        """(N, *input_shape) to (N, *output_shape), in floats, exact while no sum passes ``bound``."""
        import torch

        dtype = exact_dtype(bound)
        if torch.get_float32_matmul_precision() != "highest":  # torch may round float32 to 8 or 11 bits then
            dtype = np.float64
        channels_first = torch.from_numpy(planes.astype(dtype, copy=False)).permute(0, 3, 1, 2)  # (N, c, x, y), a view
        weight = torch.from_numpy(self.kernel.astype(dtype)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            sums = torch.conv2d(channels_first, weight, None, self.stride, self.padding, self.dilation, self.groups)
            last: Array = sums.permute(0, 2, 3, 1).contiguous().numpy()  # (N, x, y, c)
        return last
