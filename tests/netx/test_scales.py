"""The scale of a population, and how its weights are rounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.nir_comparison import compare, generated_input
from spk2loihi.netx.reading import Reading
from spk2loihi.netx.scales import Grid
from support.netx_files import assert_equal_to_lava
from support.nir_graphs import conv, cuba, lif, written

GRID = Grid(-256, 254, 2)


def test_rounding_keeps_the_sum_of_a_row() -> None:
    values = np.random.default_rng(0).normal(3, 40, (50, 200)) * (np.random.default_rng(1).random((50, 200)) < 0.7)
    rounded = GRID.rounded(values)
    assert not (rounded % 2).any()
    assert (np.abs((rounded - values).sum(1)) <= 1 + 1e-9).all()  # half a step
    assert (np.abs(rounded - values) <= 1.5).all()  # none whose error was a quarter of a step is turned
    nearest = np.rint(values / 2) * 2
    assert (np.abs((nearest - values).sum(1)) > 1).any()  # what it is for
    np.testing.assert_array_equal(rounded == 0, (values == 0) | (rounded == 0))
    assert not rounded[values == 0].any()


def test_rounding_leaves_what_is_on_the_grid() -> None:
    values = np.random.default_rng(0).integers(-128, 127, (5, 3, 2, 2)) * 2.0
    np.testing.assert_array_equal(GRID.rounded(values), values)
    np.testing.assert_array_equal(GRID.rounded(np.array([[0.6, 0.6, 0.6, 0.6]])), [[2, 0, 0, 0]])  # 2.4 in all


def layers_of(path: Path, **reading: Any) -> list[dict[str, Any]]:
    conversion = NetworkFile.of(path, reading=Reading(**reading)).conversion
    assert conversion is not None
    return conversion.layers


def test_a_scale_is_chosen_with_the_bias(tmp_path: Path) -> None:
    """At the largest scale, 36 units, a bias of 0.2639 is 9.5, half way."""
    node = nir.Affine(np.array([[7.0, 0.3, -0.2]]), np.array([0.2639]))
    (layer,) = layers_of(written(tmp_path, nir.Input({"input": np.array([3])}), node, lif(1)))[1:]
    assert 36 * 0.75 - 1 <= layer["neuron"]["vThMant"] < 36
    assert abs(layer["bias"][0] / layer["neuron"]["vThMant"] - 0.2639) < 0.5 / 36 / 2


def test_a_channel_with_small_weights_has_more_units(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(0.1, 0.3, (4, 20)) * np.array([[1.0], [1.0], [20.0], [1.0]])
    path = written(tmp_path, nir.Input({"input": np.array([20])}), nir.Affine(weight, np.full(4, 0.021)), lif(4))
    (one,) = layers_of(path)[1:]
    (own,) = layers_of(path, scales="channel")[1:]
    assert one["neuron"]["vThMant"].ndim == 0 and own["neuron"]["vThMant"].shape == (4,)
    assert own["neuron"]["vThMant"][2] * 5 < min(own["neuron"]["vThMant"][[0, 1, 3]])
    for layer in (one, own):
        units = np.broadcast_to(layer["neuron"]["vThMant"], 4)
        layer["error"] = np.abs(layer["weight"] / units[:, None] - weight)[[0, 1, 3]].mean()
    assert own["error"] < one["error"] / 5
    notes = []
    for reading in (Reading(), Reading(scales="channel")):
        conversion = NetworkFile.of(path, reading=reading).conversion
        assert conversion is not None
        notes.append(conversion.notes)
    units = int(one["neuron"]["vThMant"])
    assert f"leaves {units} units to a threshold; scales of channels may round less" in notes[0][0]
    assert notes[1] == []


@pytest.mark.parametrize("kernel", [False, True])
def test_scales_of_channels_near_the_equations_and_in_lava(tmp_path: Path, kernel: bool) -> None:
    size = np.array([0.3, 3.0, 0.1])
    if kernel:
        nodes: list[Any] = [nir.Input({"input": np.array([2, 5, 5])}), conv(3, 2, 3), lif(3, 3, 3, v_threshold=0.2)]
        nodes[1].weight = nodes[1].weight * size[:, None, None, None]
    else:
        weight = np.random.default_rng(0).normal(0.5, 1, (3, 20)) * size[:, None]
        nodes = [nir.Input({"input": np.array([20])}), nir.Linear(weight), cuba(3, v_threshold=0.5)]
    file = NetworkFile.of(written(tmp_path, *nodes), reading=Reading(scales="channel"))
    network = file.network()
    inputs = generated_input(network)
    assert file.conversion is not None
    (found,) = compare(file.conversion, network, inputs)
    assert found.spikes and found.mean_rate_error < 1 / 64
    assert len(np.unique(file.conversion.layers[1]["neuron"]["vThMant"])) == 3
    if not kernel:  # several thresholds of a dense layer: test_nir.py
        return
    with file.as_netx() as netx:
        assert_equal_to_lava(netx, inputs[0, ..., :12].astype(np.int64))


def test_a_readout_has_one_scale(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(0.1, 0.3, (4, 20)) * np.array([[1.0], [1.0], [20.0], [1.0]])
    path = written(tmp_path, nir.Input({"input": np.array([20])}), nir.Linear(weight))
    file = NetworkFile.of(path, reading=Reading(scales="channel"))
    assert file.conversion is not None
    (scale,) = file.conversion.scales
    assert scale.units == scale.most_units
