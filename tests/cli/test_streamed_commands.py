"""The commands on a student of the stock preset, from training to the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spk2loihi.training.checkpoint import load_checkpoint
from support.command_chain import numbers, refused
from support.tiny_task import TinyTask, spk2loihi

TRAIN = ("--max-tokens", 16, "--batch-size", 10, "--lr", "1e-3", "--epochs", 1)


@pytest.fixture(scope="module")
def folder(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With model.pt and model.net."""
    here = tmp_path_factory.mktemp("streamed")
    data = ("--train-file", tiny_task.train_file, "--dev-file", tiny_task.dev_file)
    done = spk2loihi(
        "train", *data, "--teacher", tiny_task.tuned, "--preset", "stock", *TRAIN, "-o", here / "model.pt"
    )  # fmt: skip
    assert done.code == 0, done.err
    assert spk2loihi("export", here / "model.pt", "-o", here / "model.net").code == 0
    return here


def test_both_arithmetics_score_as_the_student(folder: Path) -> None:
    trained = load_checkpoint(folder / "model.pt").training["score"]
    lava = numbers(folder, "simulate", folder / "model.net")
    chip = numbers(folder, "simulate", folder / "model.net", "--arithmetic", "chip")
    assert lava["schedule"] == "streamed" and lava["encoding"] == "graded" and lava["timesteps"] == 127
    assert lava["score"] == trained
    assert abs(chip["score"] - trained) < 0.1
    assert lava["latency_steps"] == 2 * (16 + 20) + 6


def test_counted_and_stepped_are_the_same(folder: Path) -> None:
    compared = numbers(folder, "verify", folder / "model.net", "--backend", "emulator", "--backend", "stepped")
    assert compared["mismatches"] == 0 and compared["samples"] == 8
    both = [numbers(folder, "simulate", folder / "model.net", "--samples", 12, "--backend", b) for b in BACKENDS]
    assert both[0]["synops"] == both[1]["synops"] and both[0]["messages"] == both[1]["messages"]


BACKENDS = ("emulator", "stepped")


def test_evidence_is_printed(folder: Path) -> None:
    for arguments in (("inspect", folder / "model.net"), ("fit", folder / "model.net", "--max-tokens", 8), ("doctor",)):
        said = " ".join(spk2loihi(*arguments).out.split())
        assert "Dense, Sparse, GradedVec, ProdNeuron" in said and "(nothing found): GradedReluVec" in said, said


def test_energy_counts_what_moves(folder: Path) -> None:
    page = folder / "energy.html"
    assert spk2loihi("energy", folder / "model.net", "-o", page).code == 0
    report = json.loads(page.with_suffix(".json").read_text())
    assert report["network"]["schedule"] == "streamed"
    assert report["sentence"] is None and report["convergence"] is None
    assert any(line.startswith("Streamed: ") for line in report["caveats"])
    simulated = numbers(folder, "simulate", folder / "model.net")
    assert report["per_sample"]["synops"] == pytest.approx(simulated["synops"]["per_sample"])


def test_other_ways_to_run_are_refused(folder: Path) -> None:
    net = folder / "model.net"
    refused(folder, "simulate", net, "--schedule", "windowed", words="preset runs streamed")
    refused(folder, "simulate", net, "--encoding", "rate", words="graded messages only")
    refused(folder, "simulate", net, "--timesteps", 9, words="as long as its sentences")
    refused(folder, "energy", net, "--text", "good", words="spike by spike")
    refused(
        folder, "export", folder / "model.pt", "--schedule", "pipelined", "-o", folder / "new.net", words="streamed"
    )
    refused(folder, "sweep", net, "-o", folder / "sweep", words="is streamed, but a sweep runs windowed and settling")
    refused(folder, "sweep", "--preset", "stock", "-o", folder / "sweep", words="choose spikingbert or neurocore")
    refused(
        folder, "train", "--student", folder / "model.pt", "--rate-penalty", 1, "-o", folder / "new.pt",
        words="counts spikes",
    )  # fmt: skip


def test_bundles_are_of_the_stock_preset_alone(folder: Path, model_file: Path, network_file: Path) -> None:
    refused(
        folder, "export", model_file, "-o", folder / "new.net", "--bundle", folder / "bundle",
        words="--bundle .* is for networks of the stock preset, but this one is of spikingbert",
    )  # fmt: skip
    refused(folder, "simulate", network_file, "--schedule", "streamed", words="another than the stock preset runs")
    refused(folder, "simulate", network_file, "--arithmetic", "chip", words="nothing is rounded")


def test_a_bundle_and_its_network_are_written(folder: Path) -> None:
    done = spk2loihi("export", folder / "model.pt", "-o", folder / "again.net", "--bundle", folder / "bundle")
    assert done.code == 0, done.err
    assert {path.name for path in (folder / "bundle").iterdir()} == {
        "graph.json", "run.py", "sentences.npz", "weights.npz"
    }  # fmt: skip
    assert (
        numbers(folder, "simulate", folder / "again.net")["score"]
        == numbers(folder, "simulate", folder / "model.net")["score"]
    )
    (folder / "bundle" / "notes.txt").write_text("mine")
    refused(
        folder, "export", folder / "model.pt", "-o", folder / "new.net", "--bundle", folder / "bundle", words="--force"
    )


def test_a_neurocore_student_becomes_a_stock_one(tiny_task: TinyTask, tmp_path: Path) -> None:
    data = ("--train-file", tiny_task.train_file, "--dev-file", tiny_task.dev_file, "--teacher", tiny_task.tuned)
    first, second = tmp_path / "neurocore.pt", tmp_path / "stock.pt"
    assert spk2loihi("train", *data, "--preset", "neurocore", "--timesteps", 8, *TRAIN, "-o", first).code == 0
    done = spk2loihi("train", *data, "--student", first, "--preset", "stock", *TRAIN, "-o", second)
    assert done.code == 0, done.err
    config = load_checkpoint(second).model.config
    assert (config.preset, config.timesteps) == ("stock", 127)
    assert load_checkpoint(second).training["score"] > 0.8
    refused(
        tmp_path, "train", *data, "--student", second, "--preset", "neurocore", "-o", tmp_path / "new.pt",
        words="only a neurocore student can become a stock one",
    )  # fmt: skip
