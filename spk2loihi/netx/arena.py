"""Memory for many arrays, taken at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spk2loihi.netx.number_types import Array

_ALIGNMENT = 64  # bytes, of a cache line and the widest vector register


def arrays(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> list[Array]:
    """Uninitialised arrays, each from the start of a cache line on, in one block.

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
