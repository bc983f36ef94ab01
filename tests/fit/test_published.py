"""The partitions that Intel's compiler made, against ours."""

from __future__ import annotations

import math

import pytest

from spk2loihi.fit.boards import find_board
from spk2loihi.fit.partition import place
from spk2loihi.fit.published import PARTITIONS, PublishedPartition, compared
from spk2loihi.fit.rules import RULES, Core, Tile

#: Cores of the compiler and ours where they are not the same.
DIFFERENT = {("Oxford", "dense 1"): (3, 2)}


def test_every_layer_has_the_cores_of_the_compiler_but_one() -> None:
    rows = list(compared())
    found = {(r["network"], r["layer"]): (r["cores"], r["ours"]) for r in rows if r["cores"] != r["ours"]}
    assert found == DIFFERENT
    assert {p.name: p.cores for p in PARTITIONS} == {
        "PilotNet LIF": 74,
        "PilotNet SDNN": 61,
        "YOLO-KP": 574,
        "MNIST": 5,
        "Oxford": 5,
    }


@pytest.mark.parametrize("partition", [p for p in PARTITIONS if p.layers[0].tile], ids=lambda p: p.name)
def test_the_compilers_own_tiles_are_within_our_limits_and_cover_the_layer(partition: PublishedPartition) -> None:
    board = find_board(partition.board)
    for layer in partition.layers:
        if layer.tile is None:
            continue
        x, y, channels = layer.tile
        assert math.prod(math.ceil(n / t) for n, t in zip(layer.shape, layer.tile, strict=True)) == layer.cores
        core = Core(layer.population, Tile(x, 1, channels, y))
        assert all(rule(core) <= board.limits[name].value for name, rule in RULES.items()), layer.name
        ours = place(layer.population, board).core
        assert ours is not None
        # as large a tile: as many neurons a core
        assert ours.tile.positions * ours.tile.width == x * y * channels, layer.name
