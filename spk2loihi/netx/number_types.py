"""Which number type holds integers and their sums exactly: floating point where that is faster and loses nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Whole numbers in an integer or floating-point type that holds them exactly."""

FLOAT32_EXACT = 2**24  # whole numbers up to here, and sums of them that stay up to here, are exact in float32
FLOAT64_EXACT = 2**53
INT32_MAX = 2**31 - 1


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
