"""Vectors of sixteen lanes in LLVM instructions, for intrinsics of numba that no loop of its own would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16
BYTE, WORD, LONG, FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
WORDS, FLOATS, BYTES = ir.VectorType(WORD, LANES), ir.VectorType(FLOAT, LANES), ir.VectorType(BYTE, 4 * LANES)
FLAGS = ir.VectorType(ir.IntType(1), LANES)

_DOT = "llvm.x86.avx512.vpdpbusd.512"
_GATHER = "llvm.x86.avx512.mask.gather.dpi.512"
_FUSED = ("contract",)


def long(value: int) -> Any:
    return ir.Constant(LONG, value)


class VectorCode:
    """Writes the body of an intrinsic."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder, self.signature, self.arguments = context, builder, signature, arguments

    def place(self, array: int, offset: int | None = None) -> Any:
        """Address of an element of the argument ``array``: the first, or that which the argument ``offset`` says."""
        made = self.context.make_array(self.signature.args[array])(self.context, self.builder, self.arguments[array])
        return made.data if offset is None else self.builder.gep(made.data, [self.arguments[offset]])

    def load(self, base: Any, index: Any, kind: Any) -> Any:
        return self.builder.load(self._at(base, index, kind), align=1)

    def store(self, value: Any, base: Any, index: Any) -> None:
        self.builder.store(value, self._at(base, index, value.type), align=1)

    def _at(self, base: Any, index: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [index]), kind.as_pointer())

    def gather(self, base: Any, index: Any) -> Any:
        """Words, ``index`` bytes from ``base``."""
        all_lanes = ir.Constant(FLAGS, [1] * LANES)
        return self._call(_GATHER, WORDS, words(0), base, index, all_lanes, ir.Constant(WORD, 1))

    def add_products(self, sums: Any, left: Any, right: Any) -> Any:
        """Four products of an unsigned and a signed byte to each word."""
        return self._call(_DOT, WORDS, sums, left, right)

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)

    def spread(self, value: Any, kind: Any) -> Any:
        """A number in every lane: an integer as words or bytes, a float as floats."""
        narrow = self.builder.fptrunc if kind is FLOATS else self.builder.trunc
        return self.repeat(narrow(value, kind.element), kind)

    def repeat(self, value: Any, kind: Any) -> Any:
        """An element in every lane."""
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(WORD, 0))
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(WORD, kind.count), None))

    def minimum(self, x: Any, y: Any) -> Any:
        b = self.builder
        less = b.fcmp_ordered("<", x, y) if x.type is FLOATS else b.icmp_signed("<", x, y)
        return b.select(less, x, y)

    def maximum(self, x: Any, y: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y)

    def magnitude(self, x: Any) -> Any:
        positive = self.builder.and_(self.builder.bitcast(x, WORDS), words(0x7FFFFFFF))
        return self.builder.bitcast(positive, FLOATS)

    def floor(self, x: Any) -> Any:
        return self._call("llvm.floor.v16f32", FLOATS, x)

    def product_and_sum(self, x: Any, y: Any, z: Any) -> Any:
        """``x * y + z``, rounded once or twice."""
        return self.builder.fadd(self.builder.fmul(x, y, _FUSED), z, _FUSED)

    def fused(self, x: Any, y: Any, z: Any) -> Any:
        """``x * y + z``, rounded once."""
        return self._call("llvm.fma.v16f32", FLOATS, x, y, z)

    def near_integer(self, x: Any, distance: Any) -> Any:
        """Lanes no further than ``distance`` from an integer."""
        nearest = self._call("llvm.rint.v16f32", FLOATS, x)
        return self.builder.fcmp_ordered("<=", self.magnitude(self.builder.fsub(x, nearest)), distance)

    def bits(self, flags: Any) -> Any:
        """A bit a lane."""
        return self.builder.zext(self.builder.bitcast(flags, ir.IntType(LANES)), LONG)

    def sum_of_lanes(self, x: Any) -> Any:
        total = self._call("llvm.vector.reduce.add.v16i32", WORD, x)
        return self.builder.sext(total, LONG)

    def until(self, start: Any, end: Any, body: Callable[[Any], Any]) -> tuple[Any, Any]:
        """``body(index)`` returns flags. It runs at every `LANES` from ``start`` until one is set, or to ``end``.

        Where it stopped, `LANES` later; and a bit a lane.
        """
        b = self.builder
        before, here, after = b.block, b.append_basic_block("body"), b.append_basic_block("after")
        b.branch(here)
        b.position_at_end(here)
        index = b.phi(LONG)
        bits = self.bits(body(index))
        raised = b.add(index, long(LANES))
        index.add_incoming(start, before)
        index.add_incoming(raised, b.block)
        more = b.and_(b.icmp_signed("<", raised, end), b.icmp_signed("==", bits, long(0)))
        b.cbranch(more, here, after)
        b.position_at_end(after)
        return raised, bits

    def loop(
        self, count: Any, start: Sequence[Any], body: Callable[[Any, Sequence[Any]], Sequence[Any]]
    ) -> Sequence[Any]:
        """``body(index, values)`` returns the next values. It runs ``count`` times, at least once; the last values."""
        b = self.builder
        before, here, after = b.block, b.append_basic_block("body"), b.append_basic_block("after")
        b.branch(here)
        b.position_at_end(here)
        index = b.phi(LONG)
        values = [b.phi(one.type) for one in start]
        following = body(index, values)
        raised = b.add(index, long(1))
        index.add_incoming(long(0), before)
        index.add_incoming(raised, b.block)
        for value, first, other in zip(values, start, following, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(other, b.block)
        b.cbranch(b.icmp_signed("<", raised, count), here, after)
        b.position_at_end(after)
        return following


def words(value: int) -> Any:
    return ir.Constant(WORDS, [value] * LANES)


def floats(value: float) -> Any:
    return ir.Constant(FLOATS, [value] * LANES)
