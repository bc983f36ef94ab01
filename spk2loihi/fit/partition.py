"""Cut every population into tiles that fit a core, as few as possible; no two populations share a core."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spk2loihi.fit.boards import Board
from spk2loihi.fit.population import Population
from spk2loihi.fit.rules import RULES, Core, Sharing, Tile, grid


@dataclass(frozen=True)
class Breach:
    """A limit, and the value that would exceed it."""

    limit: str
    value: int
    allowed: int


@dataclass(frozen=True)
class Placement:
    """Where a population goes.

    ``binding`` is what keeps it from fewer cores: the limit exceeded by the next larger tile; None where one core is
    enough. ``refused`` is set, and ``cores`` 0, where not even a single neuron fits a core.
    """

    population: Population
    cores: int
    column_tiles: int
    core: Core | None  # the fullest one
    binding: Breach | None
    refused: Breach | None = None


def partition(populations: Sequence[Population], board: Board, sharing: Sharing = "shared") -> list[Placement]:
    """Placements in the order of ``populations``; consumers come first, as a source keeps a route to each core."""
    placed: dict[str, Placement] = {}
    alike: dict[tuple[Population, int], Placement] = {}  # encoder layers repeat: each is cut once
    consumers: dict[str, list[str]] = {p.name: [] for p in populations}
    for p in populations:
        for source in dict.fromkeys(p.sources):
            consumers[source].append(p.name)
    for population in reversed(populations):
        reached = sum(_reached(population.name, placed[name]) for name in consumers[population.name])
        key = (_nameless(population), reached)
        if key not in alike:
            alike[key] = place(population, board, sharing, reached)
        placed[population.name] = replace(alike[key], population=population)
    return [placed[p.name] for p in populations]


def _nameless(population: Population) -> Population:
    inputs = tuple(replace(i, source="") for i in population.inputs)
    return replace(population, name="", inputs=inputs, left="", right="")


def _reached(source: str, consumer: Placement) -> int:
    """Cores of ``consumer`` that one row of ``source`` sends to: those with its row, or, keys and values, all."""
    return consumer.cores if source == consumer.population.right else consumer.column_tiles


def place(population: Population, board: Board, sharing: Sharing = "shared", destinations: int = 0) -> Placement:
    """The cut with the fewest cores; of equal ones that with the fewest columns apart."""
    whole = grid(population)
    refused = _worst(Core(population, Tile(1, 1, 1), sharing, destinations), board)
    if refused is not None:
        return Placement(population, 0, 0, None, None, refused)
    best: Placement | None = None
    before: Breach | None = None
    for column_tiles, groups, width in _column_cuts(whole):
        rows = _most_rows(population, board, sharing, destinations, groups, width, whole.rows)
        larger = Core(population, Tile(rows + 1, groups, width), sharing, destinations)
        breach = _worst(larger, board) if rows < whole.rows else before
        before = breach
        if rows == 0:
            continue
        row_tiles = math.ceil(whole.rows / rows)
        if best is None or row_tiles * column_tiles < best.cores:
            even = Tile(math.ceil(whole.rows / row_tiles), groups, width)
            core = Core(population, even, sharing, destinations)
            best = Placement(population, row_tiles * column_tiles, column_tiles, core, breach)
        if rows == whole.rows:  # narrower tiles cannot use fewer cores
            break
    assert best is not None  # a single neuron fits
    return best


def _column_cuts(whole: Tile) -> Iterator[tuple[int, int, int]]:
    """(tiles, groups, width) of a tile, from all columns to one: whole groups first, then parts of a group."""
    for groups in _even_sizes(whole.groups):
        yield math.ceil(whole.groups / groups), groups, whole.width
    for width in _even_sizes(whole.width):
        if width < whole.width:
            yield whole.groups * math.ceil(whole.width / width), 1, width


def _even_sizes(whole: int) -> Iterator[int]:
    """The sizes of even parts, from the whole to 1, each once: about twice the root of it."""
    size = whole
    yield size
    while size > 1:
        size = math.ceil(whole / math.ceil(whole / (size - 1)))
        yield size


def _most_rows(
    population: Population, board: Board, sharing: Sharing, destinations: int, groups: int, width: int, rows: int
) -> int:
    """Largest number of rows whose tile fits, 0 to ``rows``; every rule grows with rows."""
    low, high = 0, rows
    while low < high:
        middle = (low + high + 1) // 2
        if _worst(Core(population, Tile(middle, groups, width), sharing, destinations), board) is None:
            low = middle
        else:
            high = middle - 1
    return low


def _worst(core: Core, board: Board) -> Breach | None:
    """The limit a core exceeds by the largest factor."""
    breaches = [
        Breach(name, value, board.limits[name].value)
        for name, rule in RULES.items()
        if (value := rule(core)) > board.limits[name].value
    ]
    return max(breaches, key=lambda b: b.value / b.allowed, default=None)
