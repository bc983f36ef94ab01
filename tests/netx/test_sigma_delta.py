"""Sigma-delta neurons beside Lava."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.netx import StockNetwork
from support.netx_files import (
    FLATTEN,
    STEPS,
    assert_equal_to_lava,
    binary,
    conv,
    dense,
    dense_rec,
    inputs,
    neuron,
    sdnn,
    write_netx,
)


@pytest.mark.slow
def test_sigma_delta_network(tmp_path: Path) -> None:
    """Delta, SigmaDelta and Sigma neurons, dense, conv and recurrent layers, and their graded messages."""
    rng = np.random.default_rng(14)
    layers = [
        {**inputs(5, 4, 2), "neuron": sdnn(2), "weight": np.array([36.0]), "bias": 3},
        conv(rng.integers(-90, 99, (3, 2, 2, 2)), (4, 3, 3), neuron=sdnn(1), bias=np.array([4, 0, -5])),
        FLATTEN,
        dense(rng.integers(-60, 70, (7, 36)), neuron=sdnn(1), bias=rng.integers(-90, 90, 7)),
        dense_rec(rng.integers(-90, 99, (6, 7)), rng.integers(-30, 40, (6, 6)), neuron=sdnn(9)),
        dense(rng.integers(-90, 99, (2, 6)), neuron=sdnn(sigma_output=True)),
    ]
    path, train = write_netx(tmp_path / "sdnn.net", *layers), rng.integers(-9, 9, (5, 4, 2, STEPS))
    messages = assert_equal_to_lava(path, train)
    assert all(np.unique(m).size > 4 for m in messages)
    assert_equal_to_lava(path, train, spike_exp=0)
    assert StockNetwork.from_file(path).encode(np.full((5, 4, 2), 0.75)).tolist() == np.full((5, 4, 2), 30).tolist()


def test_sums_of_sigma_delta_neurons_wrap(tmp_path: Path) -> None:
    rng = np.random.default_rng(15)
    path = write_netx(tmp_path / "wide.net", inputs(5), dense(rng.integers(-99, 99, (4, 5)), neuron=sdnn(500_000)))
    assert_equal_to_lava(path, rng.integers(-(2**24), 2**24, (5, 30)), input_message_bits=25)


def test_sigma_delta_neurons_after_spikes_and_without_message_bits(tmp_path: Path) -> None:
    """Spikes arrive as 1; a recurrent layer takes its own payloads as 1 where its input is of spikes."""
    rng = np.random.default_rng(16)
    path = write_netx(
        tmp_path / "mixed.net",
        inputs(5),
        dense(rng.integers(-60, 70, (6, 5)), neuron=neuron(threshold=9)),
        dense_rec(rng.integers(-250, 250, (6, 6)), rng.integers(-250, 250, (6, 6)), neuron=sdnn(0)),
    )
    messages = assert_equal_to_lava(path, binary(rng, 5, 20))
    assert np.unique(messages[1]).size > 4
