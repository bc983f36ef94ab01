"""Lava's process models in turns, in one OS process, where Lava takes one for each.

A model computes for microseconds and then waits for a message. In OS processes every such wait is the kernel's, and of
the time of a network most goes into changing from one process to the next. Here every model is a coroutine (greenlet):
Lava's own loop (``AbstractPyProcessModel.run``), as it is, that gives its turn away where it would wait. The runtime
service is one of them. Messages and their order are the same: each channel has one sender and one receiver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from greenlet import getcurrent, greenlet


class Turns:
    """Who may go on, in the order in which they were found to be able to."""

    def __init__(self) -> None:
        self._ready: deque[Any] = deque()

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """All of ``works``, until one ends; an exception of one of them ends all.

        Raises:
            RuntimeError: all wait for one another.
        """
        ended: list[Any] = []

        def started(work: Callable[[], None]) -> None:
            work()
            ended.append(getcurrent())

        self._ready.extend(greenlet(lambda work=work: started(work)) for work in works)
        while not ended:
            if not self._ready:
                raise RuntimeError("every process of the network waits for a message that none is to send")
            self._ready.popleft().switch()

    def wait(self) -> None:
        """Give the turn away until `go_on` is called with the greenlet that waits."""
        getcurrent().parent.switch()

    def go_on(self, waiting: Any) -> None:
        self._ready.append(waiting)


class TurnSemaphore:
    """Stands for a semaphore between two models that take turns."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._count, self._waiting = turns, 0, None

    def acquire(self, blocking: bool = True) -> bool:
        if not self._count:
            if not blocking:
                return False
            self._waiting = getcurrent()
            self._turns.wait()
        self._count -= 1
        return True

    def release(self) -> None:
        self._count += 1
        if self._waiting is not None:
            self._turns.go_on(self._waiting)
            self._waiting = None
