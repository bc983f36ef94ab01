"""`spk2loihi run`: arrays in, arrays out, on both backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from click.testing import CliRunner, Result

from spk2loihi.cli.main import cli, with_options
from spk2loihi.errors import UserError
from support.netx_files import binary, conv, dense, inputs, neuron, sdnn, write_netx


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, ["run", *map(str, arguments)])


def refused(*arguments: Any) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, UserError), result.output
    return with_options(str(result.exception))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write_netx(
        tmp_path / "chain.net",
        inputs(5, 4, 2),
        conv(rng.integers(-90, 100, (3, 2, 2, 2)), (4, 3, 3), neuron=neuron(2000, 100, 40), bias=np.array([1, -9, 20])),
        {"type": np.array([b"flatten"]), "shape": np.array([36])},
        dense(rng.integers(-60, 70, (7, 36)), neuron=neuron(900, 0, 70)),
    )


def save(path: Path, values: Any) -> Path:
    np.save(path, values)
    return path


def test_backends_agree_on_every_recorded_array(network: Path, tmp_path: Path) -> None:
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    train = save(tmp_path / "in.npy", binary(np.random.default_rng(1), 2, 5, 4, 2, 9).astype(np.float32))
    for backend in ("emulator", "cpu"):
        result = run(
            network, "--input", train, "--input-steps", 12, "--out", tmp_path / f"{backend}.npz", "--backend", backend,
            "--record", "1", "--record", "3", "--reset-interval", "8",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    ours, lava = (np.load(tmp_path / f"{backend}.npz") for backend in ("emulator", "cpu"))
    assert set(ours) == set(lava) == {"out", *(f"{i}/{name}" for i in (1, 3) for name in "suv")}
    for name in ours:
        np.testing.assert_array_equal(ours[name], lava[name], err_msg=name)
    assert ours["out"].shape == (2, 7, 12) and ours["out"].any()
    assert ours["1/u"].shape == (2, 4, 3, 3, 12)


def test_one_sample_chosen_steps_and_numbers(network: Path, tmp_path: Path) -> None:
    """No batch axis in, none out; HDF5; recorded steps are those of the whole run."""
    train = save(tmp_path / "in.npy", binary(np.random.default_rng(2), 5, 4, 2, 9))
    common = (network, "--input", train)
    assert run(*common, "--out", tmp_path / "all.npz", "--record", "all").exit_code == 0
    result = run(
        *common,
        "--out",
        tmp_path / "some.h5",
        "--record",
        "1,3",
        "--record-steps",
        "2:8:3",
        "--json",
        tmp_path / "n.json",
    )
    assert result.exit_code == 0, result.output
    whole = np.load(tmp_path / "all.npz")
    assert whole["out"].shape == (7, 9)
    with h5py.File(tmp_path / "some.h5") as some:
        np.testing.assert_array_equal(some["out"], whole["out"])
        for name in ("1/s", "1/u", "3/v"):
            np.testing.assert_array_equal(some[name], whole[name][..., [2, 5]])
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["synops"]["1"][0] > 0 and numbers["arrays"]["1/u"] == [4, 3, 3, 2]
    assert numbers["output_messages"] == np.count_nonzero(whole["out"])


def test_transform_of_an_input_layer_and_few_layers(tmp_path: Path) -> None:
    layers = [{**inputs(3), "neuron": sdnn(0), "weight": 10.0, "bias": 5.0}, dense(np.eye(3) * 2, neuron=sdnn(0))]
    path = write_netx(tmp_path / "sdnn.net", *layers)
    values = save(tmp_path / "in.npy", np.array([[0.5], [1.0], [-0.25]]))
    assert "has fractions, but networks take integers: round it, or use --transform" in refused(
        path, "--input", values, "--out", tmp_path / "out.npz"
    )
    arguments = (path, "--input", values, "--out", tmp_path / "out.npz", "--num-layers", 1, "--spike-exp", 0)
    assert run(*arguments, "--transform").exit_code == 0
    assert np.load(tmp_path / "out.npz")["out"].tolist() == [[10], [15], [2]]


def test_nir_file(tmp_path: Path) -> None:
    nodes = nir.Linear(weight=np.eye(2) * 3), nir.Threshold(threshold=np.full(2, 2.0))
    nir.write(str(tmp_path / "x.nir"), nir.NIRGraph.from_list(*nodes))
    train = save(tmp_path / "in.npy", np.array([[1, 0, 1], [0, 1, 1]]))
    assert run(tmp_path / "x.nir", "--input", train, "--out", tmp_path / "out.npz").exit_code == 0
    assert np.load(tmp_path / "out.npz")["out"].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_refusals(network: Path, tmp_path: Path) -> None:
    train, out = save(tmp_path / "in.npy", np.zeros((5, 4, 2, 3), int)), tmp_path / "out.npz"
    good = (network, "--input", train, "--out", out)
    wrong = save(tmp_path / "wrong.npy", np.zeros((4, 5, 2, 3), int))
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{"a": 1}]), allow_pickle=True)
    own = tmp_path / "own.net"
    with h5py.File(own, "w") as file:
        file.create_group("spk2loihi")
    for arguments, message in (
        (
            (network, "--input", wrong, "--out", out),
            "input has shape (4, 5, 2, 3), but the network takes (5, 4, 2, steps)",
        ),
        ((network, "--input", objects, "--out", out), "is no .npy file of numbers"),
        ((network, "--input", tmp_path / "absent.npy", "--out", out), "absent.npy does not exist"),
        ((own, "--input", train, "--out", out), "own.net is a network of spk2loihi export, which reads sentences"),
        ((*good, "--record", "2"), "--record 2: choose among layers 1, 3, or all"),
        ((*good, "--record-steps", "3:"), "--record-steps 3: holds none of the 3 steps"),
        ((*good, "--record-steps", "1"), "--record-steps 1: give START:STOP"),
        ((*good, "--transform"), "layer 1 (conv) has no transform"),
        ((network, "--input", train, "--out", train), "would replace what is read from"),
    ):
        assert message in refused(*arguments)
    assert not out.exists()
