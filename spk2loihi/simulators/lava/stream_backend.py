"""The backends that run streamed networks on Lava: stock processes with stock models, nothing of this project's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip import Graph, SentenceStream, Tape, build_graph
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.lava.importing import import_lava
from spk2loihi.simulators.lava.lava_backend import check_loihi, quiet_root_logger
from spk2loihi.simulators.lava.shared_memory import available_memory
from spk2loihi.simulators.stream_results import StreamBackend

if TYPE_CHECKING:
    from spk2loihi.simulators.lava.lava_processes import LavaProcesses
    from spk2loihi.simulators.lava.stock_processes import StockProcesses

PART_STEPS = 32
"""Steps that are run, and read, at once."""

_PROCESS_BYTES = 12 << 20  # of the process they run in: what it does not share with the one it was forked from
_PAGE_SHARE = 256  # of a page table, which every process has of its own: a byte for so many of the process forked
_MARGIN = 0.9  # of the memory there is


class LavaStream(StreamBackend):
    """The graph of stock processes on Lava's CPU simulator, with the models that Lava chooses.

    Compiles on the first batch and keeps the compiled network, and its OS processes, until `close`. Use it as a context
    manager, or close it. What a process sends is read where it lies, in the channel to the next one: Lava's own way to
    read a recording, number by number, takes 50 us for each of hundreds of thousands of neurons a step.

    Args:
        slots: tokens of the longest sentence there is room for, by default as many as the network takes.

    Raises:
        UserError: Lava is missing, or the arithmetic is not that of Lava's CPU models.
    """

    name = "cpu"

    def __init__(self, network: Network, config: RunConfig | None = None, *, slots: int | None = None) -> None:
        super().__init__(network, config)
        if self.timeline.arithmetic != "lava":
            raise UserError(
                "Lava's CPU models round as the `arithmetic` lava says, and `arithmetic` is chip: leave it out, or use "
                "the `backend` stepped or emulator"
            )
        import_lava()
        self.graph = build_graph(network, slots or network.max_tokens, self.timeline.arithmetic)
        self._running: _Running | None = None

    def __enter__(self) -> LavaStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Lava's runtime and its processes."""
        if self._running is not None:
            self._running.processes.stop()
            self._running = None

    @property
    def models(self) -> dict[Any, type]:
        """The process model that Lava has chosen, by process, once a batch has been run."""
        return {} if self._running is None else self._running.processes.models

    def _play(self, stream: SentenceStream, tape: Tape) -> Tape:
        try:
            for start in range(0, stream.steps, PART_STEPS):
                given = {name: _part(messages, start) for name, messages in stream.sources.items()}
                if self._running is None:
                    self._running = self._compile(given)
                else:
                    self._running.give(given)
                self._running.processes.run(PART_STEPS)
                steps = min(PART_STEPS, stream.steps - start)
                tape.add({name: self._read(self._running, name)[:steps] for name in tape.names})
        except BaseException:
            self.close()
            raise
        return tape

    def _compile(self, given: Mapping[str, NDArray[Any]]) -> _Running:
        from lava.magma.core.run_configs import Loihi2SimCfg

        from spk2loihi.simulators.lava.lava_processes import LavaProcesses
        from spk2loihi.simulators.lava.stock_processes import stock_processes

        _check_memory(self.graph)
        with quiet_root_logger():
            stock = stock_processes(self.graph, given, [self.graph.readout])
            config = Loihi2SimCfg(select_tag="fixed_pt")
            root = stock.populations[self.graph.readout]
            processes = LavaProcesses(root, config, stock.processes, direct=True, channel_size=PART_STEPS)
        return _Running(stock, processes, given)

    def _read(self, running: _Running, name: str) -> NDArray[Any]:
        """What a population has sent in the last part, (steps, neurons)."""
        return np.stack(running.processes.sent(running.stock.populations[name]))


class Loihi2Stream(LavaStream):
    """The same graph, in the chip's arithmetic, on a Loihi 2 board, placed by Intel's lava-loihi extension.

    Reads the stages, through Lava's adapters, and nothing else. Never run by this project's tests: neither extension
    nor board is publicly available.

    Raises:
        UserError: the extension is not installed.
    """

    name = "loihi2"
    reads_all = False

    def __init__(self, network: Network, config: RunConfig | None = None, *, slots: int | None = None) -> None:
        check_loihi()
        config = config or network.defaults
        super().__init__(network, replace(config, arithmetic="lava"), slots=slots)
        self.timeline.arithmetic = "chip"
        self.graph = build_graph(network, slots or network.max_tokens, "chip")

    def _compile(self, given: Mapping[str, NDArray[Any]]) -> _Running:
        from lava.magma.core.run_configs import Loihi2HwCfg

        from spk2loihi.simulators.lava.lava_processes import LavaProcesses
        from spk2loihi.simulators.lava.stock_processes import stock_processes

        stages = [stage.name for stage in self.network.stages]
        with quiet_root_logger():
            stock = stock_processes(self.graph, given, stages, board=True)
            config = Loihi2HwCfg(select_tag="fixed_pt")
            root = stock.populations[self.graph.readout]
            processes = LavaProcesses(root, config, stock.processes, direct=False, orderly=True)
        return _Running(stock, processes, given)

    def _read(self, running: _Running, name: str) -> NDArray[Any]:
        messages = np.asarray(running.stock.sinks[name].data.get()).astype(np.int32)
        return messages.T << 8 >> 8  # 24 bits and their sign, as lava/networks/gradedvecnetwork.py reads them


class _Running:
    """A compiled graph, and what its sources send."""

    def __init__(self, stock: StockProcesses, processes: LavaProcesses, given: Mapping[str, NDArray[Any]]) -> None:
        from spk2loihi.simulators.lava.stock_processes import foreign

        self.stock, self.processes, self._given = stock, processes, dict(given)
        if found := foreign(processes.models):
            processes.kill()
            raise RuntimeError(f"a streamed network runs on Lava's own processes alone, but there is {found[0]}")

    def give(self, given: Mapping[str, NDArray[Any]]) -> None:
        """What the sources send next, (steps, size) each."""
        for name, messages in given.items():
            if not np.array_equal(messages, self._given[name]):
                self.stock.populations[name].data.set(np.ascontiguousarray(messages.T))
        self._given = dict(given)


def _part(messages: NDArray[Any], start: int) -> NDArray[Any]:
    """``PART_STEPS`` steps, with silence after the last."""
    part = messages[start : start + PART_STEPS]
    return np.pad(part, ((0, PART_STEPS - len(part)), (0, 0)))


def _check_memory(graph: Graph) -> None:
    """
    Raises:
        UserError: the processes would not fit.
    """
    import resource  # which Windows has not

    channels = sum(graph[end].size for each in graph.connections for end in (each.source, each.target))
    processes = len(graph.populations) + len(graph.connections)
    own = _PROCESS_BYTES + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // _PAGE_SHARE
    needed, free = channels * 4 * PART_STEPS + own, available_memory()
    if free is not None and needed > _MARGIN * free:
        raise UserError(
            f"Lava needs {needed / 2**30:.3g} GiB of memory for the {processes} processes of this network, but "
            f"{free / 2**30:.3g} GiB are available: train with fewer `max_tokens`, or use the `backend` stepped or "
            "emulator"
        )
