"""The backends that run on Lava: ``cpu`` on its CPU simulator, ``loihi2`` on a board."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Backend, Run, not_silent
from spk2loihi.simulators.counters import Settled
from spk2loihi.simulators.lava.importing import import_lava
from spk2loihi.simulators.lava.packing import Grid, Place, pack
from spk2loihi.simulators.lava.shared_memory import Timing, available_memory
from spk2loihi.simulators.lava.unpacking import Result

if TYPE_CHECKING:
    from spk2loihi.simulators.lava.graph import Graph
    from spk2loihi.simulators.lava.running import Running

MOST_SLOTS = 512
"""Token slots of a network compiled for a batch, if the caller does not say: 8 sentences of 64 tokens."""

_WIDTH_STEP = 8  # lanes are this many tokens long or a multiple: batches of similar length share a compiled network


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
    _orderly = False

    def __init__(
        self,
        network: Network,
        config: RunConfig | None = None,
        *,
        slots: int | None = None,
        stock_synapses: bool = False,
    ) -> None:
        super().__init__(network, config)
        if slots is not None and slots < 1:
            raise UserError(f"slots is {slots}, but a Lava network needs at least 1 token slot: choose more slots")
        import_lava()
        self._slots = slots
        self._stock = stock_synapses
        self._running: Running | None = None

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
                "shorten it, or train with more `max_tokens`"
            )
        running = self._ready(batch.lengths)
        result = Result(self.network, batch, record)
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
        steps, latency, settled = self.timeline.steps, 0, None
        if self.timeline.schedule == "settling":
            settled = Settled(self.timeline.settled(result.last), result.elements)
            steps = latency = int(settled.steps.max())
        return Run(
            result.logits,
            result.counts,
            result.events,
            result.trains(steps),
            steps,
            latency or self.timeline.latency_steps,
            settled,
        )

    def _run_parts(self, running: Running, result: Result, places: list[Place]) -> None:
        """One part, the whole run; settling: as many as it takes until no neuron has spiked in the last step."""
        latency = running.graph.timing.latency
        if self.timeline.schedule != "settling":
            running.run(latency)
            result.take_trains(running.graph, places, part=0)
            return
        for part in itertools.count():
            running.run(min(latency, self.timeline.steps - running.steps))
            result.take_trains(running.graph, places, part)
            restless = running.restless()
            if restless is None:
                return
            if running.steps == self.timeline.steps:
                raise not_silent(restless, self.timeline)

    def _ready(self, lengths: NDArray[np.int64]) -> Running:
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

    def _compile(self, grid: Grid) -> Running:
        from spk2loihi.simulators.lava.graph import build
        from spk2loihi.simulators.lava.running import Running

        timing = Timing.of(self.timeline)
        with quiet_root_logger():
            graph = build(self.network, grid, timing)
            _check_memory(graph)
            return Running(graph, self._run_config(), direct=not self._stock, orderly=self._orderly)

    def _run_config(self) -> Any:
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.conv.process import Conv

        from spk2loihi.simulators.lava.procs.synapse_models import PyTokenConvModel

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
    _orderly = True

    def __init__(
        self,
        network: Network,
        config: RunConfig | None = None,
        *,
        slots: int | None = None,
    ) -> None:
        check_loihi()
        super().__init__(network, config, slots=slots, stock_synapses=True)

    def _run_config(self) -> Any:
        from lava.magma.core.run_configs import Loihi2HwCfg

        return Loihi2HwCfg(select_tag="fixed_pt")


def _check(graph: Graph) -> None:
    """Spikes outside a gate's window, or drive after it opened, would make counts meaningless."""
    for name, memory in graph.stages.items():
        stray, late = memory.violations
        if stray or late:
            raise RuntimeError(
                f"stage {name}: {stray} spikes were sent outside its window and drive arrived outside its integration "
                f"window at {late} steps: delays of the network do not align its stages"
            )


def _check_memory(graph: Graph) -> None:
    free = available_memory()
    if free is not None and graph.channel_bytes > free:
        raise UserError(
            f"Lava needs {graph.channel_bytes / 2**20:.3g} MiB of memory between its processes for {graph.grid.slots} "
            f"token slots, but {free / 2**20:.3g} MiB are available: run fewer or shorter sentences at once, or use "
            "the `backend` emulator"
        )


@contextlib.contextmanager
def quiet_root_logger() -> Iterator[None]:
    """Every Lava process adds a handler to the root logger, so that each message would be printed once a process."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        yield
    finally:
        root.handlers[:] = handlers


def check_loihi() -> None:
    """
    Raises:
        UserError: what drives a board is not there.
    """
    if not _loihi_extension():
        raise UserError(
            "the loihi2 backend needs Intel's lava-loihi extension and a Loihi 2 board, and the extension is not "
            "installed here: use the `backend` cpu or emulator"
        )


def _loihi_extension() -> bool:
    try:
        from lava.utils import loihi
    except ImportError:
        return False
    return bool(loihi.is_installed())
