"""Compiled loops from summed drive to spike counts: in floats, and in integers where floats are in doubt.

The integers of an element are those of `spk2loihi.network.soma`, one element at a time. What is needed of them is the
integer below a number q, so q is computed in float32, and where it is within ``doubt`` of an integer, the element is
computed again in integers. Counts leave as bytes ``n + zero``; ``low`` and ``most`` are the least and the largest n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spk2loihi.compiled import Bytes, Floats, Integers, compiled
from spk2loihi.network.soma import ERF_A, ERF_B, GAMMA_BITS, SQRT_HALF, SQUARES_BITS, X_BITS, Y_BITS

Doubles = NDArray[np.float64]
Integer = int | np.int64
Multipliers = tuple[int, int, int, int]
"""Mantissa and shift of a soma function's scale, mantissa and shift of its gain."""

_ERF_A_FLOAT, _ERF_B_FLOAT, _SQRT_HALF_FLOAT = (np.float32(x * 2.0**-X_BITS) for x in (ERF_A, ERF_B, SQRT_HALF))
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)

_BLOCK = 192  # elements of a row that are looked through again if one of them is in doubt

MEAN_MAX = 2.0
"""A LayerNorm row whose mean is further from 0 than this many deviations goes through the integers."""


@compiled
def fired(z: Integer, threshold: int, low: int, most: int) -> Integer:
    """Count of a drive after its soma function."""
    n: Integer = (z + threshold // 2) // threshold
    return min(max(n, low), most)


@compiled
def fire_affine(
    u: Floats, scale: float, offset: float, zero: int, most: int, out: Bytes, first: int, width: int
) -> None:
    """``q = scale * u + offset`` in float64; ``offset`` holds ``zero``.

    Here and below, ``width`` columns of drives (rows, d or any number) become those of ``out`` (rows, d) from ``first``
    on; constants of channels are those of all d.
    """
    least, largest = 0.5, zero + most + 0.5
    for row in range(out.shape[0]):
        drive, counts = u[row, :width], out[row, first : first + width]
        for c in range(width):
            q = float(drive[c]) * scale + offset
            counts[c] = np.uint8(np.int32(min(max(q, least), largest)))


@compiled
def fire_short_affine(
    u: Floats, scale: float, offset: float, zero: int, most: int, out: Bytes, first: int, width: int
) -> None:
    """The same in float32, where `byte_products.fires_exactly`."""
    least, largest = _HALF, np.float32(zero + most + 0.5)
    factor, shifted = np.float32(scale), np.float32(offset)
    for row in range(out.shape[0]):
        drive, counts = u[row, :width], out[row, first : first + width]
        for c in range(width):
            q = drive[c] * factor + shifted
            counts[c] = np.uint8(np.int32(min(max(q, least), largest)))


@compiled
def add_skip(u: Floats, m: Bytes, weight: Floats) -> None:
    """Adds the drive of one-to-one synapses to ``u``, (rows, d)."""
    for row in range(u.shape[0]):
        for c in range(u.shape[1]):
            u[row, c] += weight[c] * np.float32(m[row, c])


@compiled
def fire_layer_norm(
    u: Floats,
    scaled_gamma: Floats,
    scaled_beta: Floats,
    doubt: float,
    gamma: Integers,
    beta: Integers,
    threshold: int,
    zero: int,
    most: int,
    out: Bytes,
) -> int:
    """Counts of LayerNorm over rows (rows, d); how many elements were computed in integers.

    ``q = scaled_gamma * (u - mean) / deviation + scaled_beta``. Sums are float64's.
    """
    d = u.shape[1]
    least, largest, limit = _HALF, np.float32(zero + most + 0.5), np.float32(0.5 - doubt)
    exact = 0
    for row in range(u.shape[0]):
        total, squares = 0.0, 0.0
        for c in range(d):
            x = float(u[row, c])
            total += x
            squares += x * x
        mean = total / d
        variance = squares / d - mean * mean
        doubtful = _ONE
        centre, scale = np.float32(mean), np.float32(0)
        sound = variance > 0 and mean * mean <= MEAN_MAX**2 * variance
        if sound:
            scale = np.float32(1 / math.sqrt(variance))
            doubtful = _ZERO  # in float32: numba's integers are of 64 bits, which would halve the vector lanes
            for c in range(d):
                q = (u[row, c] - centre) * scale * scaled_gamma[c] + scaled_beta[c]
                q = min(max(q, least), largest)
                n = np.int32(q)
                doubtful += _ONE if abs(q - np.float32(n) - _HALF) >= limit else _ZERO
                out[row, c] = np.uint8(n)
        if doubtful:
            shift, rounded_mean, std = _layer_norm_row(u[row])
            for c in range(d):
                q = (u[row, c] - centre) * scale * scaled_gamma[c] + scaled_beta[c]
                q = min(max(q, least), largest)
                # Twice the doubt: this loop may round in another way than the one above.
                if not sound or abs(q - np.float32(np.int32(q)) - _HALF) >= limit - np.float32(doubt):
                    distance = (np.int64(u[row, c]) << shift) - rounded_mean
                    y = (2 * (distance << Y_BITS) + std) // (2 * std)
                    fraction = Y_BITS + GAMMA_BITS
                    z = (y * gamma[c] + (beta[c] << Y_BITS) + (1 << (fraction - 1))) >> fraction
                    out[row, c] = np.uint8(fired(z, threshold, -most if zero else 0, most) + zero)
                    exact += 1
    return exact


@compiled
def _layer_norm_row(u: Floats) -> tuple[Integer, Integer, Integer]:
    """Left shift, mean and deviation of one row, as the integer LayerNorm has them."""
    d = np.int64(len(u))
    squares, total = np.int64(0), np.int64(0)
    for c in range(len(u)):
        squares += np.int64(u[c]) * np.int64(u[c])
        total += np.int64(u[c])
    width = np.int64(math.frexp(np.float64(squares))[1])
    shift = max(SQUARES_BITS - width, np.int64(0)) // 2
    mean = (2 * (total << shift) + d) // (2 * d)
    squares = np.int64(0)
    for c in range(len(u)):
        x = (np.int64(u[c]) << shift) - mean
        squares += x * x
    squares //= d
    root = np.int64(math.sqrt(np.float64(squares)))
    root -= np.int64(root * root > squares)
    root += np.int64((root + 1) * (root + 1) <= squares)
    return shift, mean, max(root, np.int64(1))


@compiled
def fire_gelu(
    u: Floats,
    scale: float,
    gain: Floats,
    offset: float,
    doubt: float,
    multipliers: Multipliers,
    exponent: Integers,
    threshold: int,
    zero: int,
    most: int,
    out: Bytes,
    first: int,
    width: int,
) -> int:
    """Counts of GELU; how many elements were computed in integers.

    ``q = gain * gelu(scale * u) + offset``; ``offset`` holds ``zero``.
    """
    least, largest, limit = _HALF, np.float32(zero + most + 0.5), np.float32(0.5 - doubt)
    factor, shifted = np.float32(scale), np.float32(offset)
    exact = 0
    for row in range(out.shape[0]):
        for start in range(0, width, _BLOCK):
            end = min(start + _BLOCK, width)
            drive, counts, gains = u[row, start:end], out[row, first + start : first + end], gain[first + start :]
            doubtful = _ZERO  # in float32: numba's integers are of 64 bits, which would halve the vector lanes
            for c in range(len(drive)):
                q = min(max(_gelu(drive[c] * factor) * gains[c] + shifted, least), largest)
                n = np.int32(q)
                doubtful += _ONE if abs(q - np.float32(n) - _HALF) >= limit else _ZERO
                counts[c] = np.uint8(n)
            if doubtful:
                for c in range(len(drive)):
                    q = min(max(_gelu(drive[c] * factor) * gains[c] + shifted, least), largest)
                    # Twice the doubt: this loop may round in another way than the one above.
                    if abs(q - np.float32(np.int32(q)) - _HALF) >= limit - np.float32(doubt):
                        z = _exact_gelu(np.int64(drive[c]), multipliers, exponent[first + start + c])
                        counts[c] = np.uint8(fired(z, threshold, -most if zero else 0, most) + zero)
                        exact += 1
    return exact


@compiled
def _gelu(x: np.float32) -> np.float32:
    t = min(abs(x) * _SQRT_HALF_FLOAT, -_ERF_B_FLOAT) + _ERF_B_FLOAT
    erf = _ERF_A_FLOAT * t * t + _ONE
    return _HALF * x * (_ONE - erf if x < 0 else _ONE + erf)


@compiled
def _exact_gelu(u: np.int64, multipliers: Multipliers, exponent: np.int64) -> Integer:
    """Without its saturation, which changes no count."""
    scale, scale_shift, gain, gain_shift = multipliers
    x = (u * scale + (1 << scale_shift >> 1)) >> scale_shift
    t = min((abs(x) * SQRT_HALF) >> X_BITS, -ERF_B) + ERF_B
    erf = ((ERF_A * ((t * t) >> X_BITS)) >> X_BITS) + (1 << X_BITS)
    phi = (1 << X_BITS) + (-erf if x < 0 else erf)
    shift = gain_shift + exponent
    return (((x * phi) >> (X_BITS + 1)) * gain + (1 << shift >> 1)) >> shift
