"""Sums of the events of a population, from the bytes of its counts."""

from __future__ import annotations

import numpy as np

from spk2loihi.compiled import Bytes, Integers, compiled, inlined


@compiled
def tally(m: Bytes, zero: int, most: int, graded: bool, channels: Integers) -> None:
    """Adds the events of every channel to ``channels`` (d,): |n|, or if ``graded`` whether n is not 0.

    Args:
        m: counts ``n + zero``, (rows, d), |n| at most ``most``.
    """
    partial = np.empty(m.shape[1], np.uint8)
    together = _rows_together(most, graded)
    for start in range(0, len(m), together):
        _add_up(m[start : start + together], np.uint8(zero), graded, partial)
        for c in range(len(channels)):
            channels[c] += np.int64(partial[c])


@compiled
def tally_sentences(
    m: Bytes, zero: int, most: int, graded: bool, starts: Integers, channels: Integers, sums: Integers
) -> None:
    """As `tally`; and events of every sentence to ``sums`` (B,): of the rows ``starts[i]`` to ``starts[i + 1]``."""
    partial = np.empty(m.shape[1], np.uint8)
    together = _rows_together(most, graded)
    for sentence in range(len(sums)):
        sums[sentence] = 0
        for start in range(starts[sentence], starts[sentence + 1], together):
            end = min(start + together, starts[sentence + 1])
            _add_up(m[start:end], np.uint8(zero), graded, partial)
            events = np.int32(0)
            for c in range(len(channels)):
                channels[c] += np.int64(partial[c])
                events += np.int32(partial[c])
            sums[sentence] += events


@inlined
def _rows_together(most: int, graded: bool) -> int:
    """How many rows' events a byte can hold."""
    return 255 if graded else 255 // most


@inlined
def _add_up(m: Bytes, middle: np.uint8, graded: bool, partial: Bytes) -> None:
    """Events of some rows, by channel, as bytes."""
    partial[:] = 0
    for row in m:
        if graded:
            for c in range(len(partial)):
                partial[c] += np.uint8(row[c] != middle)
        else:
            for c in range(len(partial)):
                x = row[c]
                partial[c] += np.uint8(max(x, middle) - min(x, middle))


@compiled
def spikes_of(m: Bytes, zero: int) -> np.int64:
    """Sum of |n|, whatever is sent."""
    total = np.int64(0)
    for row in m:
        spikes = np.int32(0)
        for x in row:
            spikes += abs(np.int32(x) - np.int32(zero))
        total += spikes
    return total
