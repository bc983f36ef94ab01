"""`inspect`, `fit` and `verify` on netx and NIR files, and on files that are neither."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.network import write_network
from support.network_files import whole_network
from support.netx_files import FLATTEN, binary, conv, dense, inputs, neuron, write_netx
from support.tiny_task import spk2loihi


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    write_netx(
        tmp_path / "chain.net",
        inputs(5, 4, 2),
        conv(rng.integers(-90, 100, (3, 2, 2, 2)), (4, 3, 3), neuron=neuron(2000, 100, 40), bias=np.array([1, -9, 20])),
        FLATTEN,
        dense(rng.integers(-60, 70, (7, 36)), neuron=neuron(900, 0, 2**17)),
    )
    np.save(tmp_path / "in.npy", binary(rng, 2, 5, 4, 2, 9))
    write_network(whole_network(), tmp_path / "own.net")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_inspect(folder: Path) -> None:
    outcome = spk2loihi("inspect", "chain.net", "--json", "n.json")
    assert outcome.code == 0, outcome.err
    n = json.loads((folder / "n.json").read_text())
    assert n == s2l.inspect("chain.net")
    first, second = n["layers"][1], n["layers"][3]
    assert (first["type"], first["shape"], first["neuron"], first["bias"]) == ("conv", [4, 3, 3], "CUBA", [-9, 20])
    assert first["synapses"] == 4 * 3 * 3 * 2 * 4 and first["bits"] == 8
    assert second["parameters"]["vThMant"] == 2**17 and second["shape"] == [7]
    assert [finding["limit"] for finding in n["preflight"]] == ["threshold_width"]
    assert "layer 3 (dense), threshold_width (documented): thresholds from 131,072" in outcome.out
    assert "iDecay 2000" in outcome.out
    assert spk2loihi("inspect", "chain.net", "--num-layers", 2, "--json", "n.json").code == 0
    assert len(json.loads((folder / "n.json").read_text())["layers"]) == 2


def test_fit(folder: Path) -> None:
    outcome = spk2loihi("fit", "chain.net", "--input", "in.npy", "--json", "n.json")
    assert outcome.code == 0, outcome.err
    n = json.loads((folder / "n.json").read_text())
    assert [layer["name"] for layer in n["layers"]] == ["layer 1 (conv)", "layer 3 (dense)"]
    assert n["fits"] and n["preflight"] == s2l.inspect("chain.net")["preflight"]
    assert "chain.net fits on kapoho-point: 2 of 1,024 cores" in outcome.out


def test_verify(folder: Path) -> None:
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    outcome = spk2loihi("verify", "chain.net", "--input", "in.npy", "--input-steps", 6, "--json", "n.json")
    assert outcome.code == 0, outcome.err
    n = json.loads((folder / "n.json").read_text())
    assert (n["mismatches"], n["steps"], n["samples"], n["layers"]) == (0, 6, 2, [1, 3])
    assert "0 mismatches" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "chain.net"], "chain.net is a netx file, which says nothing of its input: give --input"),
        (["verify", "chain.net", "--input", "in.npy", "--schedule", "windowed"], "--schedule is for networks of"),
        (["verify", "chain.net", "--input", "in.npy", "--backend", "stepped"], "run on emulator and cpu"),
        (["verify", "own.net", "--input", "in.npy"], "--input is for other netx and NIR files, but own.net"),
        (["verify", "own.net", "--reset-interval", "4"], "--reset-interval is for other netx and NIR files"),
        (["fit", "own.net", "--input", "in.npy"], "--input is for other netx and NIR files"),
        (["fit", "chain.net", "--hidden", "4"], "--hidden is for networks of spk2loihi export"),
        (["fit", "--num-layers", "2", "--bits", "4"], "--num-layers is for a netx or NIR file, but none is given"),
        (["inspect", "own.net", "--num-layers", "2"], "--num-layers is for other netx and NIR files"),
        (["inspect", "in.npy"], "in.npy is not an HDF5 file"),
        (["simulate", "chain.net"], "use run, inspect, fit or verify"),
        (["run", "own.net", "--input", "in.npy", "-o", "out.npz"], "reads sentences: use spk2loihi simulate"),
    ],
)
def test_refused(arguments: list[str], words: str, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    outcome = spk2loihi(*arguments, "--json", "new.json")
    assert outcome.code == 2
    assert words in outcome.err and outcome.err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == before
