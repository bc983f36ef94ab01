"""What one core holds of a population, one rule a function; `RULES` by the name of the limit each is held against.

A population is a grid of *rows* (tokens, query tokens, or positions along x; each of ``height`` positions along y) that
read the same weights, and *columns* (channels, or heads x keys) that have weights of their own. A core takes a tile of
it. `shared` keeps one synapse list an input for all rows of the tile, as Lava's Conv does; `unrolled` keeps a copy for
every row, as Lava's Dense does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from spk2loihi.fit.chip_limits import LIST_HEADER_BITS, SPARSE_INDEX_BITS, WORD_BITS
from spk2loihi.fit.population import Population

Sharing = Literal["shared", "unrolled"]


@dataclass(frozen=True)
class Tile:
    """Rows x columns of a population; columns are ``groups`` (heads; 1 if linear) of ``width``."""

    rows: int
    groups: int
    width: int
    height: int = 1

    @property
    def positions(self) -> int:
        return self.rows * self.height

    @property
    def columns(self) -> int:
        return self.groups * self.width


@dataclass(frozen=True)
class Core:
    """One core's share of a population. ``destinations``: cores a row's spikes go to."""

    population: Population
    tile: Tile
    sharing: Sharing = "shared"
    destinations: int = 0


def grid(population: Population) -> Tile:
    """The whole population as one tile."""
    if population.kind == "scores":
        return Tile(population.tokens, population.heads, population.max_tokens)
    if population.kind == "context":
        return Tile(population.tokens, population.heads, population.head_width)
    return Tile(population.tokens, 1, population.channels, population.height)


def list_words(synapses: int, bits: int, sparse: bool = False) -> int:
    """Words of one synapse list; sparse synapses carry the index of their target."""
    entry = bits + (SPARSE_INDEX_BITS if sparse else 0)
    return math.ceil((LIST_HEADER_BITS + synapses * entry) / WORD_BITS)


def _lists(core: Core) -> Iterator[tuple[int, int, int, bool]]:
    """Synapse lists on a core: (how many, synapses in each, bits of a weight, sparse)."""
    p, tile, unrolled = core.population, core.tile, core.sharing == "unrolled" or core.population.dense
    copies = tile.positions if unrolled else 1
    for i in p.inputs:
        if i.one_to_one:
            yield tile.columns * copies, 1, i.bits, True
        else:
            yield i.width * copies, tile.width, i.bits, unrolled
    if p.kind == "scores":  # a query spike reads its channel's key counts, a key spike its channel's query counts
        yield tile.groups * p.head_width * copies, tile.width, p.right_bits, unrolled
        yield tile.groups * p.head_width * (tile.width if unrolled else 1), tile.rows, p.left_bits, unrolled
    if p.kind == "context":  # a score spike reads its key's value counts
        yield tile.groups * p.max_tokens * copies, tile.width, p.right_bits, unrolled
        if p.pipelined:  # a value spike its token's score counts
            yield tile.groups * p.max_tokens * (tile.width if unrolled else 1), tile.rows, p.left_bits, unrolled


def weight_width(core: Core) -> int:
    p = core.population
    return max([0, *(i.bits for i in p.inputs), p.left_bits, p.right_bits])


def fan_in(core: Core) -> int:
    """Synapses onto one neuron: all in its core, one word each even where nothing else is there."""
    return core.population.fan_in


def neurons(core: Core) -> int:
    return core.tile.positions * core.tile.columns


def neuron_memory(core: Core) -> int:
    return neurons(core) * math.ceil(core.population.state_bits / WORD_BITS)


def synaptic_memory(core: Core) -> int:
    return sum(count * list_words(n, bits, sparse) for count, n, bits, sparse in _lists(core))


def axons_in(core: Core) -> int:
    """Shared lists are found through one axon a synapse group, unrolled ones through one axon each."""
    unrolled = core.sharing == "unrolled" or core.population.dense
    return sum(count if unrolled else 1 for count, _, _, _ in _lists(core))


def axons_out(core: Core) -> int:
    """Addresses sent from: a row (the channel travels in the message), or a neuron when unrolled."""
    if not core.population.fires:
        return 0
    return core.tile.positions if core.sharing == "shared" and not core.population.dense else neurons(core)


def routes(core: Core) -> int:
    return axons_out(core) * core.destinations


def core_memory(core: Core) -> int:
    """Everything on the core, and one word for its neuron group."""
    return 1 + sum(rule(core) for rule in (neuron_memory, synaptic_memory, axons_in, axons_out, routes))


#: Name of the limit -> what a core uses of it. The first two do not depend on how the population is cut.
RULES: dict[str, Callable[[Core], int]] = {
    "weight_width": weight_width,
    "fan_in": fan_in,
    "neurons": neurons,
    "neuron_memory": neuron_memory,
    "synaptic_memory": synaptic_memory,
    "axons_in": axons_in,
    "axons_out": axons_out,
    "routes": routes,
    "core_memory": core_memory,
}
