"""Loops compiled for the processor at hand (numba): what would be many passes of an array library is one here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

#: Files of compiled loops, and all they import from this package (a test in tests/ checks this).
SOURCES = ("compiled.py", "limits.py", "network/*.py", "netx/*.py", "simulators/emulator/*.py")

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compiled at the first call, and kept on disk (numba's cache) for the next process.

    Sums may be taken in any order, in vector lanes, and products fused with additions; numbers that are not are still
    treated as IEEE 754 has it. Integers divide towards minus infinity. The interpreter lock is not held meanwhile.
    """
    compiler = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    made = compiler(function)
    if (cache := getattr(made, "_cache", None)) is not None:  # none with NUMBA_DISABLE_JIT
        index = cache._cache_file
        index._source_stamp = (index._source_stamp, _sources())
    return cast(F, made)


@lru_cache
def _sources() -> str:
    """Changes with any file that compiled loops take code or constants from.

    numba forgets a compiled function when its own file changes. What it calls, and constants it takes, from other files
    are part of it, too: after an update it would go on with the old ones.
    """
    root = Path(__file__).parent
    files = (path for pattern in SOURCES for path in root.glob(pattern))
    stats = ((str(path.relative_to(root)), path.stat()) for path in files)
    listed = sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
    return sha256(repr(listed).encode()).hexdigest()
