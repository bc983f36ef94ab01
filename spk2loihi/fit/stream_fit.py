"""Does a streamed network fit a board: the graph of its processes, cut into cores population by population.

Every population is cut into equal runs of neurons as a dense layer is (`spk2loihi.fit.partition`); no two populations
share a core. Memory is counted by the rules of `spk2loihi.fit.rules`: a Dense keeps a list of all its targets on the
core for each of its axons, a Sparse a list of those there are; either with the index of each target, as the published
partitions show of Dense.

The data has the layout of `spk2loihi.fit.check_fit`, and more:

    slots          tokens of the longest sentence there is room for
    latency_steps  from the entry of a sentence's first token to its logits
    period_steps   from one sentence of that length to the next
    processes      [{process, count, grade, shown, source, arithmetic}] of `spk2loihi.chip.evidence`
    layers         one a stage, and in each ``populations``: [{name, kind, neurons, synapses, cores, binding_limit}]
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.build_graph import build_graph
from spk2loihi.chip.evidence import evidence_of
from spk2loihi.chip.process_graph import Connection, Graph, Population, SparseWeight
from spk2loihi.fit.boards import Board
from spk2loihi.fit.check_fit import EMBEDDING, REASONS
from spk2loihi.fit.chip_limits import WORD_BITS
from spk2loihi.fit.partition import Breach
from spk2loihi.fit.rules import list_words
from spk2loihi.limits import MEMBRANE_BITS
from spk2loihi.network.network import Network
from spk2loihi.network.stream import stream_delays, stream_period
from spk2loihi.netx.dense import stored_bits

_NEURON_WORDS = math.ceil(MEMBRANE_BITS / WORD_BITS)
_OF_A_NEURON = ("weight_width", "fan_in")  # the other limits are on what a core holds in total


@dataclass(frozen=True)
class CutPopulation:
    """A population and its cores; ``cores`` is 0, and ``breach`` says why, where not even one neuron fits a core.

    Attributes:
        breach: what keeps it from fewer cores; None where one is enough.
        used: of each limit, on the fullest core.
    """

    population: Population
    synapses: int
    cores: int
    breach: Breach | None
    used: dict[str, int]


def check_stream_fit(network: Network, board: Board, slots: int | None = None) -> dict[str, Any]:
    """The partition of a streamed network over ``board`` (layout: see the module).

    Args:
        slots: tokens of the longest sentence; the network's ``max_tokens`` by default.
    """
    slots = network.max_tokens if slots is None else slots
    graph = build_graph(network, slots, "chip")
    cut = cut_graph(graph, board)
    cores = sum(one.cores for one in cut)
    refused = [one for one in cut if not one.cores]
    return {
        "board": board.name,
        "fits": not refused and cores <= board.cores,
        "chips": math.ceil(cores / board.cores_per_chip),
        "chips_available": board.chips,
        "cores": cores,
        "cores_available": board.cores,
        "cores_per_chip": board.cores_per_chip,
        "cores_unrolled": None,
        "neurons": graph.neurons,
        "synapses": graph.synapses,
        "slots": slots,
        "latency_steps": stream_delays(network, slots)[network.readout.name] + 1,
        "period_steps": stream_period(slots, slots),
        "processes": [{**each.to_dict(), "count": count} for each, count in evidence_of(graph)],
        "layers": [_stage(stage.name, cut, graph, network, board) for stage in network.stages],
        "host": [
            {"layer": network.input.name, "operation": operation, "neurons": network.input.channels * slots,
             "reason": REASONS[operation]}
            for operation in _host(network)
        ],
        "refused": [{"layer": one.population.name, **asdict(one.breach)} for one in refused if one.breach],
        "remedies": [],
        "limits": [asdict(limit) for limit in board.limits.values()],
    }  # fmt: skip


def cut_graph(graph: Graph, board: Board) -> list[CutPopulation]:
    """Cores of every population but the sources, which the host fills; in the order of the graph."""
    into: dict[str, list[Connection]] = {population.name: [] for population in graph.populations}
    out: dict[str, list[Connection]] = {population.name: [] for population in graph.populations}
    for connection in graph.connections:
        into[connection.target].append(connection)
        out[connection.source].append(connection)
    tiles: dict[str, int] = {}  # neurons a core
    done: dict[str, CutPopulation] = {}
    for population in reversed(graph.populations):  # consumers first: a source keeps a route to each of their cores
        if population.kind == "RingBuffer":
            continue
        routes = np.zeros(population.size, np.int64)
        for connection in out[population.name]:
            routes += _cores_reached(connection, tiles.get(connection.target, population.size))
        done[population.name] = _cut(population, into[population.name], routes, board)
        tiles[population.name] = math.ceil(population.size / max(1, done[population.name].cores))
    return [done[population.name] for population in graph.populations if population.name in done]


def _cut(population: Population, into: list[Connection], routes: NDArray[np.int64], board: Board) -> CutPopulation:
    synapses = sum(_existing(connection) for connection in into)

    def breach(cores: int) -> Breach | None:
        used = _used(population, into, routes, math.ceil(population.size / cores))
        over = [Breach(name, n, board.limits[name].value) for name, n in used.items() if n > board.limits[name].value]
        return max(over, key=lambda one: one.value / one.allowed, default=None)

    cores, binding, over = 1, None, breach(1)
    while over is not None:
        binding = over
        if cores == population.size:
            return CutPopulation(population, synapses, 0, over, {})
        cores = min(cores * math.ceil(over.value / over.allowed), population.size)
        over = breach(cores)
    tile = math.ceil(population.size / cores)
    cores = math.ceil(population.size / tile)
    return CutPopulation(population, synapses, cores, binding, _used(population, into, routes, tile))


def _used(population: Population, into: list[Connection], routes: NDArray[np.int64], tile: int) -> dict[str, int]:
    """Of each limit, the most a core of ``tile`` neurons uses."""
    cores = math.ceil(population.size / tile)
    words, axons = np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    fan_in, width = np.zeros(population.size, np.int64), 0
    for connection in into:
        weight = connection.weight
        if isinstance(weight, SparseWeight):
            bits = stored_bits(weight.values.astype(np.int64))
            at = (weight.rows // tile).astype(np.int64) * weight.shape[1] + weight.columns
            lists = np.bincount(at, minlength=cores * weight.shape[1]).reshape(cores, -1)  # synapses of each
            sizes = np.array([list_words(n, bits, sparse=True) if n else 0 for n in range(int(lists.max()) + 1)])
            words, axons = words + sizes[lists].sum(1), axons + (lists > 0).sum(1)
            fan_in += np.bincount(weight.rows, minlength=population.size)
        else:
            bits = stored_bits(weight.astype(np.int64))
            words, axons = words + weight.shape[1] * list_words(tile, bits, sparse=True), axons + weight.shape[1]
            fan_in += weight.shape[1]
        width = max(width, bits)
    most = np.add.reduceat(routes, np.arange(0, population.size, tile))
    total = 1 + tile * _NEURON_WORDS + words + axons + tile + most
    return {
        "weight_width": width,
        "fan_in": int(fan_in.max(initial=0)),
        "neurons": tile,
        "neuron_memory": tile * _NEURON_WORDS,
        "synaptic_memory": int(words.max()),
        "axons_in": int(axons.max()),
        "axons_out": tile,
        "routes": int(most.max()),
        "core_memory": int(total.max()),
    }


def _cores_reached(connection: Connection, tile: int) -> NDArray[np.int64]:
    """Cores of the target that each source neuron sends to, (sources,)."""
    weight = connection.weight
    if not isinstance(weight, SparseWeight):
        return np.full(weight.shape[1], math.ceil(weight.shape[0] / tile), np.int64)
    cores = math.ceil(weight.shape[0] / tile)
    at = (weight.rows // tile).astype(np.int64) * weight.shape[1] + weight.columns
    reached: NDArray[np.int64] = (np.bincount(at, minlength=cores * weight.shape[1]).reshape(cores, -1) > 0).sum(0)
    return reached


def _existing(connection: Connection) -> int:
    weight = connection.weight
    return weight.size if isinstance(weight, SparseWeight) else int(np.count_nonzero(weight))


def _stage(name: str, cut: list[CutPopulation], graph: Graph, network: Network, board: Board) -> dict[str, Any]:
    """All populations of a stage; those of no stage are the first one's."""
    own = [one for one in cut if _owner(one.population.name, network) == name]
    bound = [one for one in own if one.breach is not None]
    tightest = max(bound, key=lambda one: one.cores, default=None)
    shares = {
        limit: max(one.used.get(limit, 0) for one in own) / board.limits[limit].value
        for limit in board.limits
        if limit not in (*_OF_A_NEURON, "cores")
    }
    limit = None if tightest is None or tightest.breach is None else tightest.breach.limit
    return {
        "name": name,
        "kind": "stage",
        "neurons": sum(one.population.size for one in own),
        "synapses": sum(one.synapses for one in own),
        "cores": sum(one.cores for one in own),
        "cores_unrolled": None,
        "binding_limit": limit,
        "utilisation": shares[limit] if limit in shares else max(shares.values()),
        "fullest_core": {} if tightest is None else tightest.used,
        "weight_bits": max((one.used.get("weight_width", 0) for one in own), default=None),
        "fan_in": max(one.used.get("fan_in", 0) for one in own),
        "host": _host(network) if name == network.input.name else [],
        "refused": None,
        "populations": [
            {
                "name": one.population.name,
                "kind": one.population.kind,
                "neurons": one.population.size,
                "synapses": one.synapses,
                "cores": one.cores,
                "binding_limit": None if one.breach is None else one.breach.limit,
            }
            for one in own
        ],
    }


def _host(network: Network) -> list[str]:
    """Operations of the embedding, which is all that the host computes."""
    return [EMBEDDING, *([] if network.input.soma is None else [network.input.soma.kind])]


def _owner(population: str, network: Network) -> str:
    """The stage whose part a population is."""
    stages = [s.name for s in network.stages if population == s.name or population.startswith(f"{s.name}.")]
    return max(stages, key=len, default=network.input.name)
