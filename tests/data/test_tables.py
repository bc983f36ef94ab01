"""CSV, TSV and JSON lines: columns read, and tables refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.data.tables import read_table
from spk2loihi.errors import UserError
from support.data_files import write


def test_csv_with_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.CSV", '\ufefflabel,text\r\nyes,"a, ""b""\nc"\r\n\r\nno,plain\r\n')
    assert read_table(path, ["text", "label"]) == [(2, ('a, "b"\nc', "yes")), (5, ("plain", "no"))]


def test_tsv_takes_quotes_literally(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a\tyes\n"b"\tno\n')
    assert read_table(path, ["text", "label"]) == [(2, ('"a', "yes")), (3, ('"b"', "no"))]


def test_jsonl(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", '{"text": "a\\n\\"b\\"", "label": 1}\n\n{"label": true, "text": "ü", "id": null}\n'
    )
    assert read_table(path, ["text", "label"]) == [(1, ('a\n"b"', "1")), (3, ("ü", "true"))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "sentence,label\na,1\n", "has no column 'text', its columns are 'sentence', 'label': name the right"),
        ("a.csv", "text,text,label\na,b,1\n", "has 2 columns named 'text' where 1 is allowed"),
        ("a.csv", 'text,label\n"a\nb",1\na,b,1\n', "line 4 has 3 columns where 2 are expected"),
        ("a.csv", 'text,label\na,1\n"b,1\nc,0\n', "line 3: malformed CSV (unexpected end of data)"),
        ("a.csv", b"text,label\na,1\ncaf\xe9,0\n", "line 3: byte 0xe9 is not UTF-8"),
        ("a.csv", b"\xef\xbb\xbftext\n\xff", "line 2: byte 0xff is not UTF-8"),
        ("a.csv", "", "is empty"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "a"}\n',
            "line 2 has no column 'label', its columns are 'text'",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text"\n',
            "line 2: malformed JSON (Expecting ':' delimiter at column 8)",
        ),
        ("a.jsonl", "[1]\n", "line 1: found a JSON array"),
        ("a.jsonl", '{"text": "a", "label": 0.5}\n', "line 1: column 'label' holds a JSON fraction"),
        ("a.jsonl", '{"text": null, "label": 1}\n', "line 1: column 'text' holds a JSON null"),
        ("a.jsonl", '{"text": "\\ud83d", "label": 1}\n', "line 1: column 'text' holds half a surrogate pair"),
        ("a.xlsx", "x", "has the suffix '.xlsx', but tables end in .csv, .tsv, .jsonl, .ndjson"),
    ],
)
def test_unfit_tables(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        read_table(path, ["text", "label"])
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_long_lists_of_columns_are_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ",".join(f"c{i}" + "x" * 50 for i in range(30)) + "\n")
    with pytest.raises(UserError, match="and 10 more: ") as caught:
        read_table(path, ["text"])
    assert len(str(caught.value)) < 1200
