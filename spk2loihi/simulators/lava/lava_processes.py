"""A compiled Lava network at work: its OS processes from their start to their end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import selectors
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spk2loihi.simulators.lava.graph import Graph

_POLL_SECONDS = 0.002
_OBITUARY_SECONDS = 2.0  # that a process which failed is given to say why


class Running:
    """A compiled network and the OS processes it runs in.

    Lava waits for ever when one of its processes dies, because the others wait for its messages. So `run` waits for the
    answer and for deaths at once, and ends every process after the first death.
    """

    def __init__(self, graph: Graph, run_config: Any, stock_channels: bool) -> None:
        self.graph = graph
        self._pid = os.getpid()
        self._stopped = False
        self._deaths = selectors.DefaultSelector()
        self._runtime: Any = None  # lava.magma.runtime.runtime.Runtime
        self._executed = 0  # time steps since Lava's runtime was started
        gc.collect()  # a forked process must not be the one to collect, and so to stop, an older network
        try:
            with _inherited_by_children():
                self._start(run_config, stock_channels)
            self._watch()
        except BaseException:
            self._kill()
            raise
        _register(self)

    def __del__(self) -> None:
        self.stop()

    def _start(self, run_config: Any, stock_channels: bool) -> None:
        """What ``AbstractProcess.create_runtime`` does, by default with this project's channels."""
        from lava.magma.core.process.message_interface_enum import ActorType
        from lava.magma.runtime.runtime import Runtime

        from spk2loihi.simulators.lava.channels import DirectRuntime
        from spk2loihi.simulators.lava.graph import CHANNEL_SIZE

        runtime_class = Runtime if stock_channels else DirectRuntime
        executable = self.graph.root.compile(run_config, {"pypy_channel_size": CHANNEL_SIZE})
        self._runtime = runtime_class(executable, ActorType.MultiProcessing)
        executable.assign_runtime_to_all_processes(self._runtime)
        self._runtime.initialize()

    def _watch(self) -> None:
        """Hear of the death of any process."""
        names = [process.name for process in self._runtime._executable.proc_builders]
        for name, actor in zip([*names, "the runtime service"], self._actors, strict=True):
            self._deaths.register(actor.sentinel, selectors.EVENT_READ, (name, actor))

    @property
    def _actors(self) -> list[Any]:
        """Lava's OS processes: one a process model, in the order of the executable, then the runtime service."""
        infrastructure = self._runtime._messaging_infrastructure
        return [] if infrastructure is None else infrastructure.actors

    def begin(self) -> None:
        """A new run: with its first step every process model starts again."""
        self.graph.timing.origin[0] = self._executed

    @property
    def steps(self) -> int:
        """Time steps of this run."""
        return self._executed - int(self.graph.timing.origin[0])

    def restless(self) -> str | None:
        """Settling: a stage that had a spike in the last step, or is yet to start; None if there is none."""
        steps, stages, timing = self.steps, self.graph.stages, self.graph.timing
        late = (stage.name for stage in self.graph.network.stages if timing.start(stage) > steps)
        return next((name for name, memory in stages.items() if memory.last.max() == steps), next(late, None))

    def run(self, steps: int) -> None:
        """Time steps of one run; what they did is in shared memory then.

        Raises:
            RuntimeError: a process died; all others were ended.
        """
        from lava.magma.core.run_conditions import RunSteps

        try:
            self._runtime.start(RunSteps(num_steps=steps, blocking=False))
            self._wait()
            self._executed += steps
        except BaseException:
            self._kill()
            raise

    def _wait(self) -> None:
        from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

        (answer,) = self._runtime.service_to_runtime
        while not answer.probe():
            if self._deaths.select(_POLL_SECONDS):
                raise RuntimeError(self._obituary())
        if not enum_equal(answer.peek(), MGMT_RESPONSE.DONE):
            raise RuntimeError(self._obituary())
        self._runtime.wait()

    def _obituary(self) -> str:
        """Which process died, and of what; after an exception in one Lava ends the others too, in good order."""
        deadline = time.monotonic() + _OBITUARY_SECONDS
        while time.monotonic() < deadline:
            killed = ""
            for key, _ in self._deaths.select(_POLL_SECONDS):
                name, actor = key.data
                if actor.exception is not None:
                    return f"Lava process {name!r} failed:\n{actor.exception[1]}"
                if actor.exitcode:
                    killed = f"Lava process {name!r} died with exit code {actor.exitcode}"
            if killed:
                return killed
            time.sleep(_POLL_SECONDS)
        return "Lava's runtime service reported an error"

    def stop(self) -> None:
        """End all processes and forget them; again or in a forked process, nothing."""
        if self._stopped or os.getpid() != self._pid:
            return
        if not self._runtime._is_started:  # Lava would wait for processes it does not ask to stop
            self._kill()
            return
        try:
            self._runtime.stop()
        except RuntimeError:
            self._kill()
        self._forget()

    def _kill(self) -> None:
        if self._runtime is not None:
            for actor in self._actors:
                with contextlib.suppress(ValueError):  # closed already
                    actor.kill()
            self._runtime._is_started = False  # nobody is left to be asked to stop
            if self._actors:
                self._runtime.stop()
        self._forget()

    def _forget(self) -> None:
        """Lava keeps every process it ever made, weights and all, in a global list."""
        from lava.magma.core.process.process import ProcessServer

        self._stopped = True
        self._deaths.close()
        mine, server = set(self.graph.processes), ProcessServer()
        server.processes = [process for process in server.processes if process not in mine]


_alive: weakref.WeakSet[Running] = weakref.WeakSet()


def _register(running: Running) -> None:
    """Stop ``running`` at interpreter exit, before multiprocessing's own handler, which would wait for its processes.

    That handler was registered when Lava was imported, and handlers run in reverse.
    """
    if not _alive:
        atexit.unregister(_stop_all)
        atexit.register(_stop_all)
    _alive.add(running)


def _stop_all() -> None:
    for running in list(_alive):
        running.stop()


@contextlib.contextmanager
def _inherited_by_children() -> Iterator[None]:
    """Settings in force while Lava forks its processes: one BLAS thread each, and Ctrl-C is for the parent alone."""
    from threadpoolctl import threadpool_limits

    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        with threadpool_limits(1):
            yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
