"""From a graph of stock processes to Lava's own: nothing but classes and models that lava-nc ships."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lava.magma.core.process.process import ProcessServer
from lava.proc.dense.process import Dense
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from spk2loihi.chip import Connection, Graph
from spk2loihi.chip.process_graph import SparseWeight

NEURONS: dict[str, Any] = {"GradedVec": GradedVec, "GradedReluVec": GradedReluVec, "ProdNeuron": ProdNeuron}
MESSAGE_BITS = 24


@dataclass
class StockProcesses:
    """The processes of a graph.

    Attributes:
        populations: neuron processes and sources, by name of the graph.
        sinks: what records a population, by its name.
        processes: all of them, synapses and adapters included.
    """

    populations: dict[str, Any] = field(default_factory=dict)
    sinks: dict[str, Any] = field(default_factory=dict)
    processes: list[Any] = field(default_factory=list)


def stock_processes(
    graph: Graph, given: Mapping[str, NDArray[Any]], read: Collection[str], board: bool = False
) -> StockProcesses:
    """All processes of a graph, connected.

    Args:
        given: what the sources send, again and again, (steps, size) each.
        read: populations that get a sink, for as many steps.
        board: with Lava's adapters between the host, where sources and sinks are, and the chip.
    """
    server = ProcessServer()
    known = len(server.processes)
    made = StockProcesses()
    steps = len(next(iter(given.values())))
    ports: dict[str, Any] = {}
    for population in graph.populations:
        if population.kind == "RingBuffer":
            process = Source(data=np.ascontiguousarray(given[population.name].T).astype(np.int32))
        else:
            process = NEURONS[population.kind](shape=(population.size,), vth=population.threshold, exp=0)
        process.name = population.name
        made.populations[population.name] = process
        ports[population.name] = process.s_out
        if population.kind == "RingBuffer" and board:
            ports[population.name] = _to_chip(process.s_out)
    for connection in graph.connections:
        synapses = _synapses(connection)
        ports[connection.source].connect(synapses.s_in)
        synapses.a_out.connect(getattr(made.populations[connection.target], connection.port))
    for name in read:
        sink = Sink(shape=(graph[name].size,), buffer=steps)
        sink.name = f"sink of {name}"
        (_from_chip(ports[name]) if board else ports[name]).connect(sink.a_in)
        made.sinks[name] = sink
    made.processes = server.processes[known:]
    return made


def foreign(models: Mapping[Any, type]) -> list[str]:
    """Processes whose class, or the model chosen for it, is not Lava's own; empty where all are."""
    return [
        f"{process.name}: {cls.__module__}.{cls.__qualname__}"
        for process, model in models.items()
        for cls in (type(process), model)
        if not cls.__module__.startswith("lava.")
    ]


def _synapses(connection: Connection) -> Any:
    options: dict[str, Any] = {
        "name": connection.name,
        "num_message_bits": MESSAGE_BITS,
        "num_weight_bits": 8,
        "weight_exp": connection.exponent,
        "sign_mode": SignMode[connection.sign],
    }
    weight = connection.weight
    if isinstance(weight, SparseWeight):
        places = (weight.rows, weight.columns)
        return Sparse(weights=csr_matrix((weight.values.astype(np.int32), places), weight.shape), **options)
    return Dense(weights=weight.astype(np.int32), **options)


# As lava/networks/gradedvecnetwork.py, InputVec and OutputVec; lava-loihi has the adapters.


def _to_chip(port: Any) -> Any:
    from lava.proc import embedded_io

    adapter = embedded_io.spike.PyToNxAdapter(shape=port.shape, num_message_bits=MESSAGE_BITS)
    port.connect(adapter.inp)
    return adapter.out


def _from_chip(port: Any) -> Any:
    from lava.proc import embedded_io

    adapter = embedded_io.spike.NxToPyAdapter(shape=port.shape, num_message_bits=MESSAGE_BITS)
    port.connect(adapter.inp)
    return adapter.out
