"""Wrong texts, data and numbers of a user: one sentence, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command_chain import SMALL, contents, refused
from support.tiny_task import TinyTask, spk2loihi, write_csv

# --- text and data


def test_text_that_cannot_be_run(place: Path) -> None:
    for text in ("", "   ", "\n\t"):
        refused(place, "simulate", "--text", text, words="is empty")
    refused(place, "simulate", "--text", "good", "--text", "", words="Text 2 of 2 is empty")
    refused(place, "simulate", "--text", "good " * 5000, words="has 5002 tokens, more than the limit of 16")
    refused(place, "simulate", "--text", "\u200b", words="empty|0 tokens")


def test_no_held_out_data(place: Path, tiny_task: TinyTask) -> None:
    (place / "empty.csv").write_text("")
    (place / "header.csv").write_text("text,label\n")
    train = ["train", "--train-file", tiny_task.train_file, "--teacher", tiny_task.tuned, *SMALL, "-o", "new.pt"]
    for command in (train, ["simulate"], ["energy"], ["verify", "--backend", "emulator", "--backend", "stepped"]):
        refused(place, *command, "--dev-file", "nowhere.csv", words=r"nowhere\.csv does not exist")
        refused(place, *command, "--dev-file", "empty.csv", words=r"empty\.csv is empty")
        refused(place, *command, "--dev-file", "header.csv", words=r"header\.csv holds no examples")


def test_remembered_data_may_be_gone(place: Path, tmp_path: Path, tiny_task: TinyTask) -> None:
    hidden = tiny_task.dev_file.with_suffix(".hidden")
    tiny_task.dev_file.rename(hidden)
    try:
        refused(place, "simulate", words=r"dev\.csv does not exist")
        assert spk2loihi("simulate", "--text", "a good film").code == 0
    finally:
        hidden.rename(tiny_task.dev_file)


def test_wrong_data_options(place: Path, tiny_task: TinyTask) -> None:
    files, teacher = tiny_task.data_options, ["--teacher", tiny_task.tuned]
    train = ["train", *teacher, *SMALL, "-o", "new.pt"]
    refused(
        place, *train, *files, "--label-column", "stars", words="no column 'stars', its columns are 'text', 'label'"
    )
    refused(place, *train, *files, "--task", "SST-2", words="only one of them")
    refused(place, *train, "--task", "nope", words="'nope' is not known: choose one of SST-2")
    refused(place, *train, "--task", "SST-2", words="--data-dir")
    refused(place, *train, "--task", "SST-2", "--data-dir", "nowhere", words=r"nowhere.*missing|missing.*nowhere")
    refused(place, *train, "--train-file", "nowhere.csv", words=r"nowhere\.csv does not exist")
    refused(place, "simulate", "--text-column", "text", words="no file is given")
    write_csv(place / "other.csv", [("good", "5"), ("bad", "1")])
    refused(
        place, "simulate", "--dev-file", "other.csv", words="label '5' .* not one of the task's labels 'neg', 'pos'"
    )


# --- numbers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--timesteps", "0"], "timesteps is 0"),
        (["--timesteps", "200"], "timesteps is 200"),
        (["--bits", "1.5"], "bits is 1.5"),
        (["--preset", "nope"], "preset 'nope' is not known"),
        (["--layers", "7"], "layer"),
        (["--layers", "x"], "--layers 'x'"),
        (["--hidden", "7"], "hidden is 7"),
        (["--max-tokens", "1"], "1 tokens"),
        (["--max-tokens", "100"], "--max-tokens is 100"),
    ],
)
@pytest.mark.parametrize("teacher", ["teacher", "tuned"])
def test_wrong_training_options(teacher: str, options: list, words: str, place: Path, tiny_task: TinyTask) -> None:
    """Refused with nothing written, also where the teacher would be fine-tuned first."""
    arguments = ["train", *tiny_task.data_options, "--teacher", getattr(tiny_task, teacher), *SMALL, "-o", "new.pt"]
    refused(place, *arguments, *options, words=words)


@pytest.mark.parametrize("options", [["--lr", "nan"], ["--lr", "-1"], ["--seed", "-1"], ["--epochs", "0"]])
def test_senseless_numbers(options: list, place: Path, tiny_task: TinyTask) -> None:
    """Refused by the option's own range (click's message) or by ours."""
    before = contents(place)
    arguments = ["train", *tiny_task.data_options, "--teacher", tiny_task.tuned, *SMALL, "-o", "new.pt"]
    outcome = spk2loihi(*arguments, *options)
    assert outcome.code == 2
    assert "Error: " in outcome.err
    assert contents(place) == before


def test_wrong_steps(place: Path) -> None:
    refused(place, "simulate", "--timesteps", "0", words="timesteps is 0")
    refused(place, "simulate", "--timesteps", "9", words="windows of 8 steps")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "0", words="at least 1 step")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "-3", words="at least 1 step")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "10000000", words=r"24 bits")
    refused(
        place,
        "simulate",
        "--schedule",
        "pipelined",
        "--encoding",
        "graded",
        words="windowed and streamed schedules only",
    )
    refused(
        place,
        "simulate",
        "--schedule",
        "settling",
        "--encoding",
        "graded",
        words="windowed and streamed schedules only",
    )
    refused(place, "simulate", "--schedule", "settling", "--timesteps", "3", words="not silent after 3 steps")
    refused(place, "simulate", "--schedule", "settling", "--stagger", "9", words="stagger is 9, .* 0 to T = 8")
    refused(place, "simulate", "--stagger", "1", words="the windowed schedule has none")
    refused(place, "export", "--schedule", "settling", "--stagger", "-1", "-o", "new.net", words="stagger is -1")


# --- backends and encodings


def test_export_refuses_graded_spikes_in_a_pipeline(place: Path) -> None:
    """No backend could run the file."""
    refused(
        place,
        "export",
        "--schedule",
        "pipelined",
        "--encoding",
        "graded",
        "-o",
        "new.net",
        words="windowed and streamed schedules",
    )


def test_verify_needs_two_backends(place: Path) -> None:
    refused(place, "verify", "--backend", "emulator", words="2 backends, but 1")


def test_loihi2_without_the_extension(place: Path) -> None:
    """On a machine with a board this passes an empty file list instead."""
    try:
        from lava.utils.loihi import is_installed
    except ImportError:
        refused(place, "simulate", "--backend", "loihi2", words="Lava|lava|Python 3.10")
        return
    if is_installed():
        pytest.skip("lava-loihi is installed")
    refused(place, "simulate", "--backend", "loihi2", words="lava-loihi")


# --- coefficients


def test_coefficient_files(place: Path) -> None:
    refused(place, "energy", "--coefficients", "nowhere.json", words=r"nowhere\.json does not exist")
    (place / "mine.json").write_text("{")
    refused(place, "energy", "--coefficients", "mine.json", words="is not JSON")
    table = {"synop": {"value": 12.5, "unit": "pJ", "source": "measured"}}
    board = {"name": "mine", "kind": "chip", "scope": "a board", "coefficients": table}
    (place / "mine.json").write_text(json.dumps(board))
    refused(
        place, "energy", "--coefficients", "mine.json", words=r"memory in the coefficient file mine\.json is missing"
    )
    (place / "mine.json").write_text(json.dumps({**board, "memory": "included"}))
    assert spk2loihi("energy", "--coefficients", "mine.json", "--samples", "2").code == 0
    values = json.loads((place / "energy.json").read_text())["coefficients"]["mine"]["values"]
    assert [(v["value"], v["unit"], v["source"], v["scope"]) for v in values] == [(12.5, "pJ", "measured", "a board")]
