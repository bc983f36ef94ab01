"""Words of memory on a core, against Intel's compiler as its output is printed in lava-dl's tutorials."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from spk2loihi.fit.boards import LOIHI2
from spk2loihi.fit.published import PARTITIONS
from spk2loihi.fit.rules import Core, Tile, axons_out, list_words, synaptic_memory
from spk2loihi.netx.dense import stored_bits
from support.fit_layers import linear

#: netx/mnist/run.ipynb (784-128-64-10, 8-bit weights, sparse lists): inputs, neurons on a core, share of 16,000 words.
MNIST = [(64, 10, 1.60), (128, 64, 16.80), (784, 50, 78.40)]

#: Per-core shares in per cent: axons in, neuron groups of 8, neurons, synapses, axon map, axon memory -> total.
TABLES = [
    # netx/mnist/run.ipynb
    (0.40, 12.50, 0.24, 1.60, 0.06, 0.00, 1.71),
    (0.80, 12.50, 1.56, 16.80, 0.40, 0.00, 14.72),
    (4.90, 12.50, 1.22, 78.40, 0.31, 0.00, 67.14),
    # netx/yolo_kp/run.ipynb
    (0.01, 25.00, 65.64, 19.20, 16.80, 0.00, 42.26),
    (0.01, 12.50, 87.52, 86.40, 0.35, 0.17, 87.47),
    (0.01, 12.50, 87.52, 67.20, 0.09, 0.35, 72.04),
    (0.01, 12.50, 87.52, 72.00, 0.35, 2.80, 78.05),
    (0.01, 12.50, 87.52, 79.20, 0.17, 0.17, 81.57),
    (0.01, 12.50, 87.52, 39.60, 0.17, 0.35, 50.03),
    (0.01, 12.50, 87.52, 10.80, 0.35, 0.17, 26.99),
    (0.01, 12.50, 87.52, 3.60, 0.70, 0.35, 21.65),
    (0.01, 12.50, 87.52, 0.34, 1.40, 0.70, 19.88),
]


@pytest.mark.parametrize("row", TABLES)
def test_core_totals_of_the_published_tables(row: tuple[float, ...]) -> None:
    """Every column is a number of words of one memory: shares times our limits add up to the printed total."""
    axons_in, groups, neurons, synapses, axons_out, routes, total = row
    names = ("axons_in", "neuron_memory", "synaptic_memory", "axons_out", "routes")
    shares = (axons_in, neurons, synapses, axons_out, routes)
    words = sum(share / 100 * LOIHI2[name].value for share, name in zip(shares, names, strict=True)) + groups / 100 * 8
    assert 100 * words / LOIHI2["core_memory"].value == pytest.approx(total, abs=0.02)  # each share has two decimals


@pytest.mark.parametrize(("inputs", "neurons", "share"), MNIST)
def test_synaptic_memory_of_the_published_mnist_layers(inputs: int, neurons: int, share: float) -> None:
    core = Core(linear(inputs, neurons), Tile(1, 1, neurons), "unrolled")
    assert round(100 * synaptic_memory(core) / LOIHI2["synaptic_memory"].value, 2) == share


#: netx/pilotnet_snn/benchmark.ipynb: layer of the file, neurons (or channels) on a core, words a core.
PILOTNET_DENSE = [(7, 100, 61_440), (7, 17, 12_800), (8, 50, 1300), (9, 10, 150)]
PILOTNET_CONV = [(4, 64, 2160), (5, 64, 2880)]  # those that move one pixel at a time along the axis that is cut


def pilotnet(layer: int) -> np.ndarray:
    spec = importlib.util.find_spec("lava.lib.dl")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lava-dl needs Python 3.10")
    wheel = Path(next(iter(spec.submodule_search_locations))).parents[2]
    with h5py.File(wheel / "tests/lava/lib/dl/netx/gts/pilotnet_lif/network.net") as file:
        return np.asarray(file[f"layer/{layer}/weight"]).astype(np.int64)


@pytest.mark.parametrize(("layer", "neurons", "words"), PILOTNET_DENSE)
def test_synaptic_memory_of_pilotnet_dense_layers(layer: int, neurons: int, words: int) -> None:
    weight = pilotnet(layer)
    assert weight.shape[1] * list_words(neurons, stored_bits(weight), sparse=True) == words


@pytest.mark.parametrize(("layer", "channels", "words"), PILOTNET_CONV)
def test_synaptic_memory_of_pilotnet_convolutions(layer: int, channels: int, words: int) -> None:
    """One shared list an input channel and kernel position."""
    weight = pilotnet(layer)
    assert math.prod(weight.shape[1:]) * list_words(channels, stored_bits(weight)) == words


def test_pilotnet_layer_over_twelve_cores() -> None:
    """2,560 inputs, 100 neurons: eleven cores of nine and one of one, 7,253 words on average."""
    weight = pilotnet(7)
    words = [list_words(n, stored_bits(weight), sparse=True) for n in [9] * 11 + [1]]
    assert int(2560 * sum(words) / 12) == 7253


#: netx/yolo_kp/run.ipynb: share of 16,000 words that the axon map of a core takes, from the first convolution on.
YOLO_AXON_MAPS = [1.40, 0.70, 0.35, 0.17, 0.17, 0.35, 0.35, 0.09, 0.35, 16.80]


def test_axon_maps_of_the_published_convolutions() -> None:
    """An address each position; of the last convolution, which no other reads, each neuron."""
    (yolo,) = (p for p in PARTITIONS if p.name == "YOLO-KP")
    for layer, share in zip(yolo.layers, YOLO_AXON_MAPS, strict=True):
        assert layer.tile is not None
        x, y, channels = layer.tile
        core = Core(layer.population, Tile(x, 1, channels, y))
        words = axons_out(core) * (channels if layer is yolo.layers[-1] else 1)
        assert words / LOIHI2["axons_out"].value == pytest.approx(share / 100, abs=0.5e-4 + 1e-9), layer.name
