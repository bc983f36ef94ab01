"""Every command on a NIR file of real numbers: one meaning of the reading options, and JSON of what was quantised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.network import write_network
from support.network_files import whole_network
from support.netx_files import binary
from support.nir_graphs import affine, lif, linear, written
from support.tiny_task import Outcome, spk2loihi

READING = ("--dt", 5e-5, "--bits", 4, "--scales", "channel")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    nodes = [nir.Input({"input": np.array([12])}), affine(10, 12), lif(10), linear(4, 10, 1), lif(4)]
    written(tmp_path, *nodes).rename(tmp_path / "a.nir")
    np.save(tmp_path / "in.npy", binary(np.random.default_rng(0), 2, 12, 20))
    write_network(whole_network(), tmp_path / "own.net")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers(*arguments: Any) -> tuple[dict[str, Any], Outcome]:
    outcome = spk2loihi(*arguments, "--json", "n.json", "--force")
    assert outcome.code == 0, outcome.err
    made: dict[str, Any] = json.loads(Path("n.json").read_text())
    return made, outcome


COMMANDS: dict[str, list[str]] = {
    "run": ["a.nir", "--input", "in.npy", "-o", "out.npz"],
    "inspect": ["a.nir"],
    "fit": ["a.nir"],
    "energy": ["a.nir", "--input", "in.npy", "-o", "e.html"],
    "verify": ["a.nir", "--input", "in.npy", "--input-steps", "4"],
    "convert": ["a.nir", "a.net"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_reading_mean_the_same_in_every_command(folder: Path, name: str) -> None:
    if name == "verify":
        pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    made, outcome = numbers(name, *COMMANDS[name], *READING)
    found = made if name == "convert" else made["network"]["reading"] if name == "energy" else made["reading"]
    assert {key: found[key] for key in ("dt", "bits", "exact", "scales")} == {
        "dt": 5e-5, "bits": 4, "exact": False, "scales": "channel",
    }  # fmt: skip
    if name != "convert":
        worst = s2l.inspect("a.nir", dt=5e-5, bits=4, scales="channel")["reading"]["largest_error"]
        assert found["largest_error"] == worst and 0.01 < worst["rms"] < 0.2
        assert "quantised to 4 bits, one scale a channel; the worst weights, of " in outcome.err
    refused = spk2loihi(name, *COMMANDS[name], "--exact", "--force")
    assert refused.code == 2 and "not a whole number: leave --exact out" in refused.err
    assert not list(folder.glob("*.tmp*"))


def test_inspect_shows_what_the_reading_made(folder: Path) -> None:
    usual, channel = (s2l.inspect("a.nir", **how) for how in ({}, {"scales": "channel"}))
    assert usual["preflight"] == []
    assert [f["limit"] for f in channel["preflight"]] == ["population_constants"] * 2
    least, most = channel["layers"][1]["parameters"]["vThMant"]
    one = usual["layers"][1]["parameters"]["vThMant"]
    assert isinstance(one, int) and 0.75 * one < least < most
    slower = s2l.inspect("a.nir", dt=5e-5)
    assert [n["layers"][1]["parameters"]["vDecay"] for n in (usual, slower)] == [205, 102]


def test_convert_both_ways_runs_alike(folder: Path) -> None:
    """The netx file, and the NIR file made of it, run as the NIR file did."""
    made, outcome = numbers("convert", "a.nir", "a.net", "--input", "in.npy")
    assert made["format"] == "netx" and made["input"] == {"samples": 2, "steps": 20}
    assert [row["node"] for row in made["comparison"]] == ["lif", "lif_4"]
    assert "mean rate error" in outcome.out and "a.net: netx, 3 layers, a step is 0.0001 s" in outcome.out
    back, outcome = numbers("convert", "a.net", "b.nir")
    assert back["format"] == "NIR" and back["comparison"] == [] and "b.nir: NIR" in outcome.out
    runs = [
        s2l.run(path, "in.npy", **how).output
        for path, how in (("a.nir", {}), ("a.net", {}), ("b.nir", {"exact": True}))
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
    assert runs[0].any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "a.nir", "a.nir"], "would replace what is read from a.nir: choose another OUT"),
        (["convert", "a.nir", "in.npy"], "in.npy exists, and is no converted network that spk2loihi wrote"),
        (["convert", "a.nir", "a.net", "--json", "a.net"], "a.net"),
        (["convert", "own.net", "b.nir"], "neurons subtract the threshold, and NIR has no such reset"),
        (["convert", "in.npy", "b.nir"], "in.npy is not an HDF5 file"),
        (["convert", "a.nir", "a.net", "--bits", "9"], "--bits is 9, but it is a whole number from 2 to 8"),
        (["convert", "a.nir", "a.net", "--bits", "2.5"], "--bits is 2.5"),
        (["convert", "a.nir", "a.net", "--dt", "0"], "--dt is 0"),
        (["convert", "a.nir", "a.net", "--dt", "0.01"], "choose a smaller --dt"),
        (["convert", "a.nir", "a.net", "--input", "a.nir"], "a.nir is no .npy file of numbers"),
        (["inspect", "own.net", "--scales", "channel"], "--scales is for other netx and NIR files"),
        (
            ["fit", "own.net", "--dt", "1"],
            "--dt is for other netx and NIR files, but own.net is a network of spk2loihi",
        ),
        (["fit", "--scales", "channel"], "--scales is for a NIR file, but none is given"),
        (["fit", "--exact"], "--exact is for a NIR file, but none is given"),
    ],
)
def test_refused(folder: Path, arguments: list[str], words: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    outcome = spk2loihi(*arguments)
    assert outcome.code == 2
    assert words in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_options_of_nir_are_refused_of_netx(folder: Path) -> None:
    numbers("convert", "a.nir", "a.net")
    for option, value in (("--scales", "channel"), ("--bits", "4"), ("--dt", "1"), ("--exact", None)):
        outcome = spk2loihi("inspect", "a.net", option, *([] if value is None else [value]))
        assert (outcome.code, outcome.err) == (
            2, f"Error: {option} is for NIR files, but a.net is a netx file of integers: leave it out\n",
        )  # fmt: skip


def test_an_interrupted_conversion_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: h5py.File, name: str, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.File, "__setitem__", broken)
    outcome = spk2loihi("convert", "a.nir", "a.net")
    monkeypatch.undo()
    assert outcome.code == 2 and "No space left" in outcome.err
    assert sorted(path.name for path in folder.iterdir()) == ["a.nir", "in.npy", "own.net"]
