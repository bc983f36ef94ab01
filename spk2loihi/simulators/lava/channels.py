"""Lava's channels without their threads: the same shared memory and semaphores, a fraction of the time.

A stock port (lava/magma/compiler/channels/pypychannel.py) has a thread that takes a semaphore and tells the main
thread. Where the main thread has nothing to do but wait, it can take the semaphore itself: a network of 114 processes
then takes a third of the time. The channels between the host's runtime and the runtime service stay stock:
both ends of them are polled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.compiler.channels.interfaces import ChannelType
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort, Proto, PyPyChannel
from lava.magma.core.model.py.ports import PyInPortVectorDense
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
from lava.magma.runtime.runtime import Runtime
from numpy.typing import NDArray

_POLLED = ("runtime_to_service", "service_to_runtime")


class DirectSendPort(CspSendPort):
    """Waits for a free place in the channel by taking the receiver's semaphore."""

    _idx: int
    _size: int

    def start(self) -> None:
        self._array = _places(self)
        self._free = self._size

    def send(self, data: NDArray[Any]) -> None:
        if data.shape != self._shape:
            raise AssertionError(f"channel {self._name} takes messages of shape {self._shape}, not {data.shape}")
        if self._free:
            self._free -= 1
        else:
            self._ack.acquire()
        self._array[self._idx][:] = data
        self._idx = (self._idx + 1) % self._size
        self._req.release()


class DirectRecvPort(CspRecvPort):
    """Waits for a message by taking the sender's semaphore. `probe` waits too: the model of a process without Lava
    RefPorts has nothing else to wait for."""

    _idx: int
    _size: int

    def start(self) -> None:
        self._array = _places(self)
        self._taken = False

    def probe(self) -> bool:
        if not self._taken:
            self._req.acquire()
            self._taken = True
        return True

    def recv(self) -> NDArray[Any]:
        self.probe()
        self._taken = False
        message: NDArray[Any] = self._array[self._idx].copy()
        self._idx = (self._idx + 1) % self._size
        self._ack.release()
        return message


class DirectChannel(PyPyChannel):
    """A stock channel with direct ports at both ends."""

    _src_port: Any
    _dst_port: Any

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._src_port = _direct(DirectSendPort, self._src_port)
        self._dst_port = _direct(DirectRecvPort, self._dst_port)


class DirectMultiProcessing(MultiProcessing):
    """Stock message infrastructure that makes direct channels between processes."""

    def channel_class(self, channel_type: ChannelType) -> Any:
        return _make_channel if channel_type == ChannelType.PyPy else super().channel_class(channel_type)


class DirectRuntime(Runtime):
    """Stock runtime on direct channels."""

    def _build_message_infrastructure(self) -> None:
        self._messaging_infrastructure = DirectMultiProcessing()
        self._messaging_infrastructure.start()


class DirectInPort(PyInPortVectorDense):
    """Adds up what its sources sent, in their own type, without first adding the first of them to zeros."""

    def recv(self) -> NDArray[Any]:
        if not self.csp_ports:
            return np.zeros(self._shape, self._d_type)
        first, *others = self.csp_ports
        total: NDArray[Any] = first.recv()
        for port in others:
            total += port.recv()
        return total


def _make_channel(infrastructure: MultiProcessing, src_name: str, *args: Any) -> PyPyChannel:
    stock = any(name in src_name for name in _POLLED)
    return (PyPyChannel if stock else DirectChannel)(infrastructure, src_name, *args)


def _direct(port_class: type, stock: Any) -> Any:
    """A port of ``port_class`` on the channel of a stock port that has not been started."""
    proto = Proto(stock._shape, stock._dtype, stock._nbytes)
    watchdogs = stock._io_watchdog, stock._join_watchdog
    return port_class(stock._name, stock._shm, proto, stock._size, stock._req, stock._ack, *watchdogs)


def _places(port: Any) -> list[NDArray[Any]]:
    """The messages a channel holds, as arrays on its shared memory."""
    size = port._nbytes
    return [np.ndarray(port._shape, port._dtype, port._shm.buf[size * i : size * (i + 1)]) for i in range(port._size)]
