"""The commands on a student with leak and feedback, from training to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command_chain import numbers, refused
from support.tiny_task import TinyTask, spk2loihi

TRAIN = ("--timesteps", 8, "--max-tokens", 16, "--batch-size", 10, "--lr", "1e-3", "--epochs", 1)


@pytest.fixture(scope="module")
def folder(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With model.pt and model.net."""
    here = tmp_path_factory.mktemp("recurrent")
    done = spk2loihi(
        "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, *TRAIN, "--leak", 0.05, "--feedback", 0.5,
        "-o", here / "model.pt",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "layer.0.value: feedback of norm 0." in done.out and "layer.1.value: feedback of norm 0." in done.out
    assert spk2loihi("export", here / "model.pt", "-o", here / "model.net").code == 0
    return here


def test_runs_are_pipelined_and_as_long_as_the_file_says(folder: Path) -> None:
    ran = numbers(folder, "simulate", folder / "model.net", "--samples", 20)
    assert (ran["schedule"], ran["timesteps"], ran["latency_steps"]) == ("pipelined", 32, 14 + 32)
    assert ran["score"] > 0.7
    assert numbers(folder, "simulate", folder / "model.net", "--samples", 2, "--timesteps", 5)["timesteps"] == 5


def test_inspect_and_fit_know_decay_and_feedback(folder: Path) -> None:
    said = " ".join(spk2loihi("inspect", folder / "model.net").out.split())
    assert "pipelined for 32 steps, decay 205 / 4096" in said
    found = numbers(folder, "inspect", folder / "model.net")
    assert (
        found["decay"] == 205
        and "feedback" in next(r for r in found["layers"] if r["name"] == "layer.0.value")["weights"]
    )
    placed = numbers(folder, "fit", folder / "model.net")
    assert placed["fits"]


def test_energy_counts_the_pipelined_run(folder: Path) -> None:
    page = folder / "energy.html"
    assert spk2loihi("energy", folder / "model.net", "--samples", 20, "-o", page).code == 0
    report = json.loads(page.with_suffix(".json").read_text())
    assert report["network"]["schedule"] == "pipelined" and report["encodings"] is None and report["neurobench"] is None
    assert [run["schedule"] for run in report["sentence"]["runs"]] == ["pipelined"]
    assert report["convergence"]["weighted"] and any("weighted average" in line for line in report["verdict"])
    trained = json.loads((folder / "metrics.json").read_text())["feedback"]
    assert report["provenance"]["feedback"] == trained and [r["stage"] for r in trained][1:] == ["layer.1.value"]
    assert "Feedback, as the training left it" in page.read_text(encoding="utf-8")
    ran = numbers(folder, "simulate", folder / "model.net", "--samples", 20)
    assert report["per_sample"]["synops"] == pytest.approx(ran["synops"]["per_sample"])


def test_other_ways_to_run_are_refused(folder: Path) -> None:
    net, only = folder / "model.net", "with leak or feedback runs pipelined"
    for schedule in ("windowed", "settling"):
        refused(folder, "simulate", net, "--schedule", schedule, words=only)
        refused(folder, "export", folder / "model.pt", "--schedule", schedule, "-o", folder / "new.net", words=only)
        refused(folder, "energy", net, "--schedule", schedule, "-o", folder / "new.html", words=only)
    refused(folder, "verify", net, "--schedule", "windowed", words=only)
    refused(folder, "simulate", net, "--encoding", "graded", words="choose the --encoding rate")
    refused(folder, "simulate", net, "--stagger", 2, words="the pipelined schedule has none")
    refused(folder, "sweep", net, "-o", folder / "sweep", words="is pipelined, but a sweep runs windowed and settling")
    refused(folder, "train", "--gradient", "spide", "-o", folder / "new.pt", words="give a --feedback above 0")
    refused(folder, "train", "--leak", 0.1, "--preset", "stock", "-o", folder / "new.pt", words="stock preset")
    refused(folder, "train", "--leak", 1e-5, "-o", folder / "new.pt", words="12 bits hold 1 to 4095")
