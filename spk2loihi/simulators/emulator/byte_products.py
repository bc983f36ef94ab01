"""Products of spike counts and synapses on a processor's 8-bit units, with the sums of 32-bit integers.

Counts travel as bytes ``m = n + zero``, zero being T for signed populations and 0 for others. The kernel is oneDNN's
product of unsigned and signed bytes (`torch.ops.onednn.qlinear_pointwise`). Processors without VNNI instructions add
pairs of products in 16 bits, which saturates where a byte passes 128; so bytes here never do (128 * 127 * 2 < 2**15).
`torch._int_mm` has no fast kernel on such processors (2 against 150 Gop/s on AVX2), and is no faster on others.

An axon's exponent goes where there is room: into its byte as far as 128 allows, the rest into its weights, whose
excess over a signed byte is spread over copies of the axon.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.compiled import Bytes, Floats, compiled
from spk2loihi.network.network import SynapseGroup
from spk2loihi.simulators.emulator.byte_vectors import scale_channels

# oneDNN keeps a kernel for each of the last 1,024 shapes, and every batch has another number of tokens: memory would
# grow with the data set. It reads this when its first kernel is made.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")

_BYTE_MAX = 128  # see above
_WEIGHT_MAX = 127
_MOST_COPIES = 2  # beyond twice the axons the float32 product is as fast


class Product(Protocol):
    """Dense synapses of one group."""

    def drive(self, m: Bytes) -> Floats:
        """U of counts (rows, d_in): integers, (rows, d_out)."""


def make_product(group: SynapseGroup, zero: int, most: int, bias: NDArray[np.float64]) -> Product:
    """The fastest exact product on this processor; ``bias`` (d_out,) is added to U.

    Args:
        zero: byte of count 0.
        most: the largest |n|, T.
    """
    if byte_kernel_is_exact():
        packed = pack(group, zero, most)
        if packed is not None:
            return ByteProduct(*packed, bias)
    return FloatProduct(group, zero, bias)


Packed = tuple[NDArray[np.int8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64], int]
"""Weights (d_out, axons), factors and offsets (d_in,), axons repeated after the first d_in, zero of the scaled bytes"""


def pack(group: SynapseGroup, zero: int, most: int, largest: int = _BYTE_MAX) -> Packed | None:
    """Bytes up to ``largest`` whose product is the group's, or None where it takes too many copies of axons."""
    span = zero + most
    room = (largest // span).bit_length() - 1
    if room < 0:
        return None
    shift = np.minimum(group.exponent, room)  # goes into the byte
    rest = (group.weight << (group.exponent - shift)).astype(np.int32)  # (d_out, d_in)
    copies = np.maximum(1, -(-np.maximum(rest.max(0), -rest.min(0)) // _WEIGHT_MAX))
    if copies.sum() > _MOST_COPIES * len(copies):
        return None
    top = int(shift.max())
    factor, offset = (1 << shift).astype(np.uint8), ((zero << top) - (zero << shift)).astype(np.uint8)
    if copies.max() == 1:
        return rest.astype(np.int8), factor, offset, np.zeros(0, np.int64), zero << top
    shared = np.sign(rest) * (np.abs(rest) // copies)  # every copy's weight, but for what does not divide
    left = np.abs(rest) % copies
    repeated = np.repeat(np.arange(len(copies)), copies - 1)
    turn = np.concatenate([np.arange(1, c) for c in copies]).astype(np.int64)
    extra = shared[:, repeated] + np.sign(rest[:, repeated]) * (turn < left[:, repeated])
    weight = np.hstack([shared + np.sign(rest) * (left > 0), extra]).astype(np.int8)
    return weight, factor, offset, repeated, zero << top


class ByteProduct:
    """On bytes; `fire` is the whole of a stage without a soma function in one kernel."""

    def __init__(
        self,
        weight: NDArray[np.int8],
        factor: NDArray[np.uint8],
        offset: NDArray[np.uint8],
        repeated: NDArray[np.int64],
        zero: int,
        bias: NDArray[np.float64],
    ) -> None:
        outputs = len(weight)
        self.weight = torch.from_numpy(weight)
        self._packed = torch.ops.onednn.qlinear_prepack(self.weight, None)
        self._scales, self._zeros = torch.ones(outputs), torch.zeros(outputs, dtype=torch.int64)
        self._factor, self._offset, self._repeated = factor, offset, repeated
        self._plain = not len(repeated) and not offset.any() and bool((factor == 1).all())
        self._zero = zero
        self._bias_float = torch.from_numpy(bias.astype(np.float32))

    def bytes(self, m: Bytes) -> Bytes:
        """The kernel's left operand: exponents applied, repeated axons appended, (rows, axons)."""
        if self._plain:
            return m
        x = np.empty((len(m), self.weight.shape[1]), np.uint8)
        spread_axons(m, self._factor, self._offset, self._repeated, x)
        return x

    def drive(self, m: Bytes) -> Floats:
        return self._kernel(torch.from_numpy(self.bytes(m)), self._bias_float, 1.0, 0, torch.float32).numpy()

    def fire(self, m: Bytes, threshold: int, zero: int, most: int) -> Bytes:
        """``clip(floor((U + threshold // 2) / threshold)) + zero`` as bytes. The caller has asked `fires_exactly`.

        The kernel rounds U / threshold to the nearest integer, which for odd thresholds has no ties and for even ones
        has none after half a unit is added.
        """
        bias = self._bias_float if threshold % 2 else self._bias_float + 0.5
        fired = self._kernel(torch.from_numpy(self.bytes(m)), bias, float(threshold), zero, torch.uint8)
        n: Bytes = fired.numpy()
        _clip(n, zero - most if zero else 0, zero + most)
        return n

    def _kernel(self, x: Tensor, bias: Tensor, scale: float, zero: int, dtype: torch.dtype) -> Tensor:
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            x, 1.0, self._zero, self._packed, self._scales, self._zeros, bias, scale, zero, dtype, "none", [], ""
        )
        return result


@compiled
def spread_axons(m: Bytes, factor: Bytes, offset: Bytes, repeated: NDArray[np.int64], x: Bytes) -> None:
    scale_channels(m, factor, offset, x)
    d = m.shape[1]
    for copy in range(len(repeated)):
        source = np.uint64(repeated[copy])  # no place from the end
        times, more = factor[source], offset[source]
        for row in range(len(m)):
            x[row, d + copy] = m[row, source] * times + more


@compiled
def _clip(m: Bytes, low: int, high: int) -> None:
    least, largest = np.uint8(low), np.uint8(high)
    for row in range(len(m)):
        for c in range(m.shape[1]):
            m[row, c] = min(max(m[row, c], least), largest)


def fires_exactly(threshold: int, most: int) -> bool:
    """Whether float32 tells on which side of a firing boundary U lies.

    U is an integer, so that U plus half a unit is half a unit or more from any; in thresholds, counts being at most
    2 ``most``, rounding moves it by less than ``(2 most + 2) * 2**-22``.
    """
    return threshold * (2 * most + 2) < 2**21


class FloatProduct:
    """In float32, whose sums are exact below 2**24: where bytes do not fit, or are not fast."""

    def __init__(self, group: SynapseGroup, zero: int, bias: NDArray[np.float64]) -> None:
        self._weight = torch.from_numpy(group.scaled.astype(np.float32).T.copy())
        self._zero = float(zero)
        self._bias = torch.from_numpy(bias.astype(np.float32))

    def drive(self, m: Bytes) -> Floats:
        return torch.addmm(self._bias, torch.from_numpy(m).float().sub_(self._zero), self._weight).numpy()


@cache
def byte_kernel_is_exact() -> bool:
    """Whether this build of torch has the kernel, and it does not saturate on this processor within our bounds."""
    axons, outputs = 256, 64
    rng = np.random.default_rng(0)
    m = rng.integers(0, _BYTE_MAX + 1, (40, axons), dtype=np.uint8)
    weight = rng.integers(-_WEIGHT_MAX, _WEIGHT_MAX + 1, (outputs, axons), dtype=np.int8)
    m[:8], weight[:8], weight[8:16] = _BYTE_MAX, _WEIGHT_MAX, -_WEIGHT_MAX
    ones, none = np.ones(axons, np.uint8), np.zeros(axons, np.uint8)
    try:
        product = ByteProduct(weight, ones, none, np.zeros(0, np.int64), 64, np.zeros(outputs))
        u, fired = product.drive(m), product.fire(m, 1024, 16, 16)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    expected = (m.astype(np.int64) - 64) @ weight.T.astype(np.int64)
    return bool((u == expected).all() and (fired == np.clip((expected + 512) // 1024, -16, 16) + 16).all())
