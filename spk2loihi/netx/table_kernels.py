"""The loops of `table_convolution`, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spk2loihi.compiled import compiled
from spk2loihi.netx.arrays import Array
from spk2loihi.netx.lif_arrays import LifNeurons, LifRun, LifState
from spk2loihi.netx.neuron_kernels import lif_steps, samples_of
from spk2loihi.netx.table_layout import BITS, TOGETHER, Layout, Tables

_BAND_BUDGET = 2**18  # bytes of drive at a time: a part of a second-level cache

_I64 = ir.IntType(64)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _add_rows(
    _: Any, lanes: Any, table: Any, first: Any, apart: Any, codes: Any, corner: Any, offsets: Any, factor: Any,
    sums: Any, out: Any,
) -> Any:  # fmt: skip
    """``sums[out : out + lanes]`` = factor times the sum of a row for each look-up.

    Row k starts at ``first + k * apart + codes[corner + offsets[k]]`` of ``table``. Written in vectors of LLVM, which
    every processor has in some form, since the sums have to stay in registers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, table_, first_, apart_, codes_, corner_, offsets_, factor_, sums_, out_ = arguments

        def pointer(at: int, array: Any) -> Any:
            return context.make_array(signature.args[at])(context, builder, array).data

        table_at = builder.gep(pointer(1, table_), [first_])
        codes_at, offsets_at = builder.gep(pointer(4, codes_), [corner_]), pointer(6, offsets_)
        sums_at = builder.gep(pointer(8, sums_), [out_])
        narrow, wide = (ir.VectorType(at.type.pointee, lanes.literal_value) for at in (table_at, sums_at))
        count = context.make_array(signature.args[6])(context, builder, offsets_).nitems
        total = cgutils.alloca_once_value(builder, ir.Constant(wide, None))

        def widen(rows: Any) -> None:
            more = rows if narrow == wide else builder.sext(rows, wide)
            builder.store(builder.add(builder.load(total), more), total)

        def row(look_up: Any) -> Any:
            code = builder.load(builder.gep(codes_at, [builder.load(builder.gep(offsets_at, [look_up]))]))
            start = builder.add(builder.mul(look_up, apart_), builder.zext(code, _I64))
            return builder.load(builder.bitcast(builder.gep(table_at, [start]), narrow.as_pointer()), align=1)

        together = ir.Constant(_I64, TOGETHER)
        full = builder.mul(builder.udiv(count, together), together)
        with cgutils.for_range_slice(builder, ir.Constant(_I64, 0), full, together, intp=_I64) as (k, _):
            rows = row(k)
            for more in range(1, TOGETHER):
                rows = builder.add(rows, row(builder.add(k, ir.Constant(_I64, more))))
            widen(rows)
        with cgutils.for_range(builder, count, full) as loop:
            widen(row(loop.index))
        scale = builder.insert_element(ir.Constant(wide, None), builder.trunc(factor_, wide.element), ir.IntType(32)(0))
        scale = builder.shuffle_vector(scale, scale, ir.Constant(ir.VectorType(ir.IntType(32), wide.count), None))
        result = builder.mul(builder.load(total), scale)
        builder.store(result, builder.bitcast(sums_at, wide.as_pointer()), align=1)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(lanes, table, whole, whole, codes, whole, offsets, whole, sums, whole), generate


@compiled
def room(layout: Layout, planes: int, height: int, rows: int) -> tuple[int, int]:
    """Codes and sums that ``rows`` rows of outputs along x of some planes of inputs, ``height`` along y, take."""
    across = (rows - 1) * layout.stride_x + layout.span
    codes = planes * across * (height + 2 * layout.padding_y) * layout.groups
    return codes, planes * rows * layout.outputs_y * layout.channels + layout.lanes


@compiled
def table_sums(planes: Array, steps: int, begin: int, rows: int, tables: Tables, codes: Array, sums: Array) -> None:
    """Sums of some rows of outputs along x.

    Args:
        planes: bytes of 0 and 1, (B, more or equally many steps, x, y, channel).
        begin, rows: first row and how many.
        codes: flat, uint16, room for `room`, used.
        sums: flat, likewise, (B, steps, rows, y, channel) written.
    """
    layout, offsets, table = tables.layout, tables.offsets, tables.table
    across, high = (rows - 1) * layout.stride_x + layout.span, planes.shape[3] + 2 * layout.padding_y
    of_x, of_plane = high * layout.groups, across * high * layout.groups
    count = len(planes) * steps
    shaped = codes[: count * of_plane].reshape(len(planes), steps, across, of_x)
    first = begin * layout.stride_x - layout.padding_x
    if planes.shape[4] < BITS:
        _merged_codes(planes, first, layout, shaped)
    else:
        _group_codes(planes, first, layout, shaped)
    block = len(table) // layout.blocks
    apart, lanes, factor = block // len(offsets), layout.lanes, layout.factor
    for plane in range(count):
        # The last block first: its unused lanes write into what follows, which other blocks and outputs overwrite.
        for b in range(layout.blocks - 1, -1, -1):
            out = plane * rows * layout.outputs_y * layout.channels + b * lanes
            for x in range(rows):
                corner = plane * of_plane + x * layout.stride_x * of_x
                for _ in range(layout.outputs_y):
                    if lanes == 16:
                        _add_rows(16, table, b * block, apart, codes, corner, offsets, factor, sums, out)
                    elif lanes == 32:
                        _add_rows(32, table, b * block, apart, codes, corner, offsets, factor, sums, out)
                    else:
                        _add_rows(64, table, b * block, apart, codes, corner, offsets, factor, sums, out)
                    corner += layout.stride_y * layout.groups
                    out += layout.channels


@compiled
def _pixels(planes: Array, start: int, channels: int, pixels: Array) -> None:
    """Bytes of 0 and 1, ``channels`` a pixel, flat from ``start`` on, to a number of as many bits each."""
    from_ = planes[start : start + channels * len(pixels)]
    if channels == 3:  # where the number of channels is known, in vector instructions
        for y in range(len(pixels)):
            pixels[y] = np.uint8(from_[3 * y] | np.uint8(from_[3 * y + 1] << 1) | np.uint8(from_[3 * y + 2] << 2))
    elif channels == 2:
        for y in range(len(pixels)):
            pixels[y] = np.uint8(from_[2 * y] | np.uint8(from_[2 * y + 1] << 1))
    else:
        for y in range(len(pixels)):
            pixels[y] = from_[y]


@compiled
def _merged_codes(planes: Array, first: int, layout: Layout, codes: Array) -> None:
    """Codes of inputs of up to 3 channels, (B, steps, rows along x, y padded), written.

    A code is ``lanes`` times a number, of whose bits the lowest are the channels of the input there, the next those of
    its neighbour along y, and so on; 0 where there are no inputs.

    Args:
        planes: as of `table_sums`.
        first: row of inputs along x that the first row of codes belongs to.
    """
    width, height, channels = planes.shape[2:]
    above = layout.padding_y
    pixels = np.zeros(codes.shape[3] + layout.merged * layout.apart, np.uint16)
    for b in range(codes.shape[0]):
        for t in range(codes.shape[1]):
            plane = planes[b, t].reshape(-1)
            for i in range(codes.shape[2]):
                row = codes[b, t, i]
                row[:] = 0
                if not 0 <= first + i < width:
                    continue
                _pixels(plane, (first + i) * height * channels, channels, pixels[above : above + height])
                for k in range(layout.merged):
                    scale, neighbours = np.uint16(layout.lanes << k * channels), pixels[k * layout.apart :]
                    for y in range(len(row)):
                        row[y] += np.uint16(neighbours[y] * scale)


@compiled
def _group_codes(planes: Array, first: int, layout: Layout, codes: Array) -> None:
    """Codes of inputs of a multiple of 4 channels, one for every four, (B, steps, rows along x, y padded times groups).

    A code is ``lanes`` times a number of four bits, the first channel's the lowest. Otherwise as `_merged_codes`.
    """
    above = layout.padding_y * layout.groups
    for b in range(codes.shape[0]):
        for t in range(codes.shape[1]):
            for i in range(codes.shape[2]):
                row = codes[b, t, i]
                if not 0 <= first + i < planes.shape[2]:
                    row[:] = 0
                    continue
                row[:above] = 0
                row[len(row) - above :] = 0
                words = planes[b, t, first + i].reshape(-1).view(np.uint32)
                inner = row[above : above + len(words)]
                for k in range(len(words)):
                    # Little-endian bytes b0 b1 b2 b3; their bits gather in the highest byte of the product.
                    bits = np.uint32(np.uint32(words[k] * np.uint32(0x01020408)) >> np.uint32(24))
                    inner[k] = np.uint16(bits) * np.uint16(layout.lanes)


@compiled
def convolve_and_fire(planes: Array, tables: Tables, neurons: LifNeurons, state: LifState, run: LifRun) -> None:
    """`table_sums`, then `lif_steps`, some rows along x of one sample at a time, all steps of them.

    So neurons take up their drive while it is in the cache.
    """
    layout, sent = tables.layout, run.sent
    batch, steps = len(sent), max(sent.shape[1] - 1, 0)  # what arrives in the last step answers nothing
    of_row = layout.outputs_y * layout.channels
    together = min(max(_BAND_BUDGET // (max(steps, 1) * of_row * tables.sums_like.itemsize), 1), layout.outputs_x)
    of_codes, of_sums = room(layout, steps, planes.shape[3], together)
    codes, sums = np.empty(of_codes, np.uint16), np.empty(of_sums, tables.sums_like.dtype)
    for b in range(batch):
        one = slice(b, b + 1)
        mine = LifState(samples_of(state.u, b), state.v[one])
        here = LifRun(run.rest, sent[one], run.sums[one], run.row_of, run.taped_u[one], run.taped_v[one])
        for begin in range(0, layout.outputs_x, together):
            rows = min(together, layout.outputs_x - begin)
            table_sums(planes[b : b + 1], steps, begin, rows, tables, codes, sums)
            drive = sums[: steps * rows * of_row].reshape(1, steps, rows * of_row)
            lif_steps(drive, 1, begin * of_row, neurons, mine, here)
