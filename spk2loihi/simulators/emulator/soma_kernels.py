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
from spk2loihi.simulators.emulator.soma_vectors import gelu_counts, scaled_counts
from spk2loihi.simulators.emulator.vector_code import LANES

Doubles = NDArray[np.float64]
Integer = int | np.int64
Multipliers = tuple[int, int, int, int]
"""Mantissa and shift of a soma function's scale, mantissa and shift of its gain."""

_HALF = np.float32(0.5)

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
    whole, exact = d - d % LANES, 0
    for row in range(u.shape[0]):
        drive, counts = u[row], out[row]
        total, squares = 0.0, 0.0
        for c in range(d):
            x = float(drive[c])
            total += x
            squares += x * x
        mean = total / d
        variance = squares / d - mean * mean
        at, known = 0, False
        shift: Integer = np.int64(0)
        rounded_mean, std = shift, shift
        sound = variance > 0 and mean * mean <= MEAN_MAX**2 * variance
        scale = 1 / math.sqrt(variance) if sound else 0.0
        while at < d:
            in_doubt, first, end = np.int64(-1), at if at < whole else d - LANES, whole if at < whole else d
            if sound and first >= 0:
                at, in_doubt = scaled_counts(
                    drive, first, end, mean, scale, scaled_gamma, scaled_beta, doubt, zero + most, counts
                )
                first = at - LANES
            else:
                first, at = at, min(at + LANES, d)
            if in_doubt and not known:
                shift, rounded_mean, std = _layer_norm_row(drive)
                known = True
            for c in range(first, at if in_doubt else first):
                if in_doubt >> (c - first) & 1:
                    distance = (np.int64(drive[c]) << shift) - rounded_mean
                    y = (2 * (distance << Y_BITS) + std) // (2 * std)
                    fraction = Y_BITS + GAMMA_BITS
                    z = (y * gamma[c] + (beta[c] << Y_BITS) + (1 << (fraction - 1))) >> fraction
                    counts[c] = np.uint8(fired(z, threshold, -most if zero else 0, most) + zero)
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
    slope: float,
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

    ``q = gain * (u + abs(u) * erf(slope * abs(u))) + offset``; ``offset`` holds ``zero``.
    """
    gains, exponents = gain[first : first + width], exponent[first : first + width]
    whole, exact = width - width % LANES, 0
    for row in range(out.shape[0]):
        drive, counts = u[row, :width], out[row, first : first + width]
        at = 0
        while at < width:
            in_doubt, start, end = np.int64(-1), at if at < whole else width - LANES, whole if at < whole else width
            if start >= 0:
                at, in_doubt = gelu_counts(drive, start, end, slope, gains, offset, doubt, zero + most, counts)
                start = at - LANES
            else:
                start, at = at, min(at + LANES, width)
            for c in range(start, at if in_doubt else start):
                if in_doubt >> (c - start) & 1:
                    z = _exact_gelu(np.int64(drive[c]), multipliers, exponents[c])
                    counts[c] = np.uint8(fired(z, threshold, -most if zero else 0, most) + zero)
                    exact += 1
    return exact


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
