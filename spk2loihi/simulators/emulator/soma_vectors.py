"""The loops of `soma_kernels` in vectors of sixteen channels, which stop where one is in doubt."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spk2loihi.network.soma import ERF_A, ERF_B, X_BITS
from spk2loihi.simulators.emulator.vector_code import BYTE, FLOATS, LANES, WORDS, VectorCode, floats

_INT, _REAL = types.int64, types.float64
_UNIT = 2.0**-X_BITS


@intrinsic  # type: ignore[untyped-decorator]
def gelu_counts(
    _: Any, u: Any, at: Any, end: Any, slope: Any, gain: Any, offset: Any, doubt: Any, largest: Any, out: Any
) -> Any:
    """Counts of channels from ``at`` on, sixteen at a time; where it stopped, and the channels in doubt before there.

    ``q = gain * (u + abs(u) * erf(slope * abs(u))) + offset`` in float32, which is in doubt within ``doubt`` of an
    integer (a bit each of the last sixteen). ``end`` is whole vectors after ``at``; ``largest`` a byte.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        u, gain, out = code.place(0), code.place(4), code.place(8)
        slope, offset, doubt = (code.spread(arguments[i], FLOATS) for i in (3, 5, 6))
        clip = _Clip(code, arguments[7])

        def sixteen(c: Any) -> Any:
            x = code.load(u, c, FLOATS)
            size = code.magnitude(x)
            t = code.minimum(builder.fmul(size, slope), floats(-ERF_B * _UNIT))
            t = builder.fadd(t, floats(ERF_B * _UNIT))
            erf = code.product_and_sum(builder.fmul(t, t), floats(ERF_A * _UNIT), floats(1))
            twice = code.product_and_sum(size, erf, x)
            return clip.fire(code.product_and_sum(twice, code.load(gain, c, FLOATS), offset), doubt, out, c)

        return context.make_tuple(builder, signature.return_type, code.until(arguments[1], arguments[2], sixteen))

    i, f = _INT, _REAL
    return types.UniTuple(i, 2)(u, i, i, f, gain, f, f, f, out), generate


@intrinsic  # type: ignore[untyped-decorator]
def scaled_counts(
    _: Any,
    u: Any,
    at: Any,
    end: Any,
    centre: Any,
    scale: Any,
    gamma: Any,
    beta: Any,
    doubt: Any,
    largest: Any,
    out: Any,
) -> Any:
    """As `gelu_counts`, of ``q = (u - centre) * scale * gamma + beta``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = VectorCode(context, builder, signature, arguments)
        u, gamma, beta, out = code.place(0), code.place(5), code.place(6), code.place(9)
        centre, scale, doubt = (code.spread(arguments[i], FLOATS) for i in (3, 4, 7))
        clip = _Clip(code, arguments[8])

        def sixteen(c: Any) -> Any:
            x = builder.fmul(builder.fsub(code.load(u, c, FLOATS), centre), scale)
            q = code.product_and_sum(x, code.load(gamma, c, FLOATS), code.load(beta, c, FLOATS))
            return clip.fire(q, doubt, out, c)

        return context.make_tuple(builder, signature.return_type, code.until(arguments[1], arguments[2], sixteen))

    i, f = _INT, _REAL
    return types.UniTuple(i, 2)(u, i, i, f, f, gamma, beta, f, f, out), generate


class _Clip:
    """From 0 to ``largest``, whose halves are far from doubt."""

    def __init__(self, code: VectorCode, largest: Any) -> None:
        self._code = code
        self._largest = code.builder.fadd(code.spread(largest, FLOATS), floats(0.5))

    def fire(self, q: Any, doubt: Any, out: Any, at: Any) -> Any:
        """Bytes below ``q`` to ``out``; which lanes are in doubt."""
        code, builder = self._code, self._code.builder
        q = code.minimum(code.maximum(q, floats(0.5)), self._largest)
        n = builder.trunc(builder.fptosi(q, WORDS), ir.VectorType(BYTE, LANES))
        code.store(n, out, at)
        return code.near_integer(q, doubt)
