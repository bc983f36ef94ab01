"""Convolutions of spikes by look-up: what a few neighbouring inputs add to all outputs is kept in tables.

A spike is one bit, so four inputs have 16 patterns, and for each the sums of their weights to all output channels are a
row, added up beforehand. A convolution adds one row for four inputs, in vector registers, whatever their spikes are,
and multiplies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arrays import Array, allocate
from spk2loihi.netx.hdf5_access import IntArray
from spk2loihi.netx.table_layout import BITS, TOGETHER, Layout, Tables

_MERGED_BITS = 6  # inputs of a look-up that merges neighbours along y
_LANES = (16, 32, 64)  # output channels that are added at once
_TABLE_BUDGET = 2**20  # bytes: larger tables leave the second-level cache, and matrix units win
_SUM_MAX = 2**23 - 1  # beyond, Lava's convolutions wrap

Pair = tuple[int, int]


@dataclass(frozen=True)
class TableConvolution:
    """A convolution of spikes. Made by `table_convolution`."""

    tables: Tables

    def sums(self, planes: NDArray[np.uint8]) -> Array:
        """0 and 1, (B, steps, x, y, channel), to whole numbers, (B, steps, x, y, channel out)."""
        from spk2loihi.netx.table_kernels import room, table_sums  # numba takes a while to import

        planes, (batch, steps) = self.padded(planes), planes.shape[:2]
        layout = self.tables.layout
        of_codes, of_sums = room(layout, batch * steps, planes.shape[3], layout.outputs_x)
        codes, sums = np.empty(of_codes, np.uint16), np.empty(of_sums, self.tables.sums_like.dtype)
        table_sums(planes, steps, 0, layout.outputs_x, self.tables, codes, sums)
        return sums[: -layout.lanes].reshape(batch, steps, *layout[:3])

    def padded(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """With channels to a multiple of what a look-up takes."""
        missing = -planes.shape[-1] % BITS if planes.shape[-1] > BITS else 0
        return np.ascontiguousarray(np.pad(planes, ((0, 0),) * 4 + ((0, missing),)) if missing else planes)


def table_convolution(
    kernel: IntArray,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> TableConvolution | None:
    """None where the tables or their sums would be too large.

    Args:
        kernel: (channels out, channels in, x, y).
        input_shape, output_shape, stride, padding, dilation: of `synapse.ConvSynapse`.
    """
    factor = int(np.gcd.reduce(kernel, axis=None)) or 1
    weights = (kernel // factor).transpose(2, 3, 1, 0)  # (x, y, channel, channel out)
    taps_x, taps_y, channels, outputs = weights.shape
    few = channels < BITS
    merged, groups = max(1, min(taps_y, _MERGED_BITS // channels)) if few else 1, -(-channels // BITS)
    bits = merged * channels if few else BITS
    weights = np.pad(weights, ((0, 0), (0, -taps_y % merged), (0, 0 if few else -channels % BITS), (0, 0)))
    weights = weights.reshape(taps_x, -1, bits, outputs)  # (x, look-ups, bits, channel out)

    lanes = next((lanes for lanes in _LANES if outputs <= lanes), _LANES[-1])
    blocks, look_ups = -(-outputs // lanes), taps_x * weights.shape[1]
    entries = blocks * look_ups * (2**bits + 1) * lanes
    if entries > _TABLE_BUDGET:
        return None
    of_bits = np.pad(weights.reshape(look_ups, bits, outputs), ((0, 0), (0, 0), (0, blocks * lanes - outputs)))
    patterns = np.append(np.arange(2**bits), 0)[:, None] >> np.arange(bits) & 1  # (rows, bits)
    sums = np.einsum("rb,lbo->lro", patterns, of_bits)  # (look-ups, rows, channel out)
    starts = range(0, look_ups, TOGETHER)
    partial = max(  # the largest sum of rows that are added before they are widened
        int(np.add.reduceat(edge, starts).max()) for edge in (sums.max(1), -sums.min(1))
    )
    total = int(np.abs(kernel).sum((1, 2, 3)).max())
    table_dtype = np.int8 if partial <= np.iinfo(np.int8).max else np.int16
    if entries * np.dtype(table_dtype).itemsize > _TABLE_BUDGET or partial > np.iinfo(np.int16).max or total > _SUM_MAX:
        return None
    [table] = allocate([(blocks, look_ups, 2**bits + 1, lanes)], [table_dtype])
    table[...] = sums.reshape(look_ups, -1, blocks, lanes).transpose(2, 0, 1, 3)

    row, along = (input_shape[1] + 2 * padding[1]) * groups, np.arange(weights.shape[1])
    of_row = along // groups * merged * dilation[1] * groups + along % groups
    offsets = np.add.outer(np.arange(taps_x) * dilation[0] * row, of_row).reshape(-1)
    layout = Layout(
        outputs_x=output_shape[0],
        outputs_y=output_shape[1],
        channels=outputs,
        stride_x=stride[0],
        stride_y=stride[1],
        padding_x=padding[0],
        padding_y=padding[1],
        span=dilation[0] * (taps_x - 1) + 1,
        groups=groups,
        merged=merged,
        apart=dilation[1],
        lanes=lanes,
        blocks=blocks,
        factor=factor,
    )
    dtype = np.int16 if total <= np.iinfo(np.int16).max else np.int32
    return TableConvolution(Tables(layout, offsets, table.reshape(-1), np.empty(0, dtype)))
