"""Integer soma functions: LayerNorm, softmax and GELU on spike counts (I-BERT, Kim et al. 2021, arXiv 2101.01321).

A soma function acts once, when a stage's fire gate opens, on the integer drive ``U`` the stage has summed. Every
backend calls the code below, so every backend gets the same bits. All arithmetic is int64; ``//`` and ``>>`` round
towards minus infinity. The result is in units of ``1 / SOMA_THRESHOLD`` of one output spike, whatever the function.

To add one, derive from `Soma`, give it a ``kind`` and register it: the file format, the bounds, the counters and the
report take everything else from the class. A faster form for the count engine is optional
(`spk2loihi.simulators.emulator.firing`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spk2loihi.limits import BIAS_BITS, BIAS_MAX, ERF_POLYNOMIAL, EXP_POLYNOMIAL, MEMBRANE_BITS, WEIGHT_MAX

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Bits are chosen so that a result is off by far less than one unit of 1/SOMA_THRESHOLD spike: the student trains with
# these functions in floats, and every unit off would flip a neuron near its threshold now and then.
X_BITS = 24  # fractional bits of softmax and GELU arguments
P_BITS = 28  # fractional bits of a softmax probability
E_BITS = 30  # fractional bits of an unnormalised exponential
SQUARES_BITS = 61  # a row is shifted up until its sum of squares fills this width
Y_BITS = 22  # fractional bits of a normalised LayerNorm value
GAMMA_BITS = 14  # fractional bits of LayerNorm gamma and beta
MULTIPLIER_BITS = 24  # mantissa bits of a fixed-point multiplier

LN2 = round(math.log(2) * 2**X_BITS)
EXP_A, EXP_B = (round(x * 2**X_BITS) for x in EXP_POLYNOMIAL[:2])
EXP_C = round(EXP_POLYNOMIAL[2] * 2**E_BITS)
ERF_A, ERF_B = (round(x * 2**X_BITS) for x in ERF_POLYNOMIAL)
SQRT_HALF = round(math.sqrt(0.5) * 2**X_BITS)
_SHIFT_MAX = 62  # of an int64
MAX_EXP_SHIFT = 40  # exp(-40 ln 2) is below one unit of 2**-30: it shifts to zero


def rounded_div(a: IntArray, b: Any) -> IntArray:
    """Integer division of ``a`` by positive ``b``, halves rounded up: ``floor(a / b + 1/2)`` without a float."""
    result: IntArray = (2 * a + b) // (2 * b)
    return result


def isqrt(x: IntArray) -> IntArray:
    """Exact floor square root of non-negative int64 (the float64 estimate is corrected by at most one)."""
    r = np.sqrt(x.astype(np.float64)).astype(np.int64)
    r -= r * r > x
    r += (r + 1) * (r + 1) <= x
    return r


@dataclass(frozen=True)
class Multiplier:
    """A positive real as ``mantissa * 2**-shift`` (I-BERT's dyadic number)."""

    mantissa: int
    shift: int

    @classmethod
    def from_float(cls, value: float) -> Multiplier:
        """Nearest multiplier with ``MULTIPLIER_BITS`` bits of mantissa, fewer for a value above 2**MULTIPLIER_BITS."""
        _, exponent = math.frexp(value)
        shift = max(0, MULTIPLIER_BITS - exponent)
        return cls(round(math.ldexp(value, shift)), shift)

    def __call__(self, x: IntArray, halvings: IntArray | int = 0) -> IntArray:
        """``x * value / 2**halvings``, rounded once, halves up."""
        shift = self.shift + halvings
        result: IntArray = (x * self.mantissa + (1 << shift >> 1)) >> shift
        return result

    def exact(self, x: int) -> int:
        """The same of one integer, of any size."""
        return (x * self.mantissa + (1 << self.shift >> 1)) >> self.shift

    def limits(self, what: str, x: int, halvings: int = 0) -> Iterator[Limit]:
        """What must hold so that no int64 intermediate overflows for arguments of up to ``x``."""
        remedy = "train longer, or with another number of `timesteps`"
        yield Limit(f"shift of the {what}", self.shift + halvings, _SHIFT_MAX, remedy)
        yield Limit(f"product of the {what}", abs(x) * self.mantissa, 2**_SHIFT_MAX, remedy)


def exponential(x: IntArray) -> IntArray:
    """I-BERT's exp of ``x <= 0``, which has ``X_BITS`` fractional bits; the result has ``E_BITS``."""
    z = -x // LN2
    p = x + z * LN2 + EXP_B
    e = ((EXP_A * ((p * p) >> X_BITS)) >> (2 * X_BITS - E_BITS)) + EXP_C
    result: IntArray = e >> np.minimum(z, MAX_EXP_SHIFT)
    return result


class Limit(NamedTuple):
    """Something export has to prove: ``value`` does not exceed ``largest`` (the largest of ``bits`` bits)."""

    what: str
    value: int
    largest: int
    remedy: str
    bits: int | None = None


class Soma(ABC):
    """A function of the summed drive of a stage; its fields are its integer constants, (channels,) if arrays.

    Attributes:
        kind: its name in files and reports.
        on_host: an operation of a host or an embedded processor; else it is part of synapses and bias.
        host_reason: why no neurocore computes it.
    """

    kind: ClassVar[str]
    on_host: ClassVar[bool] = True
    host_reason: ClassVar[str] = ""

    @abstractmethod
    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        """The result for a drive ``u``, of the same shape. ``mask`` is true where a key exists (scores only)."""

    @abstractmethod
    def bound(self, drive: int, channels: int) -> int:
        """Largest magnitude of a result for drives of up to ``drive``."""

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        """What else must hold for drives of up to ``drive``, so that no intermediate overflows."""
        return iter(())

    def arrays(self) -> dict[str, IntArray]:
        """Constants with one value a channel, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def to_dict(self) -> dict[str, Any]:
        """``kind`` and the constants, as JSON holds them."""
        record = asdict(self)  # type: ignore[call-overload]
        return {"kind": self.kind, **{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in record.items()}}


#: Soma functions by kind.
SOMAS: dict[str, type[Soma]] = {}

S = TypeVar("S", bound=type[Soma])


def register(kind: str) -> Callable[[S], S]:
    """Register a soma function under ``kind``."""

    def add(soma: S) -> S:
        soma.kind = kind
        SOMAS[kind] = soma
        return soma

    return add


def largest(integers: IntArray) -> int:
    """The largest magnitude, exact: ``abs`` of int64's minimum is negative."""
    return max(int(integers.max(initial=0)), -int(integers.min(initial=0)))


def _multiplier(value: Any) -> Multiplier:
    made = Multiplier(_whole(value["mantissa"]), _whole(value["shift"]))
    if made.mantissa < 0 or not 0 <= made.shift <= _SHIFT_MAX:
        raise ValueError(f"a multiplier is {made.mantissa} * 2**-{made.shift}")
    return made


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise ValueError(f"a soma constant is {value!r}, not a whole number of 64 bits")
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "IntArray": lambda value: np.array([_whole(each) for each in value], dtype=np.int64),
    "Multiplier": _multiplier,
    "int": _whole,
}


def soma_from_dict(record: Mapping[str, Any] | None) -> Soma | None:
    """Raises KeyError, TypeError or ValueError for anything `Soma.to_dict` does not write."""
    if record is None:
        return None
    if record["kind"] not in SOMAS:
        raise ValueError(f"unknown soma function {record['kind']!r}")
    made = SOMAS[record["kind"]]
    if set(record) != {"kind", *(field.name for field in fields(made))}:  # type: ignore[arg-type]
        raise ValueError(f"soma function {record['kind']} with the constants {', '.join(record)}")
    constants = {field.name: _READ[str(field.type)](record[field.name]) for field in fields(made)}  # type: ignore[arg-type]
    return made(**constants)


@register("layernorm")
@dataclass(frozen=True)
class LayerNorm(Soma):
    """``gamma * (U - mean) / std + beta`` over the last axis.

    ``gamma`` and ``beta`` (d,) have ``GAMMA_BITS`` fractional bits, in units of 1/SOMA_THRESHOLD spike.
    """

    gamma: IntArray
    beta: IntArray
    host_reason = "needs mean and variance over all channels of a token, which lie on several cores"

    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        d = u.shape[-1]
        squares = (u * u).sum(-1, keepdims=True)
        width = np.frexp(squares.astype(np.float64))[1].astype(np.int64)
        u = u << (np.maximum(SQUARES_BITS - width, 0) // 2)  # LayerNorm does not depend on the scale of its row
        x = u - rounded_div(u.sum(-1, keepdims=True), d)
        std = np.maximum(isqrt((x * x).sum(-1, keepdims=True) // d), 1)
        y = rounded_div(x << Y_BITS, std)
        fraction = Y_BITS + GAMMA_BITS
        result: IntArray = (y * self.gamma + (self.beta << Y_BITS) + (1 << (fraction - 1))) >> fraction
        return result

    def bound(self, drive: int, channels: int) -> int:
        gamma, beta = largest(self.gamma), largest(self.beta)  # |x| <= sqrt(d) std
        return ((math.isqrt(channels) + 1) * gamma + beta) >> GAMMA_BITS

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        remedy = "use fewer `timesteps` or a narrower layer"
        yield Limit("worst-case LayerNorm drive", drive, self.max_drive(channels), remedy)

    @staticmethod
    def max_drive(channels: int) -> int:
        """Largest |U| for which no int64 intermediate overflows, for a last axis of ``channels``.

        The largest one is the sum of squares.
        """
        return math.isqrt(2**SQUARES_BITS // channels)


@register("softmax")
@dataclass(frozen=True)
class Softmax(Soma):
    """Softmax over the last axis; ``mask`` is true where a key exists. Masked keys get exactly 0.

    ``scale`` takes U to the real score in 2**-X_BITS, ``gain`` takes a probability to 1/SOMA_THRESHOLD spikes.
    """

    scale: Multiplier
    gain: Multiplier
    host_reason = "needs the sum of exponentials over all keys of a row, which lie on several cores"

    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        x = self.scale(u)
        allowed = np.ones(x.shape, bool) if mask is None else np.broadcast_to(mask, x.shape)
        lowest = np.iinfo(np.int64).min // 4
        x = x - np.where(allowed, x, lowest).max(-1, keepdims=True)  # <= 0 where allowed
        e = np.where(allowed, exponential(np.where(allowed, x, 0)), 0)
        total = np.maximum(e.sum(-1, keepdims=True), 1)  # a fully masked row stays 0
        return self.gain((e << P_BITS) // total)

    def bound(self, drive: int, channels: int) -> int:
        return self.gain.exact(1 << P_BITS)  # of a probability of 1

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        yield from self.scale.limits("softmax argument", drive)
        yield from self.gain.limits("softmax result", 1 << P_BITS)


#: Largest argument of GELU, in 2**-X_BITS, for which no int64 intermediate overflows: x times a 25-bit factor, then a
#: value times a 24-bit multiplier.
GELU_MAX = 2**37
#: Where GELU's result saturates, in 1/SOMA_THRESHOLD spikes: beyond the counts of any window (T is at most 127), so no
#: count changes. Without it the worst case of T = 32 would pass the 24 bits of a membrane.
GELU_RESULT_MAX = 2**17


@register("gelu")
@dataclass(frozen=True)
class Gelu(Soma):
    """``x/2 (1 + erf(x / sqrt 2))`` with I-BERT's polynomial erf (largest error 0.018).

    ``scale`` takes U to the real argument in 2**-X_BITS, ``gain`` takes such a value to 1/SOMA_THRESHOLD spikes, of
    which channel c keeps 2**-exponent[c] (equalised channels, (d,)). Results saturate at `GELU_RESULT_MAX`.
    """

    scale: Multiplier
    gain: Multiplier
    exponent: IntArray
    host_reason = "needs products of more bits than a membrane has; no neurocore model of it exists"

    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        x = self.scale(u)
        t = np.minimum((np.abs(x) * SQRT_HALF) >> X_BITS, -ERF_B) + ERF_B
        erf = ((ERF_A * ((t * t) >> X_BITS)) >> X_BITS) + (1 << X_BITS)
        phi = (1 << X_BITS) + np.where(x < 0, -erf, erf)
        return np.minimum(self.gain((x * phi) >> (X_BITS + 1), self.exponent), GELU_RESULT_MAX)

    def bound(self, drive: int, channels: int) -> int:
        return GELU_RESULT_MAX

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        yield from self.scale.limits("GELU argument", drive)
        argument = self.scale.exact(drive)
        yield Limit("worst-case GELU argument", argument, GELU_MAX, "use fewer `timesteps` or a narrower layer")
        yield from self.gain.limits("GELU result", GELU_MAX, int(self.exponent.max()))
        least = self.gain.shift + int(self.exponent.min())
        yield Limit("left shift of the GELU result", -least, 0, "train longer")


class Affine(Soma):
    """A soma function that is part of synapses and bias: ``scale * U + offset``."""

    on_host = False

    @abstractmethod
    def coefficients(self) -> tuple[IntArray, IntArray]:
        """``scale`` and ``offset``: scalars, or one value a head, (H,)."""


@register("scale")
@dataclass(frozen=True)
class Scale(Affine):
    """``U * 2**exponent``: gives an attention context, whose threshold would be a small integer, finer units."""

    exponent: int

    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        return u << self.exponent

    def bound(self, drive: int, channels: int) -> int:
        return drive << min(self.exponent, MEMBRANE_BITS)

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        yield Limit("exponent of a context", self.exponent, MEMBRANE_BITS, "use fewer `timesteps`")

    def coefficients(self) -> tuple[IntArray, IntArray]:
        return np.array(1 << self.exponent), np.array(0)


@register("head_affine")
@dataclass(frozen=True)
class HeadAffine(Affine):
    """``weight[h] * U + bias[h]`` for scores (..., H, L, L): what score neurons have in place of softmax.

    Nothing is left to a host: a spike adds ``weight[h]`` instead of 1 to the fast weights of head h, and ``bias``, of
    a whole window, is a neuron's bias times its T steps.
    """

    weight: IntArray
    bias: IntArray

    def __call__(self, u: IntArray, mask: BoolArray | None = None) -> IntArray:
        return u * self.weight[:, None, None] + self.bias[:, None, None]

    def bound(self, drive: int, channels: int) -> int:
        both = zip(self.weight.tolist(), self.bias.tolist(), strict=True)
        return max(drive * abs(weight) + abs(bias) for weight, bias in both)

    def limits(self, drive: int, channels: int, timesteps: int) -> Iterator[Limit]:
        bias = -(-largest(self.bias) // timesteps)
        yield Limit("score bias a step", bias, BIAS_MAX, "use more `timesteps`", BIAS_BITS)
        yield Limit("score weight", largest(self.weight), WEIGHT_MAX, "use fewer `timesteps`")

    def coefficients(self) -> tuple[IntArray, IntArray]:
        return self.weight, self.bias
