"""Loops compiled for the processor at hand (numba): what would be many passes of an array library is one here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compiled at the first call, and kept on disk (numba's cache) for the next process.

    Sums may be taken in any order, in vector lanes, and products fused with additions; numbers that are not are still
    treated as IEEE 754 has it. Integers divide towards minus infinity. The interpreter lock is not held meanwhile.
    """
    compiler = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    return cast(F, compiler(function))
