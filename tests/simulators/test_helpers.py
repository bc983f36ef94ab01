"""Threads that share in runs of others."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
from numpy.typing import NDArray

from spk2loihi.compiled import compiled
from spk2loihi.simulators.emulator.helpers import Helpers, helpers
from spk2loihi.simulators.emulator.shares import await_more, take


@compiled
def awake(numbers, so_far):  # type: ignore[no-untyped-def]
    await_more(numbers, so_far)


@compiled
def begin(numbers):  # type: ignore[no-untyped-def]
    take(numbers, 0)


def test_every_job_is_done_and_threads_are_no_more_than_cores() -> None:
    pool, done, names = Helpers(), threading.Semaphore(0), set()

    def job() -> None:
        names.add(threading.current_thread().name)
        done.release()

    for _ in range(50):
        pool.submit(job)
    assert all(done.acquire(timeout=10) for _ in range(50))
    assert 1 <= len(names) <= (os.cpu_count() or 1)


def test_one_who_waits_goes_on_with_the_next_run() -> None:
    """And goes to sleep where none follows."""
    numbers = np.zeros(1, np.int64)
    begin(np.zeros(1, np.int64))  # compiled by now
    awake(np.ones(1, np.int64), 0)
    without = seconds(numbers)
    begin(numbers)
    assert numbers[0] == 1
    assert min(seconds(numbers) for _ in range(20)) < without


def seconds(numbers: NDArray[np.int64]) -> float:
    started = time.perf_counter()
    awake(numbers, 0)
    return time.perf_counter() - started


def test_a_fork_has_helpers_of_its_own() -> None:
    own = helpers()
    assert helpers() is own
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"new" if helpers() is not own else b"old")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 3) == b"new"
