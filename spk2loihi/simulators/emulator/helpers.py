"""Threads that share in the runs of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Lock, Thread

import numpy as np


class Helpers:
    """Threads that take jobs in turns.

    Waking a thread that sleeps takes a tenth of a millisecond or more, which is much of what a sentence alone takes. So
    the loops of a run (`program_loops`) keep those that helped awake for a moment after it, in case another follows.

    Attributes:
        begun: runs that have begun, one number, which threads that are awake look at.
    """

    def __init__(self) -> None:
        self.begun = np.zeros(1, np.int64)
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._threads = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Have ``job`` done by a thread: a new one, as long as the processor has more cores than there are threads."""
        with self._lock:
            if self._threads < (os.cpu_count() or 1):
                self._threads += 1
                Thread(target=self._work, name=f"run helper {self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def helpers() -> Helpers:
    """Those of this process: a fork has none of its parent's threads."""
    return _of_process(os.getpid())


@cache
def _of_process(_process: int) -> Helpers:
    return Helpers()
