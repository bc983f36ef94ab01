"""netx files as NIR, read back to the same integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.errors import UserError
from spk2loihi.network import write_network
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.results import replaceable
from support.network_files import whole_network
from support.netx_files import (
    FLATTEN,
    binary,
    complex_dense,
    conv,
    dense,
    dense_rec,
    inputs,
    neuron,
    resonator,
    sdnn,
    write_netx,
)
from support.nir_graphs import lif, linear, written

RNG = np.random.default_rng(0)
WEIGHT, KERNEL = RNG.integers(-99, 120, (5, 6)), RNG.integers(-99, 120, (3, 2, 3, 3))
ROWS = np.repeat(np.arange(5)[:, None], 5, axis=1)  # a delay of each neuron
BIAS = np.array([1, -2, 3, 0, 9])
FILES: dict[str, list[dict[str, Any]]] = {
    "dense": [inputs(6), dense(WEIGHT, bias=BIAS), dense(WEIGHT[:, :5], neuron=neuron(v_decay=128))],
    "current": [inputs(6), dense(WEIGHT, bias=BIAS, neuron=neuron(1024, 512, 40))],
    "current for ever": [inputs(6), dense(WEIGHT, bias=BIAS, neuron=neuron(0, 4096, 300))],
    "potential for ever": [inputs(6), dense(WEIGHT, bias=BIAS, neuron=neuron(2048, 0, 40))],
    "delays": [inputs(6), dense(WEIGHT, delay=np.arange(6)), dense(WEIGHT[:, :5], delay=ROWS)],
    "recurrent": [inputs(6), dense_rec(WEIGHT, WEIGHT[:, :5] // 3)],
    "convolution": [
        inputs(6, 7, 2), conv(KERNEL, (2, 5, 3), stride=np.array([1, 2]), bias=np.array([1, 2, 3])), FLATTEN,
        dense(RNG.integers(-99, 120, (4, 30))),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_round_trip(tmp_path: Path, name: str) -> None:
    """The same spikes, states and synaptic operations; and what NIR's own reader takes."""
    first = NetworkFile.of(write_netx(tmp_path / "a.net", *FILES[name]))
    s2l.convert(first.path, tmp_path / "b.nir")
    s2l.convert(tmp_path / "b.nir", tmp_path / "c.net", exact=True)
    assert isinstance(nir.read(tmp_path / "b.nir"), nir.NIRGraph)
    again = NetworkFile.of(tmp_path / "c.net")
    given = binary(np.random.default_rng(1), 2, *first.network().input_shape, 30)
    one, two = (file.network().run(given, [layer.number for layer in file.network().layers]) for file in (first, again))
    for ours, theirs in zip(one.layers.values(), two.layers.values(), strict=True):
        np.testing.assert_array_equal(ours.s, theirs.s)
        for state in ("u", "v"):
            np.testing.assert_array_equal(ours.states[state], theirs.states[state])
    assert one.output.any()
    assert [int(each.sum()) for each in one.synops.values()] == [int(each.sum()) for each in two.synops.values()]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([inputs(6), dense(WEIGHT, neuron=sdnn())], "its neurons are SDNN, for which NIR has no node"),
        (
            [inputs(6), complex_dense(WEIGHT, WEIGHT, neuron=resonator(1701, 3333))],
            "its neurons are RF, for which NIR has no node",
        ),
        ([{**inputs(6), "neuron": neuron()}, dense(WEIGHT)], "the values of its input are biases"),
        ([inputs(6), dense(WEIGHT, delay=RNG.integers(0, 9, (5, 6)))], "its synapses have delays of their own"),
        ([inputs(6), dense(WEIGHT * 9)], "stock Lava changes its weights when it loads them"),
    ],
)
@pytest.mark.filterwarnings("ignore:layer 1")
def test_what_nir_has_no_word_for(tmp_path: Path, layers: list[dict[str, Any]], message: str) -> None:
    path = write_netx(tmp_path / "a.net", *layers)
    with pytest.raises(UserError, match=message):
        s2l.convert(path, tmp_path / "b.nir")
    assert not (tmp_path / "b.nir").exists()


def test_networks_of_export(tmp_path: Path) -> None:
    write_network(whole_network(), tmp_path / "own.net")
    with pytest.raises(UserError, match=r"own\.net is a network of spk2loihi export, whose neurons subtract"):
        s2l.convert(tmp_path / "own.net", tmp_path / "b.nir")
    assert not (tmp_path / "b.nir").exists()


def test_files_of_convert_are_known_and_others_kept(tmp_path: Path) -> None:
    path = written(tmp_path, nir.Input({"input": np.array([6])}), linear(5, 6), lif(5))
    out = tmp_path / "a.net"
    for _ in range(2):
        numbers = s2l.convert(path, out).to_dict()
    assert replaceable(out, "converted") and not replaceable(path, "converted")
    with h5py.File(out) as file:
        assert file.attrs["generator"] == b"spk2loihi convert"
    assert numbers["comparison"][0]["node"] == "lif" and numbers["format"] == "netx"
    with pytest.raises(UserError, match=r"network\.nir, the converted network, would replace what is read"):
        s2l.convert(path, path, force=True)
    (tmp_path / "mine.net").write_text("mine")
    with pytest.raises(UserError, match="is no converted network that spk2loihi wrote"):
        s2l.convert(path, tmp_path / "mine.net")
    with pytest.raises(UserError, match=r"`bits` is for NIR files, but .*a.net is a netx file of integers"):
        s2l.run(out, np.ones((6, 4), int), bits=4)
