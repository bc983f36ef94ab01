"""Products of unsigned and signed bytes inside compiled loops, with VNNI instructions.

torch's product (`byte_products`) prepares itself for every new shape, which takes longer than the product of a single
sentence. A network that is one compiled call (`program_loops`) needs a product that it can call itself, for any number
of rows. VNNI adds four products of bytes to 32 bits, and does not saturate whatever the bytes are.

Right operands are packed into blocks of four rows by sixteen columns; the four bytes of a column follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from spk2loihi.compiled import Bytes, Floats, inlined
from spk2loihi.simulators.emulator.vector_code import FLOATS, LANES, WORD, WORDS, VectorCode, long

SignedBytes = NDArray[np.int8]
Sums = NDArray[np.int32]

DEPTH = 4
"""Rows of a block."""
BLOCK = LANES * DEPTH
"""Bytes of a block, of `LANES` columns."""
VECTORS = 4
"""Most blocks beside one another in a tile, whose sums stay in registers."""

_ROWS = 6  # most rows of a tile: with four vectors each, 24 of the 32 registers


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
    left_step: int,
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

    Rows of ``left`` and ``out`` are ``.._apart`` elements apart, four columns of ``left`` ``left_step``, and four rows
    of ``right`` (``blocks`` of them) ``right_apart``. Rows of ``out`` are written in turn, so they may overlap: the end
    of one is the start of the next.
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
                many, width, left, left_at + at * left_apart, left_apart, left_step, right, right_at + done * BLOCK,
                right_apart, blocks, bias, bias_at + done * LANES, out, out_at + at * out_apart + done * LANES,
                out_apart,
            )  # fmt: skip
            at += many
        done += width


@intrinsic  # type: ignore[untyped-decorator]
def _tile(
    _: Any, rows: Any, vectors: Any, left: Any, left_at: Any, left_apart: Any, left_step: Any, right: Any,
    right_at: Any, right_apart: Any, blocks: Any, bias: Any, bias_at: Any, out: Any, out_at: Any, out_apart: Any,
) -> Any:  # fmt: skip
    """Up to `_ROWS` rows and 1, 2 or 4 vectors of `multiply`: a loop of its own for each size."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        places = (
            code.place(2, 3), *arguments[4:6], code.place(6, 7), *arguments[8:10], code.place(10, 11),
            code.place(12, 13), arguments[14],
        )  # fmt: skip
        after = builder.append_basic_block("tiled")
        sizes = [(many, wide) for many in range(1, _ROWS + 1) for wide in (1, 2, VECTORS)]
        cases = [builder.append_basic_block("tile") for _ in sizes]
        size = builder.add(builder.mul(arguments[0], long(VECTORS + 1)), arguments[1])
        switch = builder.switch(size, cases[0])
        for (many, wide), case in zip(sizes, cases, strict=True):
            switch.add_case(long(many * (VECTORS + 1) + wide), case)
            builder.position_at_end(case)
            _one_size(code, many, wide, *places)
            builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    i = types.int64
    return types.void(i, i, left, i, i, i, right, i, i, i, bias, i, out, i, i), generate


def _one_size(
    code: VectorCode, many: int, wide: int, left: Any, left_apart: Any, left_step: Any, right: Any, right_apart: Any,
    blocks: Any, bias: Any, out: Any, out_apart: Any,
) -> None:  # fmt: skip
    builder = code.builder
    lefts = [builder.gep(left, [builder.mul(left_apart, long(i))]) for i in range(many)]
    first = [code.load(bias, long(v * LANES), WORDS) for v in range(wide)]

    def four(k: Any, sums: Sequence[Any]) -> Sequence[Any]:
        row = builder.gep(right, [builder.mul(k, right_apart)])
        here = [code.load(row, long(v * BLOCK), WORDS) for v in range(wide)]
        added = []
        for i in range(many):
            of_row = code.repeat(code.load(lefts[i], builder.mul(k, left_step), WORD), WORDS)
            added += [code.add_products(sums[i * wide + v], of_row, here[v]) for v in range(wide)]
        return added

    sums = code.loop(blocks, first * many, four)
    for i in range(many):
        row = builder.gep(out, [builder.mul(out_apart, long(i))])
        for v in range(wide):
            code.store(builder.sitofp(sums[i * wide + v], FLOATS), row, long(v * LANES))
