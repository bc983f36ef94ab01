"""Attention of the count-based engine: heads of packed tokens, score neurons, context neurons.

Tokens are packed, so heads are spread to (B, H, L, d_h) in float32 for the two products of a batch, whose integers are
exact there, and what comes out is packed again as it fires. Rows and keys that do not exist hold 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.compiled import Bytes, Floats, Integers, compiled
from spk2loihi.network.network import Stage
from spk2loihi.network.soma import (
    E_BITS,
    EXP_A,
    EXP_B,
    EXP_C,
    LN2,
    MAX_EXP_SHIFT,
    P_BITS,
    X_BITS,
    Softmax,
    exponential,
)
from spk2loihi.simulators.emulator.firing import affine
from spk2loihi.simulators.emulator.payload_firing import PayloadScoreFire
from spk2loihi.simulators.emulator.soma_kernels import Doubles, Multipliers, fired

FLOAT_LN2, FLOAT_EXP_A, FLOAT_EXP_B, FLOAT_EXP_C, FLOAT_PER_LN2 = (
    float(np.float32(x)) for x in (
        LN2 * 2.0**-X_BITS, EXP_A * 2.0 ** (E_BITS - X_BITS), EXP_B * 2.0**-X_BITS, EXP_C, 2.0**X_BITS / LN2
    )
)  # fmt: skip
"""Constants of `float_exponential`."""

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_FAR = np.float32(-(2**30))
"""A score that has no exponential beside any other, and fires no spike."""


@compiled
def spread_heads(m: Bytes, zero: int, starts: Integers, out: Floats) -> None:
    """Counts of packed bytes (tokens, d) to (B, H, L, d_h); sentence b has the rows starts[b] to starts[b + 1]."""
    sentences, heads, longest, width = out.shape
    middle = np.float32(zero)
    for b in range(sentences):
        length = starts[b + 1] - starts[b]
        for h in range(heads):
            for i in range(length):
                source, target = m[starts[b] + i, h * width : (h + 1) * width], out[b, h, i]
                for c in range(width):
                    target[c] = np.float32(source[c]) - middle
            out[b, h, length:longest] = _ZERO


def score_fire(
    stage: Stage, most: int, keys: int, arithmetic: Arithmetic = "lava"
) -> SoftmaxFire | AffineScoreFire | PayloadScoreFire:
    """The exact form of a score stage's soma function and threshold. ``keys`` is the most a row can have."""
    if stage.requantise is not None:
        return PayloadScoreFire(stage, arithmetic)
    if isinstance(stage.soma, Softmax):
        return SoftmaxFire(stage, most, keys)
    return AffineScoreFire(stage, most)


class SoftmaxFire:
    """Exponentials from a table over the distance to the largest score of the row.

    The integers scale a score before they take the distance, so their argument is that of the table or one unit of
    2**-24 off.
    """

    def __init__(self, stage: Stage, most: int, keys: int) -> None:
        """``keys`` is the most a row can have."""
        assert isinstance(stage.soma, Softmax)
        scale, gain = stage.soma.scale, stage.soma.gain
        silent = math.ceil((E_BITS + 2) * LN2 * 2**scale.shift / scale.mantissa)  # farther scores have no exponential
        x = -scale(np.arange(min(silent, 2 * stage.max_drive) + 1))
        e, near = exponential(x), [exponential(np.minimum(x + unit, 0)) for unit in (-1, 1)]
        self.table = np.append(e, 0).astype(np.float32)
        self.spikes = gain.mantissa * 2.0 ** (P_BITS - gain.shift) / stage.threshold  # of a probability of 1
        self.offset = (stage.threshold // 2 + 0.5) / stage.threshold
        off = max(_relative_error(e, other) for other in near)
        self.doubt = self._doubt(off, keys, most)
        # of a program, which has no table
        self.unit, self.last = scale.mantissa * 2.0 ** (-scale.shift - X_BITS), float(len(e) - 1)
        floats = float_exponential(np.arange(len(e), dtype=np.float32), self.unit)
        self.doubt_of_floats = self._doubt(off + _relative_error(e, floats) + 2.0**-22, keys, most)
        self.multipliers = (scale.mantissa, scale.shift, gain.mantissa, gain.shift)
        self._threshold, self._most = stage.threshold, most

    def _doubt(self, off: float, keys: int, most: int) -> float:
        """``off``: relative error of an exponential."""
        relative = 2 * off + keys * 2.0 ** (2 - E_BITS) + (keys + 8) * 2.0**-24  # the last: float32
        return 2 * ((most + 2) * relative + self.spikes * 2.0 ** (2 - P_BITS))

    def __call__(self, u: Floats, rows: Integers, keys: Integers, sums: Integers) -> int:
        """Scores (B, H, rows, keys) to counts, in place; how many rows were computed in integers.

        Args:
            rows, keys: how many exist in each sentence, (B,).
            sums: spikes, and messages, of each sentence are written here, (2, B).
        """
        exact = _fire_softmax(
            u, rows, keys, self.table, self.spikes, self.offset, self.doubt, self.multipliers, self._threshold,
            self._most, sums,
        )  # fmt: skip
        return int(exact)


def float_exponential(distance: Floats, unit: float) -> Floats:
    """`spk2loihi.network.soma.exponential` of ``-unit * distance`` in float32, as a program computes it."""
    x = distance * np.float32(unit)
    halvings = np.floor(x * np.float32(FLOAT_PER_LN2))
    rest = (x.astype(np.float64) - halvings.astype(np.float64) * FLOAT_LN2).astype(np.float32)  # rounded once
    p = np.float32(FLOAT_EXP_B) - rest
    scaled = (p * np.float32(FLOAT_EXP_A)).astype(np.float64)
    return np.ldexp((scaled * p + FLOAT_EXP_C).astype(np.float32), -halvings.astype(np.int32))


def _relative_error(e: Integers, other: Integers | Floats) -> float:
    """Of exponentials that are rounded to integers, at most."""
    return float((np.maximum(np.abs(other - e) - 2, 0) / np.maximum(e, 1)).max())


class AffineScoreFire:
    """``weight[h] * U + bias[h]``, or U itself, in float64."""

    def __init__(self, stage: Stage, most: int) -> None:
        self.scale, self.offset = affine(stage, 0)
        self._most = most

    def __call__(self, u: Floats, rows: Integers, keys: Integers, sums: Integers) -> int:
        """As `SoftmaxFire`."""
        heads = u.shape[1]
        scale, offset = (np.broadcast_to(x, heads).copy() for x in (self.scale, self.offset))
        _fire_heads(u, rows, keys, scale, offset, self._most, sums)
        return 0


@compiled
def fire_context(u: Floats, rows: Integers, scale: float, offset: float, zero: int, most: int, out: Bytes) -> None:
    """Products (B, H, rows, d_h) to packed bytes (all rows that exist, d): ``q = scale * u + offset`` in float64."""
    sentences, heads, _, width = u.shape
    least, largest = 0.5, zero + most + 0.5
    at = 0
    for b in range(sentences):
        for h in range(heads):
            for i in range(rows[b]):
                source, target = u[b, h, i], out[at + i, h * width : (h + 1) * width]
                for c in range(width):
                    q = float(source[c]) * scale + offset
                    target[c] = np.uint8(np.int32(min(max(q, least), largest)))
        at += rows[b]


@compiled
def _fire_heads(
    u: Floats, rows: Integers, keys: Integers, scale: Doubles, offset: Doubles, most: int, sums: Integers
) -> None:
    for b in range(u.shape[0]):
        spikes, sent = np.int64(0), np.int64(0)
        for h in range(u.shape[1]):
            head = u[b, h]
            here, there = fire_affine_head(head, rows[b], keys[b], scale[h], offset[h], most)
            spikes += here
            sent += there
            head[rows[b] :] = _ZERO
        sums[0, b], sums[1, b] = spikes, sent


@compiled
def fire_affine_head(
    u: Floats, rows: int, keys: int, scale: float, offset: float, most: int
) -> tuple[np.int64, np.int64]:
    """One head (rows, keys and what follows), in place, 0 beyond ``keys``: spikes, messages."""
    least, largest = 0.5, most + 0.5
    spikes, sent = np.int64(0), np.int64(0)
    for i in range(rows):
        row = u[i]
        for j in range(keys):
            q = float(row[j]) * scale + offset
            n = np.int32(min(max(q, least), largest))
            row[j] = np.float32(n)
            spikes += n
            sent += n > 0
        row[keys:] = _ZERO
    return spikes, sent


@compiled
def _fire_softmax(
    u: Floats,
    rows: Integers,
    keys: Integers,
    table: Floats,
    spikes: float,
    offset: float,
    doubt: float,
    multipliers: Multipliers,
    threshold: int,
    most: int,
    sums: Integers,
) -> np.int64:
    """How many rows were computed in integers."""
    sentences, heads, longest = u.shape[0], u.shape[1], u.shape[3]
    score, e = np.empty(longest, np.int32), np.empty(longest, np.float32)
    exact = np.int64(0)
    for b in range(sentences):
        spiked, sent = np.int64(0), np.int64(0)
        for h in range(heads):
            head = u[b, h]
            more, here, there = fire_softmax_head(
                head, rows[b], keys[b], table, spikes, offset, doubt, multipliers, threshold, most, score, e
            )
            exact += more
            spiked += here
            sent += there
            head[rows[b] :] = _ZERO
        sums[0, b], sums[1, b] = spiked, sent
    return exact


@compiled
def fire_softmax_head(
    u: Floats,
    rows: int,
    keys: int,
    table: Floats,
    spikes: float,
    offset: float,
    doubt: float,
    multipliers: Multipliers,
    threshold: int,
    most: int,
    score: NDArray[np.int32],
    exponential: Floats,
) -> tuple[np.int64, np.int64, np.int64]:
    """One head (rows, keys and what follows), in place, 0 beyond ``keys``: rows in integers, spikes, messages.

    ``q = spikes * e / sum(e) + offset`` in float32, a row with a q within ``doubt`` of an integer in integers.
    ``score`` and ``exponential`` have room for a row.
    """
    largest_q, limit, shifted = np.float32(most + 0.5), np.float32(0.5 - doubt), np.float32(offset)
    last = np.int32(len(table) - 1)
    exact, spiked, sent = np.int64(0), np.int64(0), np.int64(0)
    longest = u.shape[1]  # whole vectors, if there is room for them
    z, ez = score[:longest], exponential[:longest]
    for i in range(rows):
        row = u[i]
        row[keys:] = _FAR
        top = np.int32(-(2**31))
        for j in range(longest):
            z[j] = np.int32(row[j])
            top = max(top, z[j])
        total = _ZERO
        for j in range(longest):
            ez[j] = table[np.uint32(min(np.int32(top - z[j]), last))]
            total += ez[j]
        factor = np.float32(spikes) / total
        doubtful, fired_here, sent_here = _ZERO, _ZERO, _ZERO
        for j in range(longest):
            q = min(ez[j] * factor + shifted, largest_q)
            n = np.float32(np.int32(q))
            doubtful += _ONE if abs(q - n - _HALF) >= limit else _ZERO
            row[j] = n
            fired_here += n
            sent_here += _ONE if n > _ZERO else _ZERO
        if doubtful:
            fired_here, sent_here = exact_softmax(z[:keys], multipliers, threshold, most, row)
            exact += 1
        spiked += np.int64(fired_here)
        sent += np.int64(sent_here)
    return exact, spiked, sent


@compiled
def exact_softmax(
    z: NDArray[np.int32], multipliers: Multipliers, threshold: int, most: int, row: Floats
) -> tuple[np.float32, np.float32]:
    """Counts of one row of scores as `spk2loihi.network.soma.Softmax` has them; spikes and messages."""
    scale, scale_shift, gain, gain_shift = multipliers
    x, e = np.empty(len(z), np.int64), np.empty(len(z), np.int64)
    for j in range(len(z)):
        x[j] = (np.int64(z[j]) * scale + (1 << scale_shift >> 1)) >> scale_shift
    top = x.max()
    total = np.int64(0)
    for j in range(len(z)):
        halvings = (top - x[j]) // LN2
        p = x[j] - top + halvings * LN2 + EXP_B
        e[j] = (((EXP_A * ((p * p) >> X_BITS)) >> (2 * X_BITS - E_BITS)) + EXP_C) >> min(halvings, MAX_EXP_SHIFT)
        total += e[j]
    spikes, sent = _ZERO, _ZERO
    for j in range(len(z)):
        probability = (e[j] << P_BITS) // total
        n = fired((probability * gain + (1 << gain_shift >> 1)) >> gain_shift, threshold, 0, most)
        row[j] = np.float32(n)
        spikes += np.float32(n)
        sent += _ONE if n > 0 else _ZERO
    return spikes, sent
