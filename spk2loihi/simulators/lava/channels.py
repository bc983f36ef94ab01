"""Lava's channels on memory without names, and, where that is possible, without their threads.

A stock port (lava/magma/compiler/channels/pypychannel.py) has a thread that takes a semaphore and tells the main
thread. Models that take turns (`turns`) have nothing to do but wait, and take a semaphore of theirs. The runtime
service polls its channels to the host and keeps stock ports there. The host waits for the runtime service and looks
whether all processes are alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort, Proto, PyPyChannel
from lava.magma.core.model.py.ports import PyInPortVectorDense
from numpy.typing import NDArray

from spk2loihi.simulators.lava.channel_memory import ChannelMemory
from spk2loihi.simulators.lava.turns import Turns, TurnSemaphore

_LOOK_SECONDS = 0.05  # between two looks of the host whether all processes are alive

Check = Callable[[], None]
"""Raises when a process is dead."""


class DirectSendPort(CspSendPort):
    """Waits for a free place in the channel by taking the receiver's semaphore.

    An array that cannot be written to, such as silence, is not copied where it lies already.
    """

    held: list[NDArray[Any] | None]  # such arrays, by their place in the channel

    _idx: int
    _size: int

    def start(self) -> None:
        self._array = messages(self)
        self._free = self._size

    def send(self, data: NDArray[Any]) -> None:
        if data.shape != self._shape:
            raise AssertionError(f"channel {self._name} takes messages of shape {self._shape}, not {data.shape}")
        if self._free:
            self._free -= 1
        else:
            self._take(self._ack)
        if self.held[self._idx] is not data:
            self._array[self._idx][:] = data
            self.held[self._idx] = None if data.flags.writeable else data
        self._idx = (self._idx + 1) % self._size
        self._req.release()

    def _take(self, semaphore: Any) -> None:
        semaphore.acquire()


class DirectRecvPort(CspRecvPort):
    """Waits for a message by taking the sender's semaphore. `probe` waits too: the model of a process without Lava
    RefPorts has nothing else to wait for."""

    _idx: int
    _size: int

    def start(self) -> None:
        self._array = messages(self)
        self._taken = False

    def probe(self) -> bool:
        self._await()
        return True

    def recv(self) -> NDArray[Any]:
        self._await()
        self._taken = False
        message: NDArray[Any] = self._array[self._idx].copy()
        self._idx = (self._idx + 1) % self._size
        self._ack.release()
        return message

    def _await(self) -> None:
        if not self._taken:
            self._req.acquire()
            self._taken = True


class TurnRecvPort(DirectRecvPort):
    """Gives the message where it lies, not to be written to: a sender that takes turns cannot be a whole step ahead,
    and so not send the next message to this place before the step ends."""

    held: list[NDArray[Any] | None]  # the sender's

    def recv(self) -> NDArray[Any]:
        self._await()
        self._taken = False
        held = self.held[self._idx]
        message = self._views[self._idx] if held is None else held
        self._idx = (self._idx + 1) % self._size
        self._ack.release()
        return message

    def start(self) -> None:
        super().start()
        self._views = [array.view() for array in self._array]
        for view in self._views:
            view.flags.writeable = False


class HostSendPort(DirectSendPort):
    """From the host to the runtime service."""

    check: Check

    def _take(self, semaphore: Any) -> None:
        while not semaphore.acquire(True, _LOOK_SECONDS):
            self.check()


class HostRecvPort(DirectRecvPort):
    """From the runtime service to the host. `probe` does not wait."""

    check: Check

    def probe(self) -> bool:
        self._taken = self._taken or self._req.acquire(False)
        return self._taken

    def peek(self) -> NDArray[Any]:
        """The next message, which stays where it is."""
        self._await()
        message: NDArray[Any] = self._array[self._idx].copy()
        return message

    def _await(self) -> None:
        while not self._taken:
            self._taken = self._req.acquire(True, _LOOK_SECONDS)
            if not self._taken:
                self.check()


class AnonymousChannel(PyPyChannel):
    """A stock channel on memory without a name.

    Args:
        turns: of the models at both ends; None: they are OS processes, with stock ports.
        check: of the host's end, where the channel has one.
    """

    def __init__(
        self, turns: Turns | None, check: Check, src_name: str, dst_name: str, shape: Any, dtype: Any, size: int,
        *watchdogs: Any,
    ) -> None:  # fmt: skip
        send, join_send, receive, join_receive = watchdogs
        source: Any = CspSendPort if turns is None else DirectSendPort
        target: Any = CspRecvPort if turns is None else TurnRecvPort
        nbytes = self.nbytes(shape, dtype)
        memory, proto = ChannelMemory(int(nbytes * size)), Proto(shape, dtype, nbytes)
        req, ack = memory.req, memory.ack
        if "runtime_to_service" in src_name:
            source, target = HostSendPort, CspRecvPort
        elif "service_to_runtime" in src_name:
            source, target = CspSendPort, HostRecvPort
        elif turns is not None:
            req, ack = TurnSemaphore(turns), TurnSemaphore(turns)
        held: list[NDArray[Any] | None] = [None] * size
        self._src_port = source(src_name, memory, proto, size, req, ack, send, join_send)
        self._dst_port = target(dst_name, memory, proto, size, req, ack, receive, join_receive)
        for port in (self._src_port, self._dst_port):
            if isinstance(port, (HostSendPort, HostRecvPort)):
                port.check = check
            if isinstance(port, (DirectSendPort, TurnRecvPort)):
                port.held = held


class DirectInPort(PyInPortVectorDense):
    """Adds up what its sources sent, in their own type, without first adding the first of them to zeros."""

    def recv(self) -> NDArray[Any]:
        if not self.csp_ports:
            return np.zeros(self._shape, self._d_type)
        received: list[NDArray[Any]] = [port.recv() for port in self.csp_ports]
        if len(received) == 1:
            return received[0]
        first, *others = [message for message in received if not is_silent(message)] or received[:1]
        for message in others:
            first = first + message
        return first


_SILENCE: dict[int, NDArray[Any]] = {}  # by identity; models keep theirs as long as the process lives


def silence(shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """Zeros that cannot be written to, and that `is_silent` knows without looking at them."""
    zeros: NDArray[Any] = np.zeros(shape, dtype)
    zeros.flags.writeable = False
    _SILENCE[id(zeros)] = zeros
    return zeros


def is_silent(message: NDArray[Any]) -> bool:
    return id(message) in _SILENCE or not message.any()


def messages(port: Any) -> list[NDArray[Any]]:
    """The messages a channel holds, as arrays on its shared memory."""
    size = port._nbytes
    return [np.ndarray(port._shape, port._dtype, port._shm.buf[size * i : size * (i + 1)]) for i in range(port._size)]
