"""Arrays of whole numbers: which number type holds them and their sums exactly, and memory for many at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Whole numbers in an integer or floating-point type that holds them exactly."""

FLOAT32_EXACT = 2**24  # whole numbers up to here, and sums of them that stay up to here, are exact in float32
FLOAT64_EXACT = 2**53
INT32_MAX = 2**31 - 1

_ALIGNMENT = 64  # bytes, of a cache line and the widest vector register


def exact_dtype(bound: int) -> type[np.float32] | type[np.float64] | type[np.int64]:
    """The fastest type in which sums of integers are exact, if no partial sum is greater than ``bound``."""
    if bound <= FLOAT32_EXACT:
        return np.float32
    return np.float64 if bound <= FLOAT64_EXACT else np.int64


def wrap_int32(values: Array) -> NDArray[np.int32]:
    """Whole numbers below 2**63 modulo 2**32, signed, as Lava's 32-bit ports keep them."""
    if values.dtype.kind == "f":
        values = values.astype(np.int64)
    return values.astype(np.int32, copy=False)


def is_still(messages: Array) -> bool:
    """Whether all steps of (B, steps, ...) are the same memory, as `numpy.broadcast_to` makes them."""
    return messages.shape[1] > 0 and messages.strides[1] == 0


def largest_magnitude(values: Array) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def allocate(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> list[Array]:
    """Uninitialised arrays in one block, each from the start of a cache line on.

    numpy asks for pages of 2 MiB for blocks of 4 MiB and more, and the system hands out a large block once, where it
    would hand out many small ones page by page: a page costs more than the neurons that write to it.
    """
    sizes = [math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in zip(shapes, dtypes, strict=True)]
    spans = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]
    block = np.empty(sum(spans) + _ALIGNMENT, np.uint8)
    start, made = -block.ctypes.data % _ALIGNMENT, []
    for shape, dtype, size, span in zip(shapes, dtypes, sizes, spans, strict=True):
        made.append(block[start : start + size].view(dtype).reshape(shape))
        start += span
    return made
