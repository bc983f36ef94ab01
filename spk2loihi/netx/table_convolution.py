"""Convolutions of spikes by look-up: what a few neighbouring inputs add to all outputs is kept in tables.

A spike is one bit, so four inputs have 16 patterns, and for each the sums of their weights to all output channels are a
row, added up beforehand. A convolution adds one row for four inputs, in vector registers, whatever their spikes are,
and multiplies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arena import arrays
from spk2loihi.netx.hdf5_access import IntArray
from spk2loihi.netx.number_types import Array

BITS = 4  # inputs of a look-up: channels, or
_MERGED_BITS = 6  # if there are fewer channels, those of neighbours along y, too
TOGETHER = 6  # rows added in the tables' type before they are widened
_LANES = (16, 32, 64)  # output channels that are added at once
_TABLE_BUDGET = 2**20  # bytes: larger tables leave the second-level cache, and matrix units win
_SUM_MAX = 2**23 - 1  # beyond, Lava's convolutions wrap

Pair = tuple[int, int]


class Layout(NamedTuple):
    """Where the inputs and outputs of a `TableConvolution` lie, and what its tables are.

    Attributes:
        outputs_x, outputs_y, channels: of a plane of outputs.
        stride_x, stride_y, padding_x, padding_y: of the convolution.
        span: rows of inputs along x that an output spans.
        groups: look-ups of an input.
        merged, apart: how many neighbours along y a look-up merges, and how far apart they are.
        lanes, blocks: output channels that are added at once, and how often that covers all.
        factor: of all sums.
    """

    outputs_x: int
    outputs_y: int
    channels: int
    stride_x: int
    stride_y: int
    padding_x: int
    padding_y: int
    span: int
    groups: int
    merged: int
    apart: int
    lanes: int
    blocks: int
    factor: int


@dataclass(frozen=True)
class TableConvolution:
    """A convolution of spikes. Made by `table_convolution`.

    Attributes:
        layout: of inputs, outputs and tables.
        offsets: of the look-ups of an output: where their codes are, from that at the output's corner on, (look-ups,).
        table: sums of weights, (blocks of output channels, look-ups, patterns and one more, lanes), flat. With one row
            more, the same pattern of different look-ups is at different places of the first-level cache.
        dtype: of sums, int16 or int32.
    """

    layout: Layout
    offsets: NDArray[np.int64]
    table: Array
    dtype: Any

    def sums(self, planes: NDArray[np.uint8]) -> Array:
        """0 and 1, (B, steps, x, y, channel), to whole numbers, (B, steps, x, y, channel out)."""
        from spk2loihi.netx.table_kernels import room, table_sums  # numba takes a while to import

        planes, (batch, steps) = self.padded(planes), planes.shape[:2]
        rows = self.layout.outputs_x
        of_codes, of_sums = room(self.layout, batch * steps, planes.shape[3], rows)
        codes, sums = np.empty(of_codes, np.uint16), np.empty(of_sums, self.dtype)
        table_sums(planes, steps, 0, rows, self.layout, self.offsets, self.table, codes, sums)
        return sums[: -self.layout.lanes].reshape(batch, steps, *self.layout[:3])

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
    [table] = arrays([(blocks, look_ups, 2**bits + 1, lanes)], [table_dtype])
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
    return TableConvolution(layout, offsets, table.reshape(-1), dtype)
