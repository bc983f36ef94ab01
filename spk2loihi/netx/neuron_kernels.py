"""Loops over neurons and steps, compiled: a neuron's state stays in the first-level cache for a whole run.

numpy takes a pass over memory for every operation of a neuron's step; compiled, a step is one pass, in vector
instructions.

Integers are cast after every operation: numba works in 64 bits otherwise, half as many lanes to a vector register,
and Lava's arithmetic wraps at 32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spk2loihi.compiled import compiled
from spk2loihi.netx.arrays import Array
from spk2loihi.netx.lif_arrays import SHIFT, STATE_LIMIT, UNITY, LifNeurons, LifRun, LifState

_I = np.int32
_RANGE, _HALF = _I(2 * STATE_LIMIT), _I(STATE_LIMIT)
_V_MIN, _V_MAX = _I(1 - STATE_LIMIT), _I(STATE_LIMIT - 1)
_SHIFT = _I(SHIFT)
_HIGH, _LOW = _I(UNITY.bit_length() - 1), _I(UNITY - 1)
_BYTE_MAX = 255  # spikes that a byte counts
_WIDTH = 1024  # neurons stepped together: seven rows of 4 bytes each fit into the first-level cache
_TURNED = 16  # steps of an input turned at a time, a cache line of each neuron
_TURNED_WIDTH = 256  # neurons, likewise: wider rows would share places in the first-level cache


@compiled
def _leak(state: Any, keep: Any, wide: Any) -> Any:
    """``state * keep / 4096`` rounded towards zero, for keep from 0 to 4096, without a product beyond 32 bits.

    Wide states are taken apart, |state| = 4096 high + low: the first part divides evenly, so only low's product is
    rounded.
    """
    if wide is None:
        product = _I(state * keep)
        return _I(_I(product + _I(_I(product >> _I(31)) & _LOW)) >> _HIGH)
    size = _I(abs(state))
    kept = _I(_I(_I(size >> _HIGH) * keep) + _I(_I(_I(size & _LOW) * keep) >> _HIGH))
    return _I(-kept) if state < 0 else kept


@compiled
def _step(
    drive: Any, keep_u: Any, keep_v: Any, threshold: Any, bias: Any, u: Any, v: Any, sent: Any, wide: Any
) -> None:
    """One step of some neurons, arrays of equal length; see `lif_steps`. Without drive u is 0, as in input neurons."""
    for i in range(len(v)):
        volts = _I(_leak(v[i], keep_v[i], wide) + bias[i])
        if drive is not None:
            current = _I(_I(drive[i]) << _SHIFT)
            if keep_u is not None:
                current = _I(current + _leak(u[i], keep_u[i], wide))
            if wide is not None:
                current = _I(current - _RANGE) if current > _HALF else current
                current = _I(current + _RANGE) if current <= -_HALF else current
            if u is not None:
                u[i] = current
            volts = _I(volts + current)
        if wide is not None:
            volts = min(max(volts, _V_MIN), _V_MAX)
        fired = volts > threshold[i]
        v[i] = _I(0) if fired else volts
        sent[i] = fired


@compiled
def _count(sent: Any, sums: Any) -> None:
    """Spikes of some neurons, (steps, neurons), added up over the steps."""
    sums[:] = 0
    few = np.zeros(len(sums), np.uint8)
    for start in range(0, len(sent), _BYTE_MAX):
        few[:] = 0
        for t in range(start, min(start + _BYTE_MAX, len(sent))):
            row = sent[t]
            for i in range(len(few)):
                few[i] += row[i]
        for i in range(len(few)):
            sums[i] += _I(few[i])


@compiled
def _turn(values: Any, turned: Any) -> None:
    """16-bit bias mantissas (neurons, steps) to biases (steps, neurons); four neurons at a time, one store each."""
    neurons, steps = values.shape
    even = neurons // 4 * 4
    for i in range(0, even, 4):
        for t in range(steps):
            row = turned[t]
            row[i] = _I(np.int16(values[i, t])) << _SHIFT
            row[i + 1] = _I(np.int16(values[i + 1, t])) << _SHIFT
            row[i + 2] = _I(np.int16(values[i + 2, t])) << _SHIFT
            row[i + 3] = _I(np.int16(values[i + 3, t])) << _SHIFT
    for i in range(even, neurons):
        for t in range(steps):
            turned[t, i] = _I(np.int16(values[i, t])) << _SHIFT


@compiled
def samples_of(array: Any, b: int) -> Any:
    """Sample b of (B, neurons), as a batch of one; None of None."""
    return None if array is None else array[b : b + 1]


@compiled
def _part(array: Any, first: int, end: int) -> Any:
    return None if array is None else array[first:end]


@compiled
def _row_part(array: Any, b: int, first: int, end: int) -> Any:
    return None if array is None else array[b, first:end]


@compiled
def _clear(array: Any) -> None:
    if array is not None:
        array[:] = 0


@compiled
def _record(array: Any, into: Any) -> None:
    if array is not None:
        into[:] = array


@compiled
def lif_steps(drive: Array, late: int, begin: int, neurons: LifNeurons, state: LifState, run: LifRun) -> None:
    """Hard-reset neurons, all steps of some samples; the order of one step is that of `lif`.

    Args:
        drive: whole numbers within 32 bits, in float32, int16 or int32, (B, steps - late, driven): of the neurons from
            ``begin`` on. Others stay as they are.
        late: steps the drive comes late.
    """
    batch, steps = run.sent.shape[:2]
    nothing = np.zeros(_WIDTH, drive.dtype)
    for start in range(0, drive.shape[2], _WIDTH):
        width = min(_WIDTH, drive.shape[2] - start)
        first, end = begin + start, begin + start + width
        keep_u, keep_v = _part(neurons.keep_u, first, end), neurons.keep_v[first:end]
        threshold, bias = neurons.threshold[first:end], neurons.bias[first:end]
        for b in range(batch):
            u, v = _row_part(state.u, b, first, end), state.v[b, first:end]
            for t in range(steps):
                if run.rest[t]:
                    v[:] = 0
                    _clear(u)
                now = drive[b, t - late, start : start + width] if t >= late else nothing[:width]
                _step(now, keep_u, keep_v, threshold, bias, u, v, run.sent[b, t, first:end], neurons.wide)
                if run.row_of[t] >= 0:
                    run.taped_v[b, run.row_of[t], first:end] = v
                    _record(u, run.taped_u[b, run.row_of[t], first:end])
            _count(run.sent[b, :, first:end], run.sums[b, first:end])


@compiled
def bias_driven_steps(values: Array, neurons: LifNeurons, state: LifState, run: LifRun) -> None:
    """`lif_steps` for input neurons: ``values``, integers (B, neurons, steps), are bias mantissas.

    16 bits of them count. They arrive with time as the last axis and are turned here, block by block, while they are in
    the cache. A single step of them stands for all. The neurons' own bias and u are not used.
    """
    batch, steps, count = run.sent.shape
    turned = np.empty((_TURNED, _TURNED_WIDTH), np.int32)
    still = values.shape[2] == 1
    together = steps if still else _TURNED
    for first in range(0, count, _TURNED_WIDTH):
        end = min(first + _TURNED_WIDTH, count)
        keep_v, threshold = neurons.keep_v[first:end], neurons.threshold[first:end]
        for b in range(batch):
            v = state.v[b, first:end]
            for start in range(0, steps, together):
                stop = min(start + together, steps)
                _turn(values[b, first:end, start:stop], turned)
                for t in range(start, stop):
                    if run.rest[t]:
                        v[:] = 0
                    bias = turned[0 if still else t - start, : end - first]
                    _step(None, None, keep_v, threshold, bias, None, v, run.sent[b, t, first:end], neurons.wide)
                    if run.row_of[t] >= 0:
                        run.taped_v[b, run.row_of[t], first:end] = v
            _count(run.sent[b, :, first:end], run.sums[b, first:end])


@compiled
def _add_rows(weights: Any, index: Any, sums: Any) -> None:
    """Adds rows of (inputs, neurons), four at a time: the sums are read and written once for them."""
    even = len(index) // 4 * 4
    for k in range(0, even, 4):
        a, b, c, d = weights[index[k]], weights[index[k + 1]], weights[index[k + 2]], weights[index[k + 3]]
        for i in range(len(sums)):
            sums[i] += _I(_I(_I(a[i]) + _I(b[i])) + _I(_I(c[i]) + _I(d[i])))
    for k in range(even, len(index)):
        a = weights[index[k]]
        for i in range(len(sums)):
            sums[i] += _I(a[i])


@compiled
def spike_sums(spikes: Array, weights: Array, sums: Array) -> None:
    """What spikes (B, more or equally many steps, inputs), bytes of 0 and 1, add up to: one row of weights each.

    Args:
        weights: int16 (inputs, neurons).
        sums: int32 (B, steps, neurons), written.
    """
    inputs = spikes.shape[2]
    index = np.empty(inputs, np.uint32)
    for b in range(sums.shape[0]):
        for t in range(sums.shape[1]):
            row, found = spikes[b, t], 0
            for i in range(inputs):  # without a branch: it would be guessed wrong at every other spike
                index[found] = i
                found += row[i]
            sums[b, t] = 0
            _add_rows(weights, index[:found], sums[b, t])


@compiled
def weighted_sums(counts: Array, weights: Array) -> Array:
    """``counts @ weights`` of int32 (B, n) and (n,), in 64 bits, which numpy does an element at a time."""
    sums = np.zeros(len(counts), np.int64)
    for b in range(len(counts)):
        row, sum_ = counts[b], np.int64(0)
        for i in range(len(weights)):
            sum_ += np.int64(row[i]) * np.int64(weights[i])
        sums[b] = sum_
    return sums
