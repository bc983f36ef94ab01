"""Numbers that threads inside compiled loops take in turns."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spk2loihi.compiled import Integers, inlined

_SPINS = 400
"""Looks at a number before another thread may have the processor: some ten microseconds."""
_AWAKE = 20_000
"""Looks before a thread that helped goes to sleep: about half a millisecond, what Python does between sentences."""


@intrinsic  # type: ignore[untyped-decorator]
def take(_: Any, numbers: Any, at: Any) -> Any:
    """The number at ``at``, which is one larger from then on; no two threads get the same."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(numbers, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def look(_: Any, numbers: Any, at: Any) -> Any:
    """The number at ``at`` as other threads have left it, after a pause that spares the processor."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pause = ir.FunctionType(ir.VoidType(), [])
        builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return builder.load_atomic(_place(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(numbers, types.int64), generate


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


@inlined
def all_taken(numbers: Integers, at: int, count: int) -> bool:
    """Whether the number at ``at`` gets to ``count`` within some microseconds."""
    for _ in range(_SPINS):  # noqa: SIM110 - numba knows no generators
        if look(numbers, at) == count:
            return True
    return False


@inlined
def await_more(numbers: Integers, so_far: int) -> None:
    """Stay awake until the first number is more than ``so_far``, or for some time."""
    for _ in range(_AWAKE):
        if look(numbers, 0) != so_far:
            return
