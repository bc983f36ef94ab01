"""Any netx or NIR file: an answer in place of a sentence, and the SynOps of `run`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.energy.pilotnet_bound import pilotnet_file
from spk2loihi.errors import UserError
from support.command_chain import refused
from support.netx_files import FLATTEN, binary, conv, dense, inputs, neuron, sdnn, write_netx
from support.tiny_task import spk2loihi

STEPS, SAMPLES = 12, 3


@pytest.fixture
def network(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write_netx(
        tmp_path / "chain.net",
        inputs(6, 6, 2),
        conv(rng.integers(-60, 90, (4, 2, 3, 3)), (4, 4, 4), neuron=neuron(threshold=30)),
        FLATTEN,
        dense(rng.integers(-60, 90, (5, 64)), neuron=neuron(threshold=60)),
    )


@pytest.fixture
def spikes() -> np.ndarray:
    return binary(np.random.default_rng(1), SAMPLES, 6, 6, 2, STEPS)


def test_synops_are_those_of_a_run(network: Path, spikes: np.ndarray) -> None:
    run = s2l.run(network, spikes)
    data = s2l.energy(network, inputs=spikes).to_dict()
    assert run.synops is not None
    assert [layer["synops"] for layer in data["layers"]] == [sum(run.synops[n]) for n in ("1", "3")]
    assert data["totals"]["synops"] > 0
    assert (data["samples"], data["network"]["unit"]) == (SAMPLES, "sample")
    assert (data["accuracy"], data["sentence"], data["encodings"], data["per_sample"]["teacher"]) == (None,) * 4
    assert data["network"]["weights"] == 4 * 3 * 3 * 2 + 5 * 64
    assert data["per_sample"]["dense"] == 16 * 72 + 320
    assert data["fit"]["fits"] and data["time"]["busiest"]["stage"].startswith("layer ")


def test_a_sample_with_resets_holds_several_answers(network: Path, spikes: np.ndarray) -> None:
    data = s2l.energy(network, inputs=spikes, reset_interval=4).to_dict()
    assert (data["samples"], data["network"]["unit"]) == (SAMPLES * 3, "answer")
    once = s2l.energy(network, inputs=spikes, frame_steps=STEPS, reset_interval=4).to_dict()
    assert once["per_sample"]["synops"] == pytest.approx(3 * data["per_sample"]["synops"])
    assert once["per_sample"]["dense"] == data["per_sample"]["dense"]
    assert once["per_sample"]["baselines"] == data["per_sample"]["baselines"]


def test_the_page_of_a_file_speaks_of_samples(network: Path, spikes: np.ndarray, tmp_path: Path) -> None:
    report = s2l.energy(network, inputs=spikes)
    report.save(tmp_path / "energy.html")
    page = (tmp_path / "energy.html").read_text(encoding="utf-8")
    assert "Energy per sample" in page
    assert "sentence" not in " ".join(report.verdict)
    with pytest.raises(UserError, match=r"chain\.net"):  # never over its own input
        report.save(network, force=True)


def test_what_belongs_to_the_other_kind_of_network_is_refused(network: Path, spikes: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"chain\.net is a netx file, which says nothing of its input: give `inputs`"):
        s2l.energy(network)
    with pytest.raises(UserError, match=r"`text` is for networks of spk2loihi export"):
        s2l.energy(network, inputs=spikes, text="a film")
    with pytest.raises(UserError, match=r"`dev_file` is for networks of spk2loihi export"):
        s2l.energy(network, inputs=spikes, dev_file="dev.csv")


def test_the_command_takes_a_file_of_sigma_delta_neurons(tmp_path: Path) -> None:
    weight = np.random.default_rng(2).integers(-60, 90, (4, 6))
    network = write_netx(tmp_path / "sdnn.net", inputs(6) | {"neuron": sdnn(3)}, dense(weight, neuron=sdnn(5)))
    np.save(tmp_path / "x.npy", np.random.default_rng(3).integers(0, 50, (2, 6, 8)))
    page = tmp_path / "report.html"
    outcome = spk2loihi("energy", network, "--input", tmp_path / "x.npy", "-o", page)
    assert outcome.code == 0, outcome
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["network"]["encoding"] == "graded"
    assert (data["network"]["unit"], data["samples"]) == ("answer", 2 * 8)  # every step is a frame
    assert data["provenance"]["input"].endswith("x.npy")
    assert "Does it fit? yes" in outcome.out
    refused(tmp_path, "energy", network, "-o", tmp_path / "other.html", words="says nothing of its input: give --input")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="lava-dl needs Python 3.10")
def test_pilotnet_costs_what_its_price_was_derived_from() -> None:
    """Two frames: the network fills in the first."""
    zeros = np.zeros((200, 66, 3, 32), np.int8)
    data = s2l.energy(pilotnet_file(), inputs=zeros, reset_interval=16, reset_offset=3).to_dict()
    assert data["totals"]["synops"] == 72_076_017
    assert data["per_sample"]["snn"]["loihi2-pilotnet-bound"]["total_nJ"] == pytest.approx(30.1 * 72_076_017 / 2 / 1e3)
