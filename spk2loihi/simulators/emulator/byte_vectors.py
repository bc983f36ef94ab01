"""Bytes in vectors, for loops of numba, whose integers have 64 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from spk2loihi.compiled import Bytes, inlined
from spk2loihi.simulators.emulator.vector_code import BYTES, VectorCode

_TOGETHER = BYTES.count


@inlined
def scale_channels(m: Bytes, factor: Bytes, offset: Bytes, out: Bytes) -> None:
    """``m * factor + offset`` of rows (rows, d), modulo 256. Rows of ``out`` may be longer."""
    rows, d = m.shape
    flat, target = m.reshape(m.size), out.reshape(out.size)
    for at in range(0, d, _TOGETHER):
        first = min(at, d - _TOGETHER)
        if first >= 0:
            _scale_some(flat, d, factor, offset, target, out.shape[1], rows, first)
        else:
            for row in range(rows):
                for c in range(d):
                    out[row, c] = m[row, c] * factor[c] + offset[c]


@intrinsic  # type: ignore[untyped-decorator]
def _scale_some(
    _: Any, m: Any, apart: Any, factor: Any, offset: Any, out: Any, out_apart: Any, rows: Any, at: Any
) -> Any:
    """Channels from ``at`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        _, apart, _, _, _, out_apart, rows, at = arguments
        scale, shift = code.load(code.place(2), at, BYTES), code.load(code.place(3), at, BYTES)
        source, target = code.place(0, 7), code.place(4, 7)

        def row(i: Any, _: Sequence[Any]) -> Sequence[Any]:
            x = code.load(source, builder.mul(i, apart), BYTES)
            code.store(builder.add(builder.mul(x, scale), shift), target, builder.mul(i, out_apart))
            return []

        code.loop(rows, [], row)
        return context.get_dummy_value()

    i = types.int64
    return types.void(m, i, factor, offset, out, i, i, i), generate
