"""Processes that this program starts: they end with it, however it ends, and leave Ctrl-C to it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals by which a user, `timeout`, systemd, a container or a batch system ends a command."""

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOOK_SECONDS = 1.0  # between two looks for the parent, where the kernel does not tell


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Signals that end a command wait until this block is done, and then do what they always do.

    Where a started process is noted down, and where processes are ended, an exception out of nowhere would leave one
    behind. Signals whose handler is not Python's are not touched, and other threads than the main one get none.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                stack.enter_context(_deferred(number))
        yield


@contextmanager
def _deferred(number: signal.Signals) -> Iterator[None]:
    handler = signal.getsignal(number)
    if not callable(handler) or isinstance(handler, signal.Handlers):
        yield
        return
    came = []
    signal.signal(number, lambda *_: came.append(number))
    try:
        yield
    finally:
        signal.signal(number, handler)
        if came:
            handler(number, None)


def kernel_ends_children() -> bool:
    """Whether a child of this thread can have itself killed at the death of its parent.

    Linux means the thread that made the child, so only the main thread, which lives as long as its process, will do.
    """
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread()


def end_with_parent(parent: int, by_kernel: bool) -> None:
    """In a child: be killed when the parent dies, even of SIGKILL, and so its own children with it.

    Args:
        parent: its process number, in case it is dead already.
        by_kernel: `kernel_ends_children` of the parent.
    """
    follow = _killed_with_parent if by_kernel else _look_after_parent
    follow(parent)
    parents = [os.getpid()]

    def follow_in_child() -> None:
        follow(parents.pop())
        parents.append(os.getpid())

    os.register_at_fork(after_in_child=follow_in_child)


def _killed_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it died before, and the kernel will not tell
        os.kill(os.getpid(), signal.SIGKILL)


def _look_after_parent(parent: int) -> None:
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def starting_workers() -> Iterator[None]:
    """Submit work to a pool of spawned processes in this block: signals that end a command never reach them.

    A program inherits which signals are blocked, but no handlers. Its parent ends it (`end_workers`).
    """
    with deferred_signals():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            resource_tracker.ensure_running()  # it unblocks some of them
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_arguments(threads: int) -> tuple[int, bool, int]:
    """Of `start_worker`, for the workers of this thread."""
    return os.getpid(), kernel_ends_children(), threads


def start_worker(parent: int, by_kernel: bool, threads: int) -> None:
    """First thing in a worker: end with the parent; then the number of torch's threads."""
    end_with_parent(parent, by_kernel)
    import torch

    torch.set_num_threads(threads)


def end_workers(pool: ProcessPoolExecutor) -> None:
    """Kill the workers of a pool, whose work nobody waits for any more."""
    for process in list((pool._processes or {}).values()):
        process.kill()
