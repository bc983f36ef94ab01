"""From summed drive to spike counts, for the count-based engine: exact, and not by integer arithmetic where slower.

Counts ``n = clip(floor((z(U) + threshold // 2) / threshold))`` leave as bytes ``n + zero``. Soma functions
(`spk2loihi.network.soma`) are integer arithmetic of up to 61 bits, which no vector unit has. What is needed of them is
the integer below a number q, so q is computed in floats and an error bound is kept: where q is closer to an integer
than the bound, the element goes through the integers (`soma_kernels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.compiled import Bytes, Floats
from spk2loihi.network.network import Stage
from spk2loihi.network.soma import GAMMA_BITS, SQRT_HALF, X_BITS, Affine, Gelu, LayerNorm
from spk2loihi.simulators.emulator.payload_firing import PayloadFire
from spk2loihi.simulators.emulator.soma_kernels import (
    MEAN_MAX,
    fire_affine,
    fire_gelu,
    fire_layer_norm,
)

_NORM_BITS = 22  # a normalised value of the integer LayerNorm is off by less than 2**-22
_NEGATIVE_END = 2.51  # I-BERT's GELU is 0 below minus this

Fire = Callable[[Floats], Bytes]
"""Drives (rows, d) to bytes of counts."""


def fire(stage: Stage, zero: int, most: int, arithmetic: Arithmetic = "lava") -> Fire:
    """The fastest exact form of a stage's soma function and threshold; integers, if it has none."""
    if stage.requantise is not None:
        return PayloadFire(stage, zero, arithmetic)
    if stage.soma is None or not stage.soma.on_host:
        return AffineFire(stage, zero, most)
    return _FIRES.get(stage.soma.kind, IntegerFire)(stage, zero, most)


def affine(stage: Stage, zero: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset of ``q = scale * U + offset`` for a stage whose soma function is affine or missing.

    Both are scalars, or vectors with an element a head. float64 is exact: half a unit keeps the quotient of an integer
    and the threshold off integers.
    """
    theta = stage.threshold
    scale, offset = np.ones((), np.int64), np.zeros((), np.int64)
    if stage.soma is not None:
        assert isinstance(stage.soma, Affine)
        scale, offset = stage.soma.coefficients()
    return scale / theta, (offset + theta // 2 + 0.5) / theta + zero


class AffineFire:
    """``z = scale * U``."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        scale, offset = affine(stage, zero)
        self.scale, self.offset = float(scale), float(offset)
        self._zero, self._most = zero, most

    def __call__(self, u: Floats) -> Bytes:
        out = np.empty(u.shape, np.uint8)
        fire_affine(u, self.scale, self.offset, self._zero, self._most, out, 0, out.shape[1])
        return out


class LayerNormFire:
    """LayerNorm in float32, of sums in float64."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        assert isinstance(stage.soma, LayerNorm)
        theta, unit = stage.threshold, 2.0**-GAMMA_BITS
        gamma, beta = stage.soma.gamma * unit, stage.soma.beta * unit
        largest = float(np.abs(gamma).max() / theta)
        beyond = 2 * most + 2 + float(np.abs(beta).max() / theta)  # counts that matter, beta taken off
        # The integer row is shifted until its squares sum to 2**59 or more, so its root mean square is 2**29.5/sqrt(d)
        # or more, and its deviation, which is rounded by 1 at most, not far less. Means are rounded likewise.
        deviation = 2**29 / math.sqrt(stage.channels) / math.sqrt(1 + MEAN_MAX**2)
        integers = 2 * (beyond / deviation + largest * (2 / deviation + 2**-_NORM_BITS)) + 1e-9
        # float32: a handful of roundings of terms up to `MEAN_MAX` deviations.
        floats = (beyond + MEAN_MAX * largest) * 16 * 2**-24
        self.doubt = integers + floats
        self.scaled = (gamma / theta).astype(np.float32), ((beta + theta // 2 + 0.5) / theta + zero).astype(np.float32)
        self._stage, self.soma, self._zero, self._most = stage, stage.soma, zero, most

    def __call__(self, u: Floats) -> Bytes:
        out = np.empty(u.shape, np.uint8)
        soma, theta = self.soma, self._stage.threshold
        fire_layer_norm(u, *self.scaled, self.doubt, soma.gamma, soma.beta, theta, self._zero, self._most, out)
        return out


class GeluFire:
    """I-BERT's polynomials in float32."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        assert isinstance(stage.soma, Gelu)
        soma, theta = stage.soma, stage.threshold
        scale, gain = soma.scale, soma.gain
        spikes = gain.mantissa * 2.0 ** (X_BITS - gain.shift - soma.exponent) / theta  # of an argument of 1
        # The polynomial is off by 12 roundings at most, those of the integers and of its product with the argument
        # included. It is multiplied by the argument, which is at most `_NEGATIVE_END` where the result is not constant
        # and negative, and where it is positive at most twice the result. Then come four roundings of the result.
        self.doubt = 2 * 2.0**-24 * (16 * (2 * most + 2) + (6 * _NEGATIVE_END + 8) * float(spikes.max()))
        argument = scale.mantissa * 2.0 ** (-scale.shift - X_BITS)  # of a drive of 1
        self.parameters = (
            argument * SQRT_HALF * 2.0**-X_BITS,
            (spikes * argument / 2).astype(np.float32),
            (theta // 2 + 0.5) / theta + zero,
        )
        self.multipliers = scale.mantissa, scale.shift, gain.mantissa, gain.shift
        self.exponent, self._threshold, self._zero, self._most = soma.exponent, theta, zero, most

    def __call__(self, u: Floats) -> Bytes:
        out = np.empty(u.shape, np.uint8)
        exact = self.multipliers, self.exponent, self._threshold
        fire_gelu(u, *self.parameters, self.doubt, *exact, self._zero, self._most, out, 0, out.shape[1])
        return out


class IntegerFire:
    """Any soma function, in its own integers."""

    def __init__(self, stage: Stage, zero: int, most: int) -> None:
        assert stage.soma is not None
        self._soma, self._threshold, self._zero, self._most = stage.soma, stage.threshold, zero, most

    def __call__(self, u: Floats) -> Bytes:
        n = (self._soma(u.astype(np.int64)) + self._threshold // 2) // self._threshold
        return (n.clip(-self._most if self._zero else 0, self._most) + self._zero).astype(np.uint8)


_FIRES: dict[str, Callable[[Stage, int, int], Fire]] = {LayerNorm.kind: LayerNormFire, Gelu.kind: GeluFire}
