"""Matrices of the synapses that move, repeat, gather and add messages."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spk2loihi.chip.process_graph import SparseWeight

IntArray = NDArray[np.int64]

DIGIT = 128
"""Base of the digits a bias is made of: a weight is one signed digit."""
DIGITS = (1, DIGIT, DIGIT**2)
"""Payloads of the presence of a token: one for each digit."""


def sparse(rows: ArrayLike, columns: ArrayLike, values: ArrayLike, shape: tuple[int, int]) -> SparseWeight:
    """Synapses in any order; those of weight 0 are left out."""
    row, column, value = (
        np.asarray(given, dtype=np.int64).ravel() for given in np.broadcast_arrays(rows, columns, values)
    )
    kept = np.flatnonzero(value)
    order = kept[np.lexsort((column[kept], row[kept]))]
    return SparseWeight(
        row[order].astype(np.int32), column[order].astype(np.int32), value[order].astype(np.int16), shape
    )


def one_to_one(weight: ArrayLike, places: int = 1, first: int = 0, of: int | None = None) -> SparseWeight:
    """Neuron i to neuron i.

    Args:
        weight: of each channel, (width,).
        places: of the target, each of ``width`` neurons.
        first: place of the source that goes to the target's first.
        of: places of the source, as many as the target's by default.
    """
    values = np.tile(np.asarray(weight), places)
    width, i = len(values) // places, np.arange(len(values))
    return sparse(i, i + first * width, values, (len(values), width * (places if of is None else of)))


def into_first(width: int, places: int) -> SparseWeight:
    """A population to the first place of a line."""
    i = np.arange(width)
    return sparse(i, i, 1, (places * width, width))


def onwards(width: int, places: int) -> SparseWeight:
    """A line to itself: every place to the next."""
    i = np.arange((places - 1) * width)
    return sparse(i + width, i, 1, (places * width, places * width))


def digits(values: IntArray) -> IntArray:
    """Even integers as weights of `DIGITS`: (channels, 3), each even, of the sign of its value and at most 2 * 127.

    Args:
        values: (channels,), at most `STREAM_BIAS_MAX` in magnitude.
    """
    half = np.abs(values) // 2
    places = [half // digit % DIGIT for digit in DIGITS]
    return 2 * np.sign(values)[:, None] * np.stack(places, -1)
