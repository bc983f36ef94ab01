"""JSON files of a user: what no program can use is refused in one sentence, however it is spelt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spk2loihi.errors import UserError
from spk2loihi.files import exists
from spk2loihi.json_file import read_json


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1' + b"0" * 400 + b"}", "a number has 401 digits"),
        (b'{"a": 1' + b"0" * 6000 + b"}", "a number has 6001 digits"),
        (b'{"a": 1e400}', "the number 1e400 is too large"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": [-Infinity]}', "-Infinity is not a finite number"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "nested more than 16 deep"),
        (b'{"a": "\\ud800"}', "control characters"),
        (b'{"\\u001b[31m": 1}', "control characters"),
        (b'{"a": "' + b"x" * 2000 + b'"}', "a text has 2,000 characters"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b"", "not JSON"),
        (b" " * (1 << 21), "longer than 1,048,576 bytes"),
    ],
)
def test_refusals(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as refused:
        read_json(path, "price file", "mend it")
    assert str(refused.value).startswith(f"price file {path}") and "\n" not in str(refused.value)


def test_pipes_devices_and_folders(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError, match="is a folder, a pipe or a device"):
            read_json(path, "price file", "mend it")
    assert not any(exists(Path(name)) for name in ("n" * 300, "a\0b", "n/" * 3000))


def test_markup_is_plain_text(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"a": "[/x] <b> \u00b5", "b": [1, 2.5, true, null]}', encoding="utf-8")
    assert read_json(tmp_path / "a.json", "f", "r") == {"a": "[/x] <b> µ", "b": [1, 2.5, True, None]}
