"""Places to write to: refused before the work, made where they are missing, and never an input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.command_chain import SMALL, refused
from support.tiny_task import TinyTask, spk2loihi


@pytest.mark.parametrize("output", ["model.net/new", "folder", "x" * 300, "/proc/spk2loihi/new"])
@pytest.mark.parametrize("command", ["train", "export", "energy"])
def test_places_that_cannot_be_written(command: str, output: str, place: Path, tiny_task: TinyTask) -> None:
    (place / "folder").mkdir()
    train = [*tiny_task.data_options, "--teacher", tiny_task.teacher, *SMALL] if command == "train" else []
    line = refused(place, command, *train, "-o", output, words="folder|cannot be written")
    assert output in line


def test_special_files_are_not_replaced(place: Path) -> None:
    """-o /dev/null, run as root, would put a regular file in its place."""
    os.mkfifo(place / "pipe")
    refused(place, "export", "-o", "pipe", words="pipe")
    assert (place / "pipe").is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(place: Path) -> None:
    (place / "closed").mkdir(mode=0o555)
    refused(place, "export", "-o", "closed/new.net", words="cannot be written")


def test_json_place_is_checked_before_the_work(place: Path) -> None:
    refused(place, "export", "-o", "new.net", "--json", "model.pt/numbers.json", words="cannot be written")
    refused(place, "simulate", "--json", "model.net/numbers.json", words="cannot be written")


def test_energy_page_and_its_json_are_two_files(place: Path) -> None:
    """-o report.json would have the page overwrite its own numbers."""
    outcome = spk2loihi("energy", "-o", "report.json", "--samples", "2")
    if outcome.code == 0:
        json.loads((place / "report.json").read_text(encoding="utf-8"))
    else:
        assert outcome.code == 2
        assert not (place / "report.json").exists()


def test_an_input_is_never_the_output(place: Path) -> None:
    refused(place, "export", "model.pt", "-o", "model.pt", words=r"model\.pt")
    refused(place, "energy", "model.net", "-o", "model.net", "--samples", "2", words=r"model\.net")


def test_missing_folders_are_made(place: Path) -> None:
    assert spk2loihi("export", "-o", "new/folder/model.net", "--json", "other/numbers.json").code == 0
    assert (place / "new" / "folder" / "model.net").is_file()
    assert (place / "other" / "numbers.json").is_file()
