"""The memory of a Lava channel, without a name: nothing in /dev/shm, nothing to clean up, however a process ends.

Lava takes named shared memory, from a manager process, and named semaphores. All its processes are forks of one that
has made every channel before; so an anonymous mapping, which they inherit, does the same, and ends with its last user.
"""

from __future__ import annotations

import _multiprocessing  # type: ignore[import-not-found]
import ctypes
import mmap
import multiprocessing
import platform
import sys
from typing import Any

_SEMAPHORE = 1  # kind of _multiprocessing.SemLock
_PLACE = 64  # bytes of a semaphore, in a cache line of its own; sem_t has 32
_LARGEST = _multiprocessing.SemLock.SEM_VALUE_MAX


class ChannelMemory:
    """What Lava calls ``shm``, and the two semaphores of a channel.

    Attributes:
        buf: the messages.
        req: messages sent and not yet received.
        ack: messages received, of which the sender has not heard.
    """

    def __init__(self, size: int) -> None:
        mapping = mmap.mmap(-1, 2 * _PLACE + max(1, size))
        self.buf = memoryview(mapping)[2 * _PLACE :]
        self.req = _semaphore(mapping, 0)
        self.ack = _semaphore(mapping, _PLACE)


class _Semaphore(_multiprocessing.SemLock):
    """Keeps the mapping it lies in."""

    memory: Any


def _semaphore(mapping: mmap.mmap, offset: int) -> Any:
    if not _UNNAMED:
        return multiprocessing.get_context("fork").Semaphore(0)  # which removes its name at once
    memory = ctypes.c_char.from_buffer(mapping, offset)
    address = ctypes.addressof(memory)
    if ctypes.CDLL(None, use_errno=True).sem_init(ctypes.c_void_p(address), 1, 0):
        raise OSError(ctypes.get_errno(), "a semaphore in shared memory was refused")
    semaphore = _Semaphore._rebuild(address, _SEMAPHORE, _LARGEST, None)
    semaphore.memory = memory
    return semaphore


#: glibc's sem_init; macOS has none, and other C libraries may not let go of such a semaphore as they should.
_UNNAMED = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
