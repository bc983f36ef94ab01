"""How long this process has compiled: loops for its processor (numba), networks for Lava."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Clock:
    """Runs while anything compiles; what compiles within something else, or beside it, counts once."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.depth, self.started, self.total = 0, 0.0, 0.0

    def start(self) -> None:
        with self.guard:
            if self.depth == 0:
                self.started = time.perf_counter()
            self.depth += 1

    def stop(self) -> None:
        with self.guard:
            self.depth -= 1
            if self.depth == 0:
                self.total += time.perf_counter() - self.started


_clock = _Clock()
compiling_starts, compiling_ends = _clock.start, _clock.stop


def compile_seconds() -> float:
    """Seconds so far. Loops that come from numba's cache take none."""
    return _clock.total


@contextmanager
def compiling() -> Iterator[None]:
    """What happens in this block is compilation."""
    compiling_starts()
    try:
        yield
    finally:
        compiling_ends()
