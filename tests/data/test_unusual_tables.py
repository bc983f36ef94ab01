"""Tables that a spreadsheet or a mistake makes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spk2loihi.data.tables import read_table, read_text
from spk2loihi.errors import UserError


def test_a_long_cell_is_a_text_like_any_other(tmp_path: Path) -> None:
    text = "good " * 40_000
    for name, mark in (("a.csv", ","), ("a.tsv", "\t")):
        (tmp_path / name).write_text(f"text{mark}label\n{text}{mark}pos\n")
        assert read_table(tmp_path / name, ["text", "label"])[0].cells == (text, "pos")


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("a.csv", "text;label", "separated by semicolons, where commas are expected .*: save it with commas"),
        ("a.csv", "text\tlabel", "separated by tabs, where commas .*: rename it to .tsv, or save it with commas"),
        ("a.tsv", "text,label", "separated by commas, where tabs .*: rename it to .csv, or save it with tabs"),
        ("a.csv", "text|label", "separated by bars"),
    ],
)
def test_other_separators_are_named(name: str, header: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"{header}\n{header}\n")
    with pytest.raises(UserError, match=words):
        read_table(tmp_path / name, ["text", "label"])


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\na\0b,pos\n")
    with pytest.raises(UserError, match="line 2 holds a null byte"):
        read_table(tmp_path / "a.csv", ["text"])
    (tmp_path / "a.csv").write_bytes("text,label\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"is UTF-16: save the file in UTF-8"):
        read_table(tmp_path / "a.csv", ["text"])
    with (tmp_path / "sparse.csv").open("wb") as file:
        file.truncate(20 << 30)
    with pytest.raises(UserError, match="has 21,474,836,480 bytes, and at most"):
        read_table(tmp_path / "sparse.csv", ["text"])
    with pytest.raises(UserError, match="null byte"):
        read_text(tmp_path / "sparse.csv", limit=1 << 40)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson"])
def test_pipes_and_devices_are_not_read(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("pipe", "zero", "folder"):
        with pytest.raises(UserError, match="is a folder, a pipe or a device"):
            read_table(tmp_path / f"{name}{suffix}", ["text"])
