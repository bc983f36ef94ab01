"""Loops compiled for the processor at hand (numba): what would be many passes of an array library is one here."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numba import config, njit
from numba.core import event
from numpy.typing import NDArray

from spk2loihi.compile_time import compiling_ends, compiling_starts

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

#: Files of compiled loops, and all they import from this package (a test in tests/ checks this).
SOURCES = ("compiled.py", "choices.py", "limits.py", "network/*.py", "netx/*.py", "simulators/emulator/*.py")

F = TypeVar("F", bound=Callable[..., Any])

_compiler = partial(njit, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


class _Compilations(event.Listener):
    """Tells `compile_time` when numba compiles. Loops that it takes from its cache are not compiled."""

    def on_start(self, event: Any) -> None:
        compiling_starts()

    def on_end(self, event: Any) -> None:
        compiling_ends()


event.register("numba:compile", _Compilations())


def compiled(function: F) -> F:
    """Compiled at the first call, and kept on disk (numba's cache) for the next process.

    Sums may be taken in any order, in vector lanes, and products fused with additions; numbers that are not are still
    treated as IEEE 754 has it. Integers divide towards minus infinity. The interpreter lock is not held meanwhile.
    """
    if not _has_home():
        return cast(F, _compiler()(function))
    try:
        made = _compiler(cache=True)(function)
    except (RuntimeError, OSError):  # numba: "no locator available", no folder can be written
        return cast(F, _compiler()(function))
    if (cache := getattr(made, "_cache", None)) is not None:  # none with NUMBA_DISABLE_JIT
        index = cache._cache_file
        index._source_stamp = (index._source_stamp, _sources())
        cache.load_overload = _or_none(cache.load_overload)
        cache.save_overload = _or_none(cache.save_overload)
    return cast(F, made)


def inlined(function: F) -> F:
    """A part of `compiled` functions, which call it; Python cannot. Nothing is kept of it alone.

    That spares the wrapper Python would need, which for tuples of many arrays takes longer to compile than a loop.
    """
    return cast(F, _compiler(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


def cache_folder() -> str | None:
    """Where compiled loops are kept; None where no folder can be written, so that every process compiles them again."""
    made = compiled(_nothing)
    folder = getattr(getattr(made, "_cache", None), "cache_path", None)
    return folder if folder is not None and os.access(folder, os.W_OK) else None


def _nothing() -> None:
    pass


def _has_home() -> bool:
    """Whether there is a folder for the cache; numba would make one named ``~`` for a user who has no home."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    return bool(config.CACHE_DIR) or os.path.isabs(home) or os.access(Path(__file__).parent, os.W_OK)


def _or_none(method: Callable[..., Any]) -> Callable[..., Any]:
    """A cache that cannot be read, or has no room, is none."""

    @wraps(method)
    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    return call


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
