"""Processes that this program starts end with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spk2loihi.child_processes import deferred_signals
from support.signals import assert_nothing_left, script

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")

CHILD = """
import multiprocessing, os, signal, sys, threading, time
from spk2loihi.child_processes import end_with_parent, kernel_ends_children
class Child(multiprocessing.get_context("fork").Process):
    by_kernel = kernel_ends_children() and BY_KERNEL
    def _bootstrap(self, parent_sentinel=None):
        end_with_parent(self._parent_pid, self.by_kernel)
        return super()._bootstrap(parent_sentinel)
def child():
    if os.fork() == 0: time.sleep(60)
    time.sleep(60)
for _ in range(3): Child(target=child).start()
"""


@pytest.mark.alone
@needs_proc
@pytest.mark.parametrize("by_kernel", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_children_die_with_their_parent(by_kernel: bool, number: int, tmp_path: Path) -> None:
    """And grandchildren."""
    command = script(tmp_path, f"BY_KERNEL = {by_kernel}\n{CHILD}time.sleep(60)")
    command.wait_until(lambda c: len(c.alive()) == 7)
    outcome = command.hit(number)
    assert outcome.processes == 7
    assert_nothing_left(outcome)


@pytest.mark.alone
@needs_proc
@pytest.mark.parametrize("by_kernel", [True, False])
def test_grandchildren_whose_parent_died_first(by_kernel: bool, tmp_path: Path) -> None:
    """Between their fork and their first line."""
    late = "import os, time; os.register_at_fork(after_in_child=lambda: time.sleep(2))"
    command = script(tmp_path, f"{late}\nBY_KERNEL = {by_kernel}\n{CHILD}time.sleep(60)")
    command.wait_until(lambda c: len(c.alive()) == 7)
    assert_nothing_left(command.hit(signal.SIGKILL))


@pytest.mark.alone
@needs_proc
def test_children_outlive_the_thread_that_made_them(tmp_path: Path) -> None:
    """The kernel takes the end of the thread for that of the parent."""
    text = f"""
BY_KERNEL = True
def make():
    global Child, child
    exec({CHILD!r}, globals())
thread = threading.Thread(target=make)
thread.start(); thread.join(); time.sleep(1); open("ready", "w").close(); time.sleep(60)
"""
    command = script(tmp_path, "import threading, time" + text)
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    outcome = command.hit(signal.SIGKILL)
    assert outcome.processes == 7
    assert_nothing_left(outcome)


@pytest.mark.alone
@needs_proc
@pytest.mark.slow
def test_workers_of_a_pool_die_with_it(tmp_path: Path) -> None:
    """They are programs of their own, which import torch first; their pool has semaphores with names."""
    pool = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from spk2loihi.child_processes import start_worker, starting_workers, worker_arguments
if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, get_context("spawn"), start_worker, worker_arguments(1))
    with starting_workers():
        for _ in range(2): pool.submit(time.sleep, 60)
    time.sleep(60)
"""
    for seconds in (0.0, 4.0):
        command = script(tmp_path, pool)
        command.wait_until(lambda c: len(c.alive()) == 4)  # with the resource tracker
        time.sleep(seconds)
        assert_nothing_left(command.hit(signal.SIGKILL))


@pytest.fixture
def python_handler() -> Iterator[None]:
    """Ctrl-C as Python has it, whatever ran before in this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handler")
def test_signals_wait() -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with deferred_signals():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            waited = True
        pytest.fail("the signal was lost")
    assert waited
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_have_no_signals_to_defer() -> None:
    def work() -> None:
        with deferred_signals():
            done.append(1)

    done: list[int] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
