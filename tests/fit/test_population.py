"""Widths of weights against Lava's, and the populations of a network against its own arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spk2loihi.fit import populations
from spk2loihi.network.network import Network
from spk2loihi.netx.dense import stored_bits
from spk2loihi.simulators.lava.importing import import_lava


@given(st.integers(0, 2**32 - 1), st.integers(1, 127), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_stored_bits_are_lavas(seed: int, largest: int, shift: int) -> None:
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    import_lava()
    from lava.lib.dl.netx.utils import optimize_weight_bits

    weight = np.random.default_rng(seed).integers(-largest, largest, (5, 7), endpoint=True)
    weight[0, :2] = -largest, 1
    weight = np.clip(weight << shift, -128, 126) if largest << shift > 127 else weight << shift
    assert stored_bits(weight) == optimize_weight_bits(weight)[1]


def test_stored_bits_of_one_sign_and_of_nothing() -> None:
    assert stored_bits(np.array([[0, 255]])) == 8
    assert stored_bits(np.array([[0, 254]])) == 7
    assert stored_bits(np.array([[-4, -8]])) == 2
    assert stored_bits(np.zeros((2, 2), np.int64)) == 1
    assert stored_bits(np.array([[-1, 0, 1]])) == 2  # ternary


def test_populations_of_a_network(network: Network) -> None:
    """Neurons and synapses as the network's own arrays have them; attention by its definition."""
    sizes = {p.name: p for p in populations(network)}
    tokens, heads, d_h = 16, 2, 8
    assert sizes["embedding"].neurons == tokens * 16
    assert sizes["layer.0.score"].neurons == heads * tokens * tokens
    assert sizes["layer.1.score"].neurons == heads * tokens  # [CLS] only
    assert sizes["layer.0.score"].fan_in == 2 * d_h
    assert sizes["layer.0.context"].fan_in == tokens
    for stage in network.stages:
        own = sizes[stage.name]
        if stage.synapses:
            nonzero = sum(int(np.count_nonzero(g.weight)) for g in stage.synapses)
            assert own.synapses == nonzero * own.tokens
    assert sizes["layer.0.score"].left_bits == 5  # counts in [-8, 8]
    assert sizes["layer.0.context"].left_bits == 4  # scores in [0, 8]
