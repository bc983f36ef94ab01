"""Partitions: by hand, at the edge of every limit, and against brute force."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spk2loihi.fit import BOARDS, check_fit, populations
from spk2loihi.fit.partition import partition, place
from spk2loihi.fit.rules import RULES, Core, Tile, axons_in, axons_out, grid, synaptic_memory
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from support.fit_layers import KAPOHO, board, linear, network_of

# --- by hand


def test_one_layer_by_hand() -> None:
    """384 -> 384, 64 tokens, 8 bits.

    All 384 channels do not fit one core: 384 lists of ceil((8 + 384 x 8) / 64) = 49 words are 18,816, over 16,000. Half
    of them do, with 16 tokens: 16 x 192 = 3,072 neurons, and 32 tokens are 6,144, over 4,095. 384 x ceil((8 + 192 x 8)
    / 64) = 384 x 25 = 9,600 words, one axon in, 16 addresses out, each to 3 cores. In total 1 + 3,072 + 9,600 + 1 + 16
    + 48 = 12,738 words. A quarter of the channels and 32 tokens make 8 cores as well, with more tiles of columns.
    """
    placement = place(linear(384, 384, 64), KAPOHO, destinations=3)
    assert placement.core is not None and placement.binding is not None
    assert (placement.cores, placement.column_tiles, placement.core.tile) == (8, 2, Tile(16, 1, 192))
    assert {name: rule(placement.core) for name, rule in RULES.items()} == {
        "weight_width": 8, "fan_in": 384, "neurons": 3072, "neuron_memory": 3072, "synaptic_memory": 9600,
        "axons_in": 1, "axons_out": 16, "routes": 48, "core_memory": 12738,
    }  # fmt: skip
    assert placement.binding.limit == "neuron_memory"


def test_unrolled_copies_by_hand() -> None:
    """The same layer without sharing: every token its own 384 lists, of 20-bit synapses.

    192 channels: 384 x ceil((8 + 192 x 20) / 64) = 384 x 61 = 23,424 words, too many; 96 channels: 384 x 31 = 11,904
    words for a single token, so 4 cores a token.
    """
    placement = place(linear(384, 384, 64), KAPOHO, "unrolled")
    assert placement.core is not None and placement.binding is not None
    assert (placement.cores, placement.core.tile) == (256, Tile(1, 1, 96))
    assert synaptic_memory(placement.core) == 11_904
    assert placement.binding.limit == "synaptic_memory"


# --- the edge of a limit


def test_one_synapse_over_a_limit_is_refused_by_name_and_value() -> None:
    assert check_fit(network_of(linear(16_000, 1)), KAPOHO)["fits"]
    result = check_fit(network_of(linear(16_001, 1)), KAPOHO)
    assert not result["fits"]
    assert result["refused"] == [{"layer": "layer", "limit": "fan_in", "value": 16_001, "allowed": 16_000}]
    assert result["layers"][1]["binding_limit"] == "fan_in"
    assert result["layers"][1]["cores"] == 0


def test_one_word_over_synaptic_memory_takes_another_core() -> None:
    layer = linear(10, 20)  # 10 lists of ceil((8 + 20 x 8) / 64) = 3 words
    assert place(layer, board(synaptic_memory=30)).cores == 1
    over = place(layer, board(synaptic_memory=29))
    assert over.cores == 2
    assert over.binding is not None
    assert (over.binding.limit, over.binding.value, over.binding.allowed) == ("synaptic_memory", 30, 29)
    assert check_fit(network_of(layer), board(cores=2, synaptic_memory=30))["fits"]
    assert not check_fit(network_of(layer), board(cores=2, synaptic_memory=29))["fits"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [("neurons", 19), ("neuron_memory", 19), ("synaptic_memory", 29), ("core_memory", 1 + 20 + 30 + 1 + 1 - 1)],
)
def test_each_limit_binds(limit: str, value: int) -> None:
    layer = linear(10, 20)
    assert place(layer, board(**{limit: value + 1})).cores == 1
    placement = place(layer, board(**{limit: value}))
    assert placement.cores == 2
    assert placement.binding is not None and placement.binding.limit == limit


def test_axons_bind_where_weights_are_unrolled() -> None:
    layer = linear(10, 20, tokens=4)
    assert place(layer, board(axons_in=40), "unrolled").cores == 1
    assert place(layer, board(axons_in=39), "unrolled").binding.limit == "axons_in"  # type: ignore[union-attr]
    assert place(layer, board(axons_out=79), "unrolled").binding.limit == "axons_out"  # type: ignore[union-attr]
    assert place(layer, board(axons_out=3)).binding.limit == "axons_out"  # type: ignore[union-attr]
    assert place(layer, board(routes=19), destinations=5).binding.limit == "routes"  # type: ignore[union-attr]


def test_too_wide_weights_are_refused() -> None:
    refused = place(linear(4, 4, bits=9), KAPOHO).refused
    assert refused is not None
    assert (refused.limit, refused.value, refused.allowed) == ("weight_width", 9, 8)


# --- brute force, and whole networks


@given(
    d_in=st.integers(1, 40), d_out=st.integers(1, 40), tokens=st.integers(1, 12), bits=st.integers(1, 8),
    neurons=st.integers(1, 100), words=st.integers(40, 200), skip=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_cut_needs_fewer_cores(
    d_in: int, d_out: int, tokens: int, bits: int, neurons: int, words: int, skip: bool
) -> None:
    """Against every tile that is allowed: tokens in powers of two, channels in whole halves, or in rounded ones."""
    layer = linear(d_in, d_out, tokens, bits, d_out if skip else 0)
    small = board(neurons=neurons, synaptic_memory=words, core_memory=words + 60)

    def counts(widths: set[int]) -> list[int]:
        tiles = [Tile(2**e, 1, w) for e in range(5) for w in widths if 2 ** (e - 1) < tokens]
        fit = [
            t
            for t in tiles
            if all(rule(Core(layer, t, "shared", 2)) <= small.limits[name].value for name, rule in RULES.items())
        ]
        return [math.ceil(tokens / t.rows) * math.ceil(d_out / t.width) for t in fit]

    whole = {d_out // 2**e for e in range(6) if d_out % 2**e == 0}
    rounded = {math.ceil(d_out / 2**e) for e in range(7)}
    allowed = counts(whole) or counts(rounded)
    placement = place(layer, small, destinations=2)
    if placement.refused:
        assert not allowed
    else:
        assert placement.cores == min(allowed)
        assert placement.core is not None and not math.log2(placement.core.tile.rows) % 1


def test_a_dense_layer_has_so_many_cores_as_its_memory_is_too_large() -> None:
    """PilotNet's: 2,560 x ceil((8 + 100 x 15) / 64) = 61,440 words are 6 x 12,000; of 17 neurons 12,800 words: 12."""
    layer = linear(2560, 100, bits=3, dense=True)
    assert synaptic_memory(Core(layer, Tile(1, 1, 100))) == 61_440
    assert synaptic_memory(Core(layer, Tile(1, 1, 17))) == 12_800
    placement = place(layer, BOARDS["oheo-gulch"])
    assert placement.core is not None and placement.binding is not None
    assert (placement.cores, placement.core.tile, placement.binding.limit) == (12, Tile(1, 1, 9), "synaptic_memory")
    assert axons_in(placement.core) == 2560 and axons_out(placement.core) == 9


@pytest.mark.parametrize("schedule", ["windowed", "pipelined", "settling"])
@pytest.mark.parametrize("sharing", ["shared", "unrolled"])
def test_every_core_of_a_network_is_within_every_limit(network: Network, schedule: Any, sharing: Any) -> None:
    given = populations(replace(network, defaults=RunConfig(schedule)))
    small = board(neuron_memory=100, synaptic_memory=150, core_memory=260)
    for placement in partition(given, small, sharing):
        assert placement.refused is None and placement.core is not None
        whole, tile = grid(placement.population), placement.core.tile
        for name, rule in RULES.items():
            assert rule(placement.core) <= small.limits[name].value, (placement.population.name, name)
        assert placement.cores * tile.rows * tile.columns >= whole.rows * whole.columns
        assert placement.population.neurons == whole.rows * whole.columns
