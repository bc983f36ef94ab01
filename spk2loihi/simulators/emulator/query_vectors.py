"""Attention in vectors of sixteen queries: a lane is a query, so no sum over keys crosses lanes.

Written as LLVM instructions, for processors with those of `byte_tiles`. Of loops over sentences of 20 tokens, a
compiler makes mostly what comes before and after its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spk2loihi.simulators.emulator.attention_firing import (
    FLOAT_EXP_A,
    FLOAT_EXP_B,
    FLOAT_EXP_C,
    FLOAT_LN2,
    FLOAT_PER_LN2,
)
from spk2loihi.simulators.emulator.byte_tiles import DEPTH
from spk2loihi.simulators.emulator.vector_code import (
    BYTES,
    FLAGS,
    FLOATS,
    LANES,
    WORDS,
    VectorCode,
    floats,
    long,
    words,
)

_FAR = float(-(2**30))  # below every score
_MANTISSA_BITS = 23
_INT, _REAL = types.int64, types.float64


@intrinsic  # type: ignore[untyped-decorator]
def pack_queries(
    _: Any, counts: Any, at: Any, apart: Any, live: Any, zero: Any, blocks: Any, factor: Any, packed: Any,
    packed_at: Any, packed_apart: Any, sums: Any, sums_at: Any,
) -> Any:  # fmt: skip
    """Counts n of up to sixteen rows as the right operand of a product, and what every sum starts from.

    Args:
        counts: bytes ``n + zero``; rows start at ``at`` and are ``apart`` elements apart.
        live: rows that there are; the last one stands in for others.
        blocks: fours of counts in a row.
        factor: ``sums`` become this times a row's sum of n.
        packed: from ``packed_at`` on; fours of counts are ``packed_apart`` elements apart.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        apart, live, zero, blocks, factor, packed_apart = (arguments[i] for i in (2, 3, 4, 5, 6, 9))
        lanes = ir.Constant(WORDS, list(range(LANES)))
        row = code.minimum(lanes, code.spread(builder.sub(live, long(1)), WORDS))
        index = builder.mul(row, code.spread(apart, WORDS))
        source, target, zeros = code.place(0, 1), code.place(7, 8), code.spread(zero, BYTES)

        def four(k: Any, sums: Sequence[Any]) -> Sequence[Any]:
            found = code.gather(builder.gep(source, [builder.mul(k, long(DEPTH))]), index)
            n = builder.bitcast(builder.sub(builder.bitcast(found, BYTES), zeros), WORDS)
            code.store(n, target, builder.mul(k, packed_apart))
            return [code.add_products(sums[0], words(0x01010101), n)]

        (total,) = code.loop(blocks, [words(0)], four)
        code.store(builder.mul(total, code.spread(factor, WORDS)), code.place(10, 11), long(0))
        return context.get_dummy_value()

    i = _INT
    return types.void(counts, i, i, i, i, i, i, packed, i, i, sums, i), generate


@intrinsic  # type: ignore[untyped-decorator]
def softmax_of_queries(
    _: Any, u: Any, at: Any, apart: Any, keys: Any, live: Any, unit: Any, last: Any, spikes: Any, offset: Any,
    doubt: Any, most: Any, exponential: Any, packed: Any, packed_at: Any, packed_apart: Any,
) -> Any:  # fmt: skip
    """Counts of up to sixteen queries; lanes in doubt (a bit each), spikes and messages.

    ``q = spikes * e / sum(e) + offset`` in float32, as of `attention_firing.fire_softmax_head`, with e as
    `attention_firing.float_exponential` has it. A lane with a q within ``doubt`` of an integer is to be computed in
    integers.

    Args:
        u: scores of ``keys``, from ``at`` on and ``apart`` elements apart.
        live: queries that there are.
        unit, last: of a score, and the farthest from the largest one that matters.
        exponential: has room for a vector a key, and three more.
        packed: counts of four keys in a word, 0 where there is no key, from ``packed_at`` on, ``packed_apart`` apart.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        apart, keys, live, packed_apart = (arguments[i] for i in (2, 3, 4, 14))
        unit, last, spikes, offset, doubt, most = (code.spread(x, FLOATS) for x in arguments[5:11])
        scores, memory, target = code.place(0, 1), code.place(11), code.place(12, 13)

        def higher(j: Any, top: Sequence[Any]) -> Sequence[Any]:
            return [code.maximum(top[0], code.load(scores, builder.mul(j, apart), FLOATS))]

        (top,) = code.loop(keys, [floats(_FAR)], higher)

        def exponentials(j: Any, total: Sequence[Any]) -> Sequence[Any]:
            z = code.load(scores, builder.mul(j, apart), FLOATS)
            e = _exponential(code, builder.fmul(code.minimum(builder.fsub(top, z), last), unit))
            code.store(e, memory, builder.mul(j, long(LANES)))
            return [builder.fadd(total[0], e)]

        (total,) = code.loop(keys, [floats(0)], exponentials)
        for beyond in range(DEPTH - 1):  # fire no spike
            code.store(floats(0), memory, builder.mul(builder.add(keys, long(beyond)), long(LANES)))
        factor, largest = builder.fdiv(spikes, total), builder.fadd(most, floats(0.5))

        def counts(k: Any, sums: Sequence[Any]) -> Sequence[Any]:
            doubtful, fired, sent = sums
            word = words(0)
            for byte in range(DEPTH):
                e = code.load(
                    memory, builder.mul(builder.add(builder.mul(k, long(DEPTH)), long(byte)), long(LANES)), FLOATS
                )
                q = code.minimum(code.product_and_sum(e, factor, offset), largest)
                n = builder.fptosi(q, WORDS)
                doubtful = builder.or_(doubtful, code.near_integer(q, doubt))
                fired = builder.add(fired, n)
                sent = builder.add(sent, builder.zext(builder.icmp_signed(">", n, words(0)), WORDS))
                word = builder.or_(word, builder.shl(n, words(8 * byte)))
            code.store(word, target, builder.mul(k, packed_apart))
            return [doubtful, fired, sent]

        fours = builder.lshr(builder.add(keys, long(DEPTH - 1)), long(DEPTH.bit_length() - 1))
        doubtful, fired, sent = code.loop(fours, [ir.Constant(FLAGS, [0] * LANES), words(0), words(0)], counts)
        exists = builder.icmp_signed("<", ir.Constant(WORDS, list(range(LANES))), code.spread(live, WORDS))
        there = [code.sum_of_lanes(builder.select(exists, x, words(0))) for x in (fired, sent)]
        return context.make_tuple(builder, signature.return_type, [code.bits(builder.and_(doubtful, exists)), *there])

    i, f = _INT, _REAL
    return types.UniTuple(i, 3)(u, i, i, i, i, f, f, f, f, f, f, exponential, packed, i, i), generate


def _exponential(code: VectorCode, x: Any) -> Any:
    """Of -x, operation by operation as `attention_firing.float_exponential`."""
    builder = code.builder
    halvings = code.floor(builder.fmul(x, floats(FLOAT_PER_LN2)))
    p = builder.fsub(floats(FLOAT_EXP_B), code.fused(halvings, floats(-FLOAT_LN2), x))
    e = code.fused(builder.fmul(p, floats(FLOAT_EXP_A)), p, floats(FLOAT_EXP_C))
    exponent = builder.shl(builder.fptosi(halvings, WORDS), words(_MANTISSA_BITS))
    return builder.bitcast(builder.sub(builder.bitcast(e, WORDS), exponent), FLOATS)
