"""A compiled Lava network at work: its OS processes from their start to their end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import selectors
import signal
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe, Process
from typing import Any

from lava.magma.compiler.channels.interfaces import ChannelType
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_conditions import RunSteps
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing, SystemProcess
from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime, target_fn
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from spk2loihi.child_processes import ENDING, deferred_signals, end_with_parent, kernel_ends_children
from spk2loihi.compile_time import compiling
from spk2loihi.errors import UserError
from spk2loihi.simulators.lava.channels import AnonymousChannel, messages
from spk2loihi.simulators.lava.turns import Turns

CHANNEL_SIZE = 2
"""Messages a Lava channel holds. Lava's default of 64 would take 64 copies of every array that is sent."""

_POLL_SECONDS = 0.002
_OBITUARY_SECONDS = 2.0  # that a process which failed is given to say why


class LavaProcesses:
    """A compiled network and the OS processes it runs in; use it as a context manager, or stop it.

    Lava waits for ever when one of its processes dies, because the others wait for its messages. Here every wait is for
    deaths, too, and after the first death, or any other exception in the block, every process is killed. They die with
    this process, however it ends, and have no names in /dev/shm to leave behind.

    Args:
        root: compiled with all processes connected to it.
        processes: those, with their parts; Lava forgets them in the end.
        direct: all models in one OS process, in turns, many times as fast, for process models without Lava RefPorts;
            else one for each, on stock channels.
        orderly: ask the processes to end before they are killed, as a board needs.
        channel_size: messages that every channel holds.

    Raises:
        UserError: the system cannot start so many processes.
    """

    def __init__(
        self,
        root: Any,
        run_config: Any,
        processes: Sequence[Any],
        *,
        direct: bool,
        orderly: bool = False,
        channel_size: int = CHANNEL_SIZE,
    ) -> None:
        self._pid = os.getpid()
        self._stopped = False
        self._orderly = orderly
        self._processes = processes
        self._runtime: _Runtime | None = None
        self.executed = 0  # time steps since the start
        gc.collect()  # a forked process must not be the one to collect, and so to stop, an older network
        try:
            with compiling():
                executable = root.compile(run_config, {"pypy_channel_size": channel_size})
            self._runtime = _Runtime(executable, direct)
            executable.assign_runtime_to_all_processes(self._runtime)
            with threadpool_limits(1):  # which the processes inherit
                self._runtime.initialize()
        except OSError as error:
            started = len(self.actors)
            self.kill()
            what = (
                "this network in a process of its own, which could not be started"
                if direct
                else f"every part of this network in a process of its own, and only {started} could be started"
            )
            raise UserError(
                f"Lava runs {what} ({error.strerror or error}): allow more processes and open "
                "files (ulimit -u, ulimit -n), or use the `backend` emulator"
            ) from error
        except BaseException:
            self.kill()
            raise
        _register(self)

    def __enter__(self) -> LavaProcesses:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def __del__(self) -> None:
        self.kill()

    @property
    def actors(self) -> list[Any]:
        """Lava's OS processes: one a process model, in the order of the executable, then the runtime service; or one
        for all."""
        infrastructure = None if self._runtime is None else self._runtime._messaging_infrastructure
        return [] if infrastructure is None else infrastructure.actors

    @property
    def models(self) -> dict[Any, type]:
        """The process model that the run configuration has chosen, by process."""
        assert self._runtime is not None
        return {process: builder.proc_model for process, builder in self._runtime._executable.proc_builders.items()}

    def sent(self, process: Any, port: str = "s_out") -> list[NDArray[Any]]:
        """The last messages from a port to the first process that it is connected to, where they lie in their channel.

        Of ``n`` places, that of time step t, counted from 1, is ``(t - 1) % n``. The next step overwrites the oldest.
        """
        assert self._runtime is not None
        return messages(self._runtime._executable.proc_builders[process].csp_ports[port][0])

    def run(self, steps: int) -> None:
        """Time steps of the network; blocks.

        Raises:
            RuntimeError: a process died; all others were ended.
        """
        runtime = self._runtime
        assert runtime is not None
        try:
            runtime.start(RunSteps(num_steps=steps, blocking=False))
            (answer,) = runtime.service_to_runtime
            if not enum_equal(answer.peek(), MGMT_RESPONSE.DONE):
                raise RuntimeError(runtime._messaging_infrastructure.obituary())
            runtime.wait()
            self.executed += steps
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End all processes and forget them; again or in a forked process, nothing."""
        if self._orderly and not self._stopped and os.getpid() == self._pid and self._runtime is not None:
            with contextlib.suppress(RuntimeError):
                self._runtime.stop()
        self.kill()

    def kill(self) -> None:
        """`stop`, at once; signals wait until it is done."""
        if self._stopped or os.getpid() != self._pid:
            return
        with deferred_signals():
            self._stopped = True
            if self._runtime is not None:
                self._runtime.abandon()
            # Lava keeps every process it ever made, weights and all, in a global list.
            mine, server = set(self._processes), ProcessServer()
            server.processes = [process for process in server.processes if process not in mine]


class _Runtime(Runtime):
    """Stock runtime on this project's channels and processes."""

    def __init__(self, executable: Any, direct: bool) -> None:
        super().__init__(executable, ActorType.MultiProcessing)
        self._direct = direct

    def _build_message_infrastructure(self) -> None:
        self._messaging_infrastructure = _Infrastructure(self._direct)

    def _build_processes(self) -> None:
        for process, builder in self._executable.proc_builders.items():
            process._runtime = self
            self._start_actor(process.name, builder)

    def _build_runtime_services(self) -> None:
        for builder in self._executable.runtime_service_builders.values():
            self._start_actor("the runtime service", builder)
        self._messaging_infrastructure.start_together()

    def _start_actor(self, name: str, builder: Any) -> None:
        report = _Report(name)
        self.exception_q.append(report)
        self._messaging_infrastructure.add_actor(_Model(name, builder, report))

    def abandon(self) -> None:
        """Kill all processes; what is left has nothing to stop."""
        self._is_started = self._is_running = False
        if self._messaging_infrastructure is not None:
            self._messaging_infrastructure.stop()


class _Infrastructure(MultiProcessing):
    """Starts processes, watches them and ends them; there is no manager of shared memory."""

    def __init__(self, direct: bool) -> None:
        super().__init__()
        self._turns = Turns() if direct else None
        self._together: list[_Model] = []  # what is to take turns
        self._pid = os.getpid()
        self._deaths = selectors.DefaultSelector()

    def channel_class(self, channel_type: ChannelType) -> Any:
        return self._channel if channel_type == ChannelType.PyPy else super().channel_class(channel_type)

    def _channel(self, _: Any, *args: Any) -> AnonymousChannel:
        return AnonymousChannel(self._turns, self.check, *args)

    def add_actor(self, model: _Model) -> None:
        """Start an OS process for a model, or leave it to `start_together`."""
        if self._turns is None:
            self._start(_Actor(model.run), [model])
        else:
            self._together.append(model)

    def start_together(self) -> None:
        """Start the OS process of the models that take turns."""
        if self._turns is not None:
            self._start(_Actor(partial(self._turns.run, [model.run for model in self._together])), self._together)

    def _start(self, actor: _Actor, models: Sequence[_Model]) -> None:
        name = models[0].name if len(models) == 1 else "of all models"
        with deferred_signals():
            actor.start()
            self._actors.append(actor)
            self._deaths.register(actor.sentinel, selectors.EVENT_READ, (name, actor))
            for model in models:
                model.report.close_there()

    def check(self) -> None:
        """Raises `RuntimeError` if a process is dead."""
        if self._deaths.select(0):
            raise RuntimeError(self.obituary())

    def obituary(self) -> str:
        """Which process died, and of what; after an exception in one Lava ends the others too, in good order."""
        deadline = time.monotonic() + _OBITUARY_SECONDS
        while time.monotonic() < deadline:
            killed = ""
            for key, _ in self._deaths.select(_POLL_SECONDS):
                name, actor = key.data
                if actor.exception is not None:
                    error, trace = actor.exception
                    return f"Lava process {getattr(error, 'model_name', name)!r} failed:\n{trace}"
                if actor.exitcode:
                    killed = f"Lava process {name!r} died with exit code {actor.exitcode}"
            if killed:
                return killed
            time.sleep(_POLL_SECONDS)
        return "Lava's runtime service reported an error"

    def stop(self) -> None:
        if os.getpid() != self._pid:
            return
        self._deaths.close()
        for actor in self._actors:
            actor.kill()
        while self._actors:
            self._actors.pop().bury()


class _Actor(SystemProcess):
    """A process of Lava's that ends with its parent, and leaves to it the signals that end a command.

    Ctrl-C, `timeout`, systemd and batch systems send them to all processes of a command.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__(target=run)
        self._by_kernel = kernel_ends_children()

    def _bootstrap(self, parent_sentinel: Any = None) -> int:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        end_with_parent(self._parent_pid, self._by_kernel)
        return super()._bootstrap(parent_sentinel)

    def bury(self) -> None:
        """After `kill`: wait for the end, and close what was open to the process."""
        Process.join(self)
        Process.close(self)
        self._pconn.close()
        self._cconn.close()
        self._is_done = True


@dataclass(frozen=True)
class _Model:
    """A process model, or the runtime service, that is yet to be built."""

    name: str
    builder: Any
    report: _Report

    def run(self) -> None:
        """Until the network ends."""
        try:
            target_fn(builder=self.builder, exception_q=self.report)
        except Exception as error:
            error.model_name = self.name  # type: ignore[attr-defined]
            raise


class _Report:
    """How a process tells that it has started, or why it could not: what Lava has a queue for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._here, self._there = Pipe(duplex=False)

    def put(self, error: Any) -> None:
        """Called by the process, with None where all is well."""
        self._there.send(error and error.trace)

    def close_there(self) -> None:
        """The process has its own copy of this end; so the pipe ends with the process."""
        self._there.close()

    def get(self) -> None:
        """Raises `RuntimeError` if the process has not started."""
        try:
            trace = self._here.recv()
        except EOFError:
            raise RuntimeError(f"Lava process {self._name!r} died while it started") from None
        finally:
            self._here.close()
        if trace is not None:
            raise RuntimeError(f"Lava process {self._name!r} failed:\n{trace}")


_alive: weakref.WeakSet[LavaProcesses] = weakref.WeakSet()


def _register(processes: LavaProcesses) -> None:
    """Stop them at interpreter exit, before multiprocessing's own handler, which would wait for its processes.

    That handler was registered when Lava was imported, and handlers run in reverse.
    """
    if not _alive:
        atexit.unregister(_stop_all)
        atexit.register(_stop_all)
    _alive.add(processes)


def _stop_all() -> None:
    for processes in list(_alive):
        processes.stop()
