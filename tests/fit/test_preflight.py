"""What a Loihi 2 would not take: each limit at its edge and one beyond, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spk2loihi.fit.boards import BOARDS
from spk2loihi.fit.preflight import Finding, preflight, preflight_input
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.simulators.file_input import read_input
from support.fit_layers import board
from support.netx_files import complex_dense, conv, dense, inputs, neuron, resonator, write_netx

MIXED = np.array([[3, -2], [1, 5]])
KAPOHO = BOARDS["kapoho-point"]


def found(tmp_path: Path, *layers: dict[str, Any], on: Any = KAPOHO) -> list[Finding]:
    file = NetworkFile.of(write_netx(tmp_path / "network.net", *layers))
    return preflight(file, file.network().layers, on)


def one(tmp_path: Path, *layers: dict[str, Any], on: Any = KAPOHO) -> tuple[str, str, int | None, int | None]:
    (finding,) = found(tmp_path, *layers, on=on)
    assert finding.source
    return finding.layer, finding.limit, finding.value, finding.allowed


def test_within_all_limits(tmp_path: Path) -> None:
    whole = neuron(i_decay=4096, v_decay=0, threshold=2**17 - 1)
    first = dense(np.array([[-128, 127], [1, 5]]), bias=np.array([-4096, 4095]), delay=np.array(62), neuron=whole)
    assert found(tmp_path, first) == []


@pytest.mark.filterwarnings("ignore:layer 0 .* stock Lava changes")
def test_weights(tmp_path: Path) -> None:
    assert one(tmp_path, dense(np.array([[-300, 8], [1, 5]]))) == ("layer 0 (dense)", "weight_width", 10, 8)
    kernel = np.full((1, 1, 1, 1), 129)
    layers = inputs(2, 2, 2), conv(np.concatenate([kernel, -kernel], 1), (2, 2, 1))
    assert one(tmp_path, *layers) == ("layer 1 (conv)", "weight_width", 9, 8)
    assert found(tmp_path, inputs(2, 2, 2), conv(np.full((1, 2, 1, 1), 255), (2, 2, 1))) == []


@pytest.mark.parametrize(("bias", "worst"), [(4096, 4096), (-4097, -4097)])
def test_biases(bias: int, worst: int, tmp_path: Path) -> None:
    assert one(tmp_path, dense(MIXED, bias=np.array([1, bias]))) == ("layer 0 (dense)", "bias_width", worst, 4095)


def test_neurons(tmp_path: Path) -> None:
    above = dense(MIXED, neuron=neuron(threshold=2**17))
    assert one(tmp_path, above) == ("layer 0 (dense)", "threshold_width", 2**17, 2**17 - 1)
    assert one(tmp_path, dense(MIXED, neuron=neuron(i_decay=4097)))[1:] == ("decay", 4097, 4096)
    late = dense(MIXED, neuron={**neuron(), "refDelay": 3})
    assert one(tmp_path, late)[1:] == ("refractory_delay", 3, 1)
    rf = complex_dense(np.array([[1, -2]]), np.array([[2, 1]]), neuron=resonator(100, 4000))
    assert one(tmp_path, rf)[1] == "neuron_type"


@pytest.mark.filterwarnings("ignore:layer 0 .* cuts a delay")
def test_delays_and_fan_in(tmp_path: Path) -> None:
    assert one(tmp_path, dense(MIXED, delay=np.array(63))) == ("layer 0 (dense)", "delay", 63, 62)
    assert one(tmp_path, dense(MIXED), on=board(fan_in=1)) == ("layer 0 (dense)", "fan_in", 2, 1)


def test_inputs(tmp_path: Path) -> None:
    """Biases of input neurons, and a flood of messages in one step."""
    driven = write_netx(tmp_path / "driven.net", {**inputs(2), "neuron": neuron()}, dense(MIXED))
    for value, expected in ((4095, []), (4096, ["bias_width"])):
        given = read_input(driven, np.full((2, 3), value))
        assert [finding.limit for finding in preflight_input(given)] == expected
    many = write_netx(tmp_path / "many.net", inputs(6499), dense(np.ones((1, 6499), int)))
    spikes = np.zeros((6499, 3), np.int8)
    spikes[:6498, 1] = 1
    assert preflight_input(read_input(many, spikes)) == []
    spikes[:, 1] = 1
    (flood,) = preflight_input(read_input(many, spikes))
    assert (flood.layer, flood.limit, flood.value, flood.certainty) == ("input", "messages_a_step", 6499, "reported")
    assert "6,499 messages in step 1:" in flood.text
