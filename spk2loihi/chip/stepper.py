"""Steps a graph in numpy: every process once a step, in whole numbers, in either arithmetic.

It is what `spk2loihi.simulators.lava` is compared with, population by population and step by step, and it does not need
Lava. Time and latency are Lava's: a synapse process sends what it computed in the step before, 0 in the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.arithmetic import IntArray, Synapses, synapses
from spk2loihi.chip.process_graph import Connection, Graph, Population
from spk2loihi.choices import Arithmetic

Recording = dict[str, NDArray[Any]]
"""Messages by population, (steps, neurons), in the narrowest type that holds them."""


class Stepper:
    """A graph at work. It starts silent.

    Args:
        arithmetic: of the synapses, that of the graph by default.
    """

    def __init__(self, graph: Graph, arithmetic: Arithmetic | None = None) -> None:
        self.graph = graph
        arithmetic = arithmetic or graph.arithmetic
        self._synapses = [_Delayed(connection, graph, arithmetic) for connection in graph.connections]
        ports: dict[str, dict[str, list[_Delayed]]] = {population.name: {} for population in graph.populations}
        for each in self._synapses:
            ports[each.connection.target].setdefault(each.connection.port, []).append(each)
        self._ports = ports

    def step(self, given: Mapping[str, IntArray]) -> dict[str, IntArray]:
        """One time step.

        Args:
            given: messages of the sources, (size,) each.

        Returns:
            Messages of every population, sources included.
        """
        sent = {name: np.asarray(message, dtype=np.int64) for name, message in given.items()}
        for population in self.graph.populations:
            if population.kind != "RingBuffer":
                sent[population.name] = _neurons(population, self._ports[population.name])
        for each in self._synapses:
            each.take(sent[each.connection.source])
        return sent

    def steps(self, given: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, IntArray]]:
        """A step for every row of the sources' messages, (steps, size) each."""
        for rows in zip(*given.values(), strict=True):
            yield self.step(dict(zip(given, rows, strict=True)))

    def run(self, given: Mapping[str, NDArray[Any]], record: Collection[str]) -> Recording:
        """
        Args:
            given: as of `steps`.
            record: names of populations.
        """
        return self.play(given, Tape(record)).recording

    def play(self, given: Mapping[str, NDArray[Any]], tape: Tape) -> Tape:
        """The tape, with what was sent."""
        for sent in self.steps(given):
            tape.add({name: sent[name][None] for name in tape.names})
        return tape


class Tape:
    """What some populations sent.

    Args:
        kept: populations whose messages are kept, in the narrowest type: a graph has hundreds of thousands of neurons.
        counted: populations whose messages that are not 0 are counted.

    Attributes:
        counts: of these, by population, (neurons,).
    """

    def __init__(self, kept: Collection[str], counted: Collection[str] = ()) -> None:
        self.counts: dict[str, IntArray] = dict.fromkeys(counted, np.zeros((), np.int64))
        self._parts: dict[str, list[NDArray[Any]]] = {name: [] for name in kept}

    @property
    def names(self) -> set[str]:
        return {*self._parts, *self.counts}

    def add(self, part: Mapping[str, NDArray[Any]]) -> None:
        """Some steps more of every population in `names`, (steps, neurons) each."""
        for name, parts in self._parts.items():
            parts.append(_narrow(part[name]))
        for name in self.counts:
            self.counts[name] = self.counts[name] + np.count_nonzero(part[name], axis=0)

    @property
    def recording(self) -> Recording:
        """All that is kept."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}


class _Delayed:
    """A synapse process: what has arrived, and what will in the next step."""

    def __init__(self, connection: Connection, graph: Graph, arithmetic: Arithmetic) -> None:
        self.connection = connection
        self._compute: Synapses = synapses(connection, arithmetic)
        self.arrived: IntArray = np.zeros(graph[connection.target].size, np.int64)

    def take(self, sent: IntArray) -> None:
        self.arrived = self._compute(sent) if sent.any() else np.zeros_like(self.arrived)


def _neurons(population: Population, ports: Mapping[str, list[_Delayed]]) -> IntArray:
    """Source: ``run_spk`` of lava/proc/graded/models.py and lava/proc/prodneuron/models.py."""
    v = _sum(ports.get("a_in1" if population.kind == "ProdNeuron" else "a_in", []), population)
    if population.kind == "ProdNeuron":
        v = v * _sum(ports.get("a_in2", []), population)
    if population.kind == "GradedReluVec":
        return np.maximum(v, 0) if not population.threshold else np.where(v > population.threshold, v, 0)
    return v if not population.threshold else np.where(np.abs(v) > population.threshold, v, 0)


def _sum(arriving: list[_Delayed], population: Population) -> IntArray:
    if len(arriving) == 1:
        return arriving[0].arrived
    total: IntArray = np.zeros(population.size, np.int64)
    for each in arriving:
        total += each.arrived
    return total


def _narrow(messages: NDArray[Any]) -> NDArray[Any]:
    most = int(np.abs(messages).max(initial=0))
    return messages.astype(np.int8 if most <= 127 else np.int16 if most <= 32767 else np.int32)
