"""Records that a sweep keeps: a damaged one is made again, or refused in a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.sweep.axes import ways_of
from spk2loihi.sweep.measure_network import measure
from support.tiny_sweep import points_of, sweep
from support.tiny_task import Outcome, TinyTask

DEEP = "[" * 100_000 + "]" * 100_000


def damaged(record: dict[str, Any]) -> dict[str, str]:
    """Contents of a file by the kind of damage."""
    text = json.dumps(record)
    return {
        "cut": text[: len(text) // 2],
        "empty": "",
        "a list": "[]",
        "a number": "7",
        "deep": DEEP,
        "deep within": text[:-1] + f', "more": {DEEP}}}',
        "no text": "\udcff",
        "not finite": text.replace("{", '{"more": Infinity, ', 1),
        "a key twice": text.replace("{", '{"score": 0.5, ', 1),
        "another key": json.dumps({**record, "key": {}}),
        "without stages": json.dumps({name: value for name, value in record.items() if name != "stages"}),
        "stages of nothing": json.dumps({**record, "stages": [{}]}),
        "a score in words": json.dumps({**record, "score": "good"}),
        "another score": json.dumps({**record, "score": 0.123}),
    }


KINDS = tuple(damaged({"key": {"encoding": "rate"}, "stages": [], "score": 1}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_is_made_again(kind: str, swept: tuple[Path, Outcome], tmp_path: Path) -> None:
    network, file = swept[0] / "sweep" / "T2-8bit-penalty0" / "model.net", tmp_path / "rate.json"
    ways = ways_of(["rate"], ["windowed"])
    shutil.copy(network.with_name("rate.json"), file)
    good = json.loads(file.read_text())
    file.write_text(damaged(good)[kind], errors="surrogateescape")
    (found,), _ = measure(network, ways, None, None, tmp_path)
    again = json.loads(file.read_text())
    # another score means that it was measured, not read
    assert [{**each, "wall_s": 0, "digest": 0, "file": 0} for each in (found, again)] == [
        {**good, "wall_s": 0, "digest": 0, "file": 0}
    ] * 2


@pytest.mark.parametrize("kind", ["cut", "a list", "deep", "deep within", "no text"])
@pytest.mark.parametrize("name", ["T2-8bit-penalty0/rate.json", "teacher.json"])
def test_a_file_that_is_no_record_any_more_is_refused(kind: str, name: str, place: Path, tiny_task: TinyTask) -> None:
    file = place / name
    damage = damaged(json.loads(file.read_text()))[kind]
    file.write_text(damage, errors="surrogateescape")
    outcome = sweep(tiny_task, place)
    assert outcome.code == 2, outcome
    assert len(outcome.err.splitlines()) == 1 and str(file) in outcome.err, outcome.err
    assert file.read_text(errors="surrogateescape") == damage


def test_a_record_without_numbers_is_made_again_by_a_sweep(place: Path, tiny_task: TinyTask) -> None:
    file, before = place / "T2-8bit-penalty0" / "rate.json", points_of(place)
    file.write_text(damaged(json.loads(file.read_text()))["stages of nothing"])
    outcome = sweep(tiny_task, place)
    assert outcome.code == 0, outcome.err
    assert [{**p, "network": 0} for p in points_of(place)] == [{**p, "network": 0} for p in before]
