"""Sums of the events of a population, from the bytes of its counts."""

from __future__ import annotations

import numpy as np

from spk2loihi.compiled import Bytes, Integers, compiled


@compiled
def tally(m: Bytes, zero: int, most: int, graded: bool, channels: Integers) -> None:
    """Adds the events of every channel to ``channels`` (d,): |n|, or if ``graded`` whether n is not 0.

    First, as bytes, of as many rows as a byte can hold.

    Args:
        m: counts ``n + zero``, (rows, d), |n| at most ``most``.
    """
    rows, d = m.shape
    middle = np.uint8(zero)
    group = 255 if graded else 255 // most
    partial = np.empty(d, np.uint8)
    for start in range(0, rows, group):
        partial[:] = 0
        for row in range(start, min(start + group, rows)):
            if graded:
                for c in range(d):
                    partial[c] += np.uint8(m[row, c] != middle)
            else:
                for c in range(d):
                    x = m[row, c]
                    partial[c] += np.uint8(max(x, middle) - min(x, middle))
        for c in range(d):
            channels[c] += np.int64(partial[c])


@compiled
def tally_rows(m: Bytes, zero: int, graded: bool, starts: Integers, sums: Integers) -> None:
    """Events of every sentence to ``sums`` (B,); sentence i has the rows from ``starts[i]`` to ``starts[i + 1]``."""
    d = m.shape[1]
    middle = np.uint8(zero)
    for sentence in range(len(sums)):
        total = np.int64(0)
        for row in range(starts[sentence], starts[sentence + 1]):
            events = np.int32(0)
            for c in range(d):
                x = m[row, c]
                if graded:
                    events += np.int32(x != middle)
                else:
                    events += np.int32(max(x, middle)) - np.int32(min(x, middle))
            total += events
        sums[sentence] = total


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
