"""The populations of a netx file and where they go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.fit.boards import BOARDS
from spk2loihi.fit.file_populations import OUTSIDE, check_file_fit, file_populations
from spk2loihi.netx.network_file import NetworkFile
from support.fit_layers import board
from support.netx_files import FLATTEN, conv, dense, dense_rec, inputs, neuron, write_netx


def layers_of(tmp_path: Path, *layers: dict) -> tuple:
    return NetworkFile.of(write_netx(tmp_path / "network.net", *layers)).network().layers


def chain(tmp_path: Path) -> tuple:
    rng = np.random.default_rng(0)
    return layers_of(
        tmp_path,
        inputs(6, 5, 2),
        conv(rng.integers(1, 8, (4, 2, 3, 3)), (6, 5, 4), padding=np.array([1, 1])),
        FLATTEN,
        dense_rec(rng.integers(-7, 8, (10, 120)), rng.integers(-7, 8, (10, 10))),
    )


def test_sizes(tmp_path: Path) -> None:
    outside, first, second = file_populations(chain(tmp_path))
    assert (outside.name, outside.inputs) == (OUTSIDE, ())
    assert (first.name, first.tokens, first.height, first.channels, first.fan_in) == ("layer 1 (conv)", 6, 5, 4, 2 * 9)
    assert (first.neurons, first.dense, second.dense) == (6 * 5 * 4, False, True)
    assert (second.name, second.tokens, second.channels, second.fan_in) == ("layer 3 (dense_rec)", 1, 10, 130)
    assert first.inputs[0].bits == 3


def test_what_arrives_takes_no_core(tmp_path: Path) -> None:
    report = check_file_fit(chain(tmp_path), BOARDS["kapoho-point"])
    assert [row["name"] for row in report["layers"]] == ["layer 1 (conv)", "layer 3 (dense_rec)"]
    assert report["cores"] == sum(row["cores"] for row in report["layers"]) == 2
    assert report["neurons"] == 130 and report["fits"]
    # 3 x 3 kernel of no zeros on 6 x 5, padded by 1: borders meet fewer
    assert report["layers"][0]["synapses"] == (6 * 3 - 2) * (5 * 3 - 2) * 2 * 4


def test_input_neurons_take_cores(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, {**inputs(20), "neuron": neuron()}, dense(np.ones((3, 20), int)))
    report = check_file_fit(layers, board(neurons=8))
    assert [(row["name"], row["cores"]) for row in report["layers"]] == [("layer 0 (input)", 4), ("layer 1 (dense)", 1)]


@pytest.mark.parametrize(
    ("name", "cores"),
    [("pilotnet_lif", [13, 25, 13, 3, 3, 2, 12, 1, 1, 1]), ("pilotnet_sdnn", [4, 7, 2, 3, 2, 12, 1, 1, 1])],
)
def test_pilotnet(name: str, cores: list[int]) -> None:
    """LIF: cores of every layer as Intel's compiler gave them. SDNN in the wheel is smaller than what it compiled."""
    netx = pytest.importorskip("lava.lib.dl.netx", reason="lava-nc and lava-dl need Python 3.10")
    path = Path(netx.__file__).parents[4] / "tests/lava/lib/dl/netx/gts" / name / "network.net"
    if not path.is_file():
        pytest.skip("this lava-dl was installed without its tests")
    report = check_file_fit(NetworkFile.of(path).network().layers, BOARDS["oheo-gulch"])
    assert [row["cores"] for row in report["layers"]] == cores


def test_a_larger_board(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, dense(np.ones((300, 4), int)))
    report = check_file_fit(layers, board(neurons=2))
    assert not report["fits"] and report["cores"] == 150
    (remedy,) = report["remedies"]
    assert remedy["to"] == "kapoho-point" and "of 1,024 cores" in remedy["text"]
    big = layers_of(tmp_path, dense(np.ones((1, 16_001), int)))
    (none,) = check_file_fit(big, BOARDS["kapoho-point"])["remedies"]
    assert none["to"] is None
