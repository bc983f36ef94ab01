"""Products of unsigned and signed bytes inside compiled loops, with VNNI instructions.

torch's product (`byte_products`) prepares itself for every new shape, which takes longer than the product of a single
sentence. A network that is one compiled call (`program_loops`) needs a product that it can call itself, for any number
of rows. VNNI adds four products of bytes to 32 bits, and does not saturate whatever the bytes are.

Right operands are packed into blocks of four rows by sixteen columns; the four bytes of a column follow one another.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from spk2loihi.compiled import Bytes, Floats, inlined

SignedBytes = NDArray[np.int8]
Sums = NDArray[np.int32]

LANES = 16
"""Columns of a block."""
DEPTH = 4
"""Rows of a block."""
BLOCK = LANES * DEPTH
VECTORS = 4
"""Most blocks beside one another in a tile, whose sums stay in registers."""

_ROWS = 6  # most rows of a tile: with four vectors each, 24 of the 32 registers
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_WIDE, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)
_DOT = "llvm.x86.avx512.vpdpbusd.512"


@cache
def has_vnni() -> bool:
    """Whether this processor has the instructions, and numba compiles for them."""
    return "+avx512vnni" in str(cpu_target.target_context.codegen().magic_tuple())


def pack_weight(weight: SignedBytes) -> SignedBytes:
    """(d_out, axons) to flat blocks, in groups of `VECTORS`: (d_out / 64, axons / 4, 4, 16, 4), filled up with 0."""
    outputs, axons = weight.shape
    full = np.zeros((-(-outputs // (VECTORS * LANES)), VECTORS * LANES, -(-axons // DEPTH), DEPTH), np.int8)
    full.reshape(len(full) * VECTORS * LANES, -1)[:outputs, :axons] = weight
    return full.swapaxes(1, 2).ravel()


@inlined
def multiply(
    left: Bytes,
    left_at: int,
    left_apart: int,
    rows: int,
    right: SignedBytes,
    right_at: int,
    right_apart: int,
    blocks: int,
    vectors: int,
    bias: Sums,
    bias_at: int,
    out: Floats,
    out_at: int,
    out_apart: int,
) -> None:
    """``left @ right + bias`` of flat arrays, (rows, 16 vectors), integers below 2**24 as float32.

    Rows of ``left`` and ``out`` are ``.._apart`` elements apart, four rows of ``right`` (``blocks`` of them)
    ``right_apart``. Rows of ``out`` are written in turn, so they may overlap: the end of one is the start of the next.
    """
    parts = -(-rows // _ROWS)
    done = 0
    while done < vectors:
        width = min(vectors - done, VECTORS)
        width = 2 if width == 3 else width
        at = 0
        for part in range(parts):
            many = rows // parts + (part < rows % parts)
            _tile(
                many, width, left, left_at + at * left_apart, left_apart, right, right_at + done * BLOCK, right_apart,
                blocks, bias, bias_at + done * LANES, out, out_at + at * out_apart + done * LANES, out_apart,
            )  # fmt: skip
            at += many
        done += width


@intrinsic  # type: ignore[untyped-decorator]
def _tile(
    _: Any, rows: Any, vectors: Any, left: Any, left_at: Any, left_apart: Any, right: Any, right_at: Any,
    right_apart: Any, blocks: Any, bias: Any, bias_at: Any, out: Any, out_at: Any, out_apart: Any,
) -> Any:  # fmt: skip
    """Up to `_ROWS` rows and 1, 2 or 4 vectors of `multiply`: a loop of its own for each size."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def start(array: int) -> Any:
            data = context.make_array(signature.args[array])(context, builder, arguments[array]).data
            return builder.gep(data, [arguments[array + 1]])

        places = start(2), arguments[4], start(5), arguments[7], arguments[8], start(9), start(11), arguments[13]
        after = builder.append_basic_block("tiled")
        sizes = [(many, wide) for many in range(1, _ROWS + 1) for wide in (1, 2, VECTORS)]
        cases = [builder.append_basic_block("tile") for _ in sizes]
        code = builder.add(builder.mul(arguments[0], ir.Constant(_I64, VECTORS + 1)), arguments[1])
        switch = builder.switch(code, cases[0])
        for (many, wide), case in zip(sizes, cases, strict=True):
            switch.add_case(ir.Constant(_I64, many * (VECTORS + 1) + wide), case)
            builder.position_at_end(case)
            _one_size(builder, many, wide, *places)
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    i = types.int64
    return types.void(i, i, left, i, i, right, i, i, i, bias, i, out, i, i), generate


def _one_size(
    builder: Any, many: int, wide: int, left: Any, left_apart: Any, right: Any, right_apart: Any, blocks: Any,
    bias: Any, out: Any, out_apart: Any,
) -> None:  # fmt: skip
    def index(value: int) -> Any:
        return ir.Constant(_I64, value)

    def load(at: Any, kind: Any) -> Any:
        return builder.load(builder.bitcast(at, kind.as_pointer()), align=1)

    dot = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_WIDE, [_WIDE] * 3), _DOT)
    lefts = [builder.gep(left, [builder.mul(left_apart, index(i))]) for i in range(many)]
    first = [load(builder.gep(bias, [index(v * LANES)]), _WIDE) for v in range(wide)]
    before, body, after = builder.block, builder.append_basic_block("dot"), builder.append_basic_block("dotted")
    builder.branch(body)
    builder.position_at_end(body)  # runs at least once
    k = builder.phi(_I64)
    k.add_incoming(index(0), before)
    sums = [[builder.phi(_WIDE) for _ in range(wide)] for _ in range(many)]
    row = builder.gep(right, [builder.mul(k, right_apart)])
    here = [load(builder.gep(row, [index(v * BLOCK)]), _WIDE) for v in range(wide)]
    added = []
    for i in range(many):
        four = load(builder.gep(lefts[i], [builder.mul(k, index(DEPTH))]), _I32)
        one = builder.insert_element(ir.Constant(_WIDE, ir.Undefined), four, _I32(0))
        spread = builder.shuffle_vector(one, one, ir.Constant(_WIDE, None))
        added.append([builder.call(dot, [sums[i][v], spread, here[v]]) for v in range(wide)])
    following = builder.add(k, index(1))
    k.add_incoming(following, body)
    for i in range(many):
        for v in range(wide):
            sums[i][v].add_incoming(first[v], before)
            sums[i][v].add_incoming(added[i][v], body)
    builder.cbranch(builder.icmp_signed("<", following, blocks), body, after)
    builder.position_at_end(after)
    for i in range(many):
        at = builder.gep(out, [builder.mul(out_apart, index(i))])
        for v in range(wide):
            target = builder.bitcast(builder.gep(at, [index(v * LANES)]), _FLOATS.as_pointer())
            builder.store(builder.sitofp(added[i][v], _FLOATS), target, align=1)
