"""The backends that run on Lava: ``cpu`` on its CPU simulator, ``loihi2`` on a board."""

from __future__ import annotations

import atexit
import contextlib
import gc
import itertools
import logging
import os
import selectors
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.export.network import Encoding, Network, Schedule, Stage
from spk2loihi.export.soma import SYNAPTIC
from spk2loihi.simulators.backend import Backend, Run, Trains, not_silent
from spk2loihi.simulators.counters import Counts, Settled
from spk2loihi.simulators.lava.importing import import_lava
from spk2loihi.simulators.lava.packing import Grid, Place, pack
from spk2loihi.simulators.lava.shared import Timing

if TYPE_CHECKING:
    from spk2loihi.simulators.lava.build import Graph

MOST_SLOTS = 256
"""Token slots of a network compiled for a batch, if the caller does not say: 8 sentences of 32 tokens."""

_WIDTH_STEP = 8  # lanes are this many tokens long or a multiple: batches of similar length share a compiled network
_LARGEST_MESSAGE = 127  # spikes travel as int8
_POLL_SECONDS = 0.002
_OBITUARY_SECONDS = 2.0  # that a process which failed is given to say why
_SHARED_MEMORY = "/dev/shm"


class LavaBackend(Backend):
    """Lava's CPU simulator: stock netx blocks, this project's neuron and attention processes.

    Compiles on the first batch and keeps the compiled network, and its OS processes, until `close` or a batch it has
    no room for. Use it as a context manager, or close it.

    Args:
        slots: tokens run at once; sentences are packed into them, a batch that does not fit takes several runs. By
            default enough for the first batch, at most `MOST_SLOTS`, and more when a later batch needs them.
        stock_synapses: keep Lava's own Conv process model and its channels, many times slower, to verify this project's
            against.

    Raises:
        UserError: Lava is missing, or the combination is not defined.
    """

    name = "cpu"

    def __init__(
        self,
        network: Network,
        schedule: Schedule = "windowed",
        encoding: Encoding = "rate",
        steps: int | None = None,
        *,
        slots: int | None = None,
        stock_synapses: bool = False,
    ) -> None:
        super().__init__(network, schedule, encoding, steps)
        if encoding == "graded" and network.timesteps > _LARGEST_MESSAGE:
            raise UserError(
                f"timesteps is {network.timesteps}, but a graded message of {self.name} holds at most "
                f"{_LARGEST_MESSAGE}: use --encoding rate, or train with fewer --timesteps"
            )
        if slots is not None and slots < 1:
            raise UserError(f"slots is {slots}, but a Lava network needs at least 1 token slot: choose more slots")
        import_lava()
        self._slots = slots
        self._stock = stock_synapses
        self._running: _Running | None = None

    def __enter__(self) -> LavaBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Lava's runtime and its processes."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        longest = int(batch.lengths.max())
        if longest > self.network.max_tokens:
            raise UserError(
                f"a sentence has {longest} tokens, but this network takes at most {self.network.max_tokens}: "
                "shorten it, or train with more --max-tokens"
            )
        running = self._ready(batch.lengths)
        result = _Result(self.network, batch, record)
        for places in pack(batch.lengths, running.graph.grid):
            self._load(running.graph, batch, places, record)
            running.begin()
            try:
                self._run_parts(running, result, places)
            except BaseException:
                self.close()
                raise
            _check(running.graph)
            result.take(running.graph, places)
        steps, latency, settled = self.steps, 0, None
        if self.schedule == "settling":
            settled = Settled(self.network.settled_steps(result.last), result.elements)
            steps = latency = int(settled.steps.max())
        return Run(
            result.logits,
            result.counts,
            result.events,
            result.trains(steps),
            steps,
            latency or self.latency_steps,
            settled,
        )

    def _run_parts(self, running: _Running, result: _Result, places: list[Place]) -> None:
        """One part, the whole run; settling: as many as it takes until no neuron has spiked in the last step."""
        latency = running.graph.timing.latency
        if self.schedule != "settling":
            running.run(latency)
            result.take_trains(running.graph, places, part=0)
            return
        for part in itertools.count():
            running.run(min(latency, self.steps - running.steps))
            result.take_trains(running.graph, places, part)
            restless = running.restless()
            if restless is None:
                return
            if running.steps == self.steps:
                raise not_silent(restless, self.network, self.steps)

    def _ready(self, lengths: NDArray[np.int64]) -> _Running:
        """The compiled network, compiled again if it has no room for sentences of these lengths."""
        old = self._running.graph.grid if self._running is not None else None
        grid = self._grid(lengths, old)
        if self._running is None or grid != old:
            self.close()
            self._running = self._compile(grid)
        return self._running

    def _grid(self, lengths: NDArray[np.int64], old: Grid | None) -> Grid:
        """``old`` if it has a lane long enough and as many lanes as help, else a grid that has."""
        longest = int(lengths.max())
        width = -(-longest // _WIDTH_STEP) * _WIDTH_STEP
        if self._slots is not None:
            width = max(longest, min(width, self._slots))
        if old is not None:
            width = max(width, old.width)
        if self._slots is not None:
            return Grid(max(1, self._slots // width), width)
        most = max(1, MOST_SLOTS // width)
        lanes = min(most, len(pack(lengths, Grid(1, width))))  # runs of one lane: the lanes of one run
        if old is not None:
            lanes = max(lanes, min(most, old.lanes))
        return Grid(lanes, width)

    def _compile(self, grid: Grid) -> _Running:
        from spk2loihi.simulators.lava.build import build

        timing = Timing.of(self.network, self.schedule, self.encoding, self.steps)
        with _quiet_root_logger():
            graph = build(self.network, grid, timing)
            _check_shared_memory(graph)
            return _Running(graph, self._run_config(), self._stock)

    def _run_config(self) -> Any:
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.conv.process import Conv

        from spk2loihi.simulators.lava.procs.models import PyTokenConvModel

        swapped = {} if self._stock else {Conv: PyTokenConvModel}
        return Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=swapped)

    def _load(self, graph: Graph, batch: TokenBatch, places: list[Place], record: bool) -> None:
        """Write the packed sentences into the memory the processes see."""
        host, width, tables = graph.host, graph.grid.width, self.network.embedding
        host.sentence[:] = -1
        host.first[:] = False
        host.drive[:] = 0
        host.record[0] = record
        for place in places:
            tokens = slice(place.start, place.start + place.length)
            host.sentence[place.lane, tokens] = place.sentence
            host.first[place.lane, place.start] = True
            ids = batch.input_ids[place.sentence, : place.length]
            types = batch.token_type_ids[place.sentence, : place.length]
            slot = place.lane * width + place.start
            host.drive[slot : slot + place.length, 0] = (
                tables.word[ids] + tables.position[: place.length] + tables.token_type[types]
            )


class Loihi2Backend(LavaBackend):
    """The same Lava network on a Loihi 2 board, placed by Intel's lava-loihi extension.

    Processes for which the extension has no neurocore model run on the host beside the board. Never run by this
    project's tests: neither extension nor board is publicly available.

    Raises:
        UserError: the extension is not installed.
    """

    name = "loihi2"

    def __init__(
        self,
        network: Network,
        schedule: Schedule = "windowed",
        encoding: Encoding = "rate",
        steps: int | None = None,
        *,
        slots: int | None = None,
    ) -> None:
        if not _loihi_extension():
            raise UserError(
                "the loihi2 backend needs Intel's lava-loihi extension and a Loihi 2 board, and the extension is not "
                "installed here: use --backend cpu or --backend emulator"
            )
        super().__init__(network, schedule, encoding, steps, slots=slots, stock_synapses=True)

    def _run_config(self) -> Any:
        from lava.magma.core.run_configs import Loihi2HwCfg

        return Loihi2HwCfg(select_tag="fixed_pt")


class _Result:
    """What the sentences of a batch did, unpacked to (B, L, d) or (B, H, L, L), padding 0."""

    def __init__(self, network: Network, batch: TokenBatch, record: bool) -> None:
        self.network = network
        sentences, length = batch.input_ids.shape
        shapes = {stage.name: _unpacked_shape(stage, sentences, length) for stage in network.stages if stage.fires}
        self.logits = np.zeros((sentences, network.readout.channels), np.int64)
        self.counts: Counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        self.events: Counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        self.last = np.zeros(sentences, np.int64)  # step with a spike; settling only
        self.elements: dict[str, int] = {}
        self._parts: list[Trains] | None = [] if record else None

    def trains(self, steps: int) -> Trains | None:
        if self._parts is None:
            return None
        return {name: np.concatenate([part[name] for part in self._parts])[:steps] for name in self.counts}

    def take_trains(self, graph: Graph, places: list[Place], part: int) -> None:
        """Copy what was recorded, in a settling run of one of its parts."""
        if self._parts is None:
            return
        if part == len(self._parts):
            shapes = {name: (len(graph.stages[name].train), *n.shape) for name, n in self.counts.items()}
            self._parts.append({name: np.zeros(shape, np.int8) for name, shape in shapes.items()})
        for place in places:
            for name, train in self._parts[part].items():
                stage = self.network[name]
                rows = 1 if stage.tokens == "first" else place.length
                self._copy(stage, place, graph.grid.width, rows, graph.stages[name].train, train)

    def take(self, graph: Graph, places: list[Place]) -> None:
        """Copy what one Lava run left in shared memory."""
        width = graph.grid.width
        for place in places:
            self.logits[place.sentence] = graph.host.result[place.lane * width + place.start, 0]
            for name in self.counts:
                stage, memory = self.network[name], graph.stages[name]
                rows = 1 if stage.tokens == "first" else place.length
                for packed, unpacked in ((memory.counts, self.counts), (memory.events, self.events)):
                    self._copy(stage, place, width, rows, packed[None], unpacked[name][None])
                tokens = slice(place.start, place.start + rows)
                slots = slice(place.lane * width + place.start, place.lane * width + place.start + rows)
                last = memory.last[place.lane, :, tokens] if stage.is_scores else memory.last[slots]
                self.last[place.sentence] = max(self.last[place.sentence], last.max())
        for name in self.counts:
            stage = self.network[name]
            if stage.soma is not None and not isinstance(stage.soma, SYNAPTIC):
                self.elements[name] = self.elements.get(name, 0) + int(graph.stages[name].elements[0])

    @staticmethod
    def _copy(stage: Stage, place: Place, width: int, rows: int, packed: NDArray[Any], unpacked: NDArray[Any]) -> None:
        """One sentence; both arrays have a leading axis of steps."""
        at = slice(place.start, place.start + rows)
        if stage.is_scores:
            keys = slice(place.start, place.start + place.length)
            unpacked[:, place.sentence, :, :rows, : place.length] = packed[:, place.lane, :, at, keys]
        else:
            slot = place.lane * width + place.start
            unpacked[:, place.sentence, :rows] = packed[:, slot : slot + rows, 0]


def _unpacked_shape(stage: Stage, sentences: int, length: int) -> tuple[int, ...]:
    rows = 1 if stage.tokens == "first" else length
    return (sentences, stage.channels, rows, length) if stage.is_scores else (sentences, rows, stage.channels)


class _Running:
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

        from spk2loihi.simulators.lava.build import CHANNEL_SIZE
        from spk2loihi.simulators.lava.channels import DirectRuntime

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
        network, steps = self.graph.network, self.steps
        stages = self.graph.stages
        late = (stage.name for stage in network.stages if network.settling_start(stage) > steps)
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


_alive: weakref.WeakSet[_Running] = weakref.WeakSet()


def _register(running: _Running) -> None:
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


def _check(graph: Graph) -> None:
    """Spikes outside a gate's window, or drive after it opened, would make counts meaningless."""
    for name, memory in graph.stages.items():
        stray, late = memory.violations
        if stray or late:
            raise RuntimeError(
                f"stage {name}: {stray} spikes were sent outside its window and drive arrived outside its integration "
                f"window at {late} steps: delays of the network do not align its stages"
            )


def _check_shared_memory(graph: Graph) -> None:
    if not os.path.isdir(_SHARED_MEMORY):
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if graph.channel_bytes > free:
        raise UserError(
            f"Lava needs {graph.channel_bytes / 2**20:.0f} MiB of shared memory for {graph.grid.slots} token slots, "
            f"but {_SHARED_MEMORY} has {free / 2**20:.0f} MiB free: run fewer or shorter sentences at once, "
            "or enlarge it"
        )


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


@contextlib.contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Every Lava process adds a handler to the root logger, so that each message would be printed once a process."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = handlers


def _loihi_extension() -> bool:
    try:
        from lava.utils import loihi
    except ImportError:
        return False
    return bool(loihi.is_installed())
