"""Cut every population into tiles that fit a core, as Intel's compiler does; no two populations share a core.

Intel has not published how its compiler cuts. These rules give every layer of the partitions in lava-dl's tutorials
(`spk2loihi.fit.published`) but one:

* A grid is cut into equal tiles, as few as fit. Along x (tokens) a tile is a power of two; along y and the channels it
  is the whole, the half, the quarter and so on, as long as these are whole numbers. A tile takes the room of all its
  neurons, also of those past the edge of the grid.
* A dense layer is cut into equal runs of neurons: one at first, and as long as a core holds too much,
  ``ceil(held / limit)`` times as many.

Where no tile of that kind fits, halves are rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace

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

    ``binding`` is what keeps it from fewer cores: the limit exceeded by a tile of twice the rows (where all of them are
    in it, of twice the columns); None where one core is enough. ``refused`` is set, and ``cores`` 0, where not even a
    single neuron fits a core.
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
        others = [placed[name] for name in consumers[population.name] if name != population.name]
        reached = sum(_reached(population.name, consumer) for consumer in others)
        key = (_nameless(population), reached)
        if key not in alike:
            alike[key] = _place_loop(population, board, sharing, reached)
        placed[population.name] = replace(alike[key], population=population)
    return [placed[p.name] for p in populations]


def _place_loop(population: Population, board: Board, sharing: Sharing, reached: int) -> Placement:
    """`place`; a population with feedback also sends to its own cores, whose number routes may raise."""
    own = 0
    while True:
        placement = place(population, board, sharing, reached + own)
        needed = placement.column_tiles if population.name in population.sources else 0
        if needed <= own:
            return placement
        own = needed


def _nameless(population: Population) -> Population:
    inputs = tuple(replace(i, source="own" if i.source == population.name else "") for i in population.inputs)
    return replace(population, name="", inputs=inputs, left="", right="")


def _reached(source: str, consumer: Placement) -> int:
    """Cores of ``consumer`` that one row of ``source`` sends to: those with its row, or, keys and values, all."""
    return consumer.cores if source == consumer.population.right else consumer.column_tiles


def place(population: Population, board: Board, sharing: Sharing = "shared", destinations: int = 0) -> Placement:
    """The cut with the fewest cores; of equal ones that with the fewest columns apart, then the longest rows."""

    def breach(tile: Tile) -> Breach | None:
        return _worst(Core(population, tile, sharing, destinations), board)

    refused = breach(Tile(1, 1, 1))
    if refused is not None:
        return Placement(population, 0, 0, None, None, refused)
    whole = grid(population)
    tile = _dense_tile(whole, breach) if population.dense else _fewest(whole, breach)
    larger = [each for each in _larger(tile, whole) if breach(each) is not None]
    binding = breach(larger[0]) if larger and _count(whole, tile) > 1 else None
    columns = math.ceil(whole.groups / tile.groups) * math.ceil(whole.width / tile.width)
    core = Core(population, tile, sharing, destinations)
    return Placement(population, _count(whole, tile), columns, core, binding)


def _fewest(whole: Tile, breach: Callable[[Tile], Breach | None]) -> Tile:
    best: Tile | None = None
    for exact in (True, False):
        for groups, width in _column_cuts(whole, exact):
            for height in _halved(whole.height, exact):
                for rows in _powers_of_two(whole.rows):
                    tile = Tile(rows, groups, width, height)
                    if best is not None and _count(whole, tile) >= _count(whole, best):
                        break  # and shorter rows make more
                    if breach(tile) is None:
                        best = tile
                        break
        if best is not None:
            return best
    raise AssertionError("a single neuron fits")


def _dense_tile(whole: Tile, breach: Callable[[Tile], Breach | None]) -> Tile:
    cores, tile = 1, whole
    while (over := breach(tile)) is not None:
        cores *= math.ceil(over.value / over.allowed)
        tile = Tile(1, 1, math.ceil(whole.width / cores))
    return tile


def _count(whole: Tile, tile: Tile) -> int:
    """Tiles that cover the whole."""
    cuts = zip(astuple(whole), astuple(tile), strict=True)
    return math.prod(math.ceil(side / part) for side, part in cuts)


def _larger(tile: Tile, whole: Tile) -> Iterator[Tile]:
    """The next larger tiles along each side that is cut."""
    if tile.rows < whole.rows:
        yield replace(tile, rows=2 * tile.rows)
    if tile.height < whole.height:
        yield replace(tile, height=min(2 * tile.height, whole.height))
    if tile.width < whole.width:
        yield replace(tile, width=min(2 * tile.width, whole.width))
    if tile.groups < whole.groups:
        yield replace(tile, groups=min(2 * tile.groups, whole.groups))


def _column_cuts(whole: Tile, exact: bool) -> Iterator[tuple[int, int]]:
    """Groups and width of a tile, from all columns to the fewest: whole groups first, then parts of a group."""
    for groups in _halved(whole.groups, exact):
        yield groups, whole.width
    for width in _halved(whole.width, exact):
        yield 1, width


def _halved(whole: int, exact: bool) -> Iterator[int]:
    """The whole, and halves of it: as long as they are whole numbers, or rounded up until they are 1."""
    size = whole
    yield size
    while size > 1 and not (exact and size % 2):
        size = math.ceil(size / 2)
        yield size


def _powers_of_two(whole: int) -> Iterator[int]:
    """From the least that is not below ``whole`` down to 1."""
    size = 1 << (whole - 1).bit_length()
    while size:
        yield size
        size //= 2


def _worst(core: Core, board: Board) -> Breach | None:
    """The limit a core exceeds by the largest factor."""
    breaches = [
        Breach(name, value, board.limits[name].value)
        for name, rule in RULES.items()
        if (value := rule(core)) > board.limits[name].value
    ]
    return max(breaches, key=lambda b: b.value / b.allowed, default=None)
