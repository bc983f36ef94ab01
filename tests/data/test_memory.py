"""Data in memory and in Parquet: the same examples as from a CSV file, and the same sentences about what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas
import pyarrow
import pytest
from pyarrow import parquet

import spk2loihi as s2l
from spk2loihi.data import TaskSpec, held_out_task, load_held_out, load_train, task_spec
from support.tiny_task import TinyTask, sentences, write_csv

ROWS = sentences(30, 1)
DEV = sentences(12, 2)


def forms(rows: list[tuple[str, str]]) -> dict[str, Any]:
    """The same rows in every form that is taken."""
    dicts = [{"text": text, "label": label, "more": None} for text, label in rows]
    classes = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    return {
        "tuples": rows,
        "lists": [list(row) for row in rows],
        "dicts": dicts,
        "frame": pandas.DataFrame(rows, columns=["text", "label"]),
        "dataset": datasets.Dataset.from_list([{"text": t, "label": label} for t, label in rows]),
        "classes": datasets.Dataset.from_dict(
            {"text": [t for t, _ in rows], "label": [int(label == "pos") for _, label in rows]}, features=classes
        ),
    }


@pytest.mark.parametrize("form", list(forms(ROWS)))
def test_every_form_is_the_csv_file(form: str, tmp_path: Path) -> None:
    of_files = task_spec(
        train_file=write_csv(tmp_path / "train.csv", ROWS), dev_file=write_csv(tmp_path / "dev.csv", DEV)
    )
    spec = task_spec(train=forms(ROWS)[form], dev=forms(DEV)[form])
    (known, train), (expected, wanted) = load_train(spec), load_train(of_files)
    assert (known.labels, train) == (expected.labels, wanted)
    assert load_held_out(known) == load_held_out(expected)
    assert load_held_out(spec) == load_held_out(of_files)


def test_without_held_out_data_a_tenth_is_held_out_as_of_a_file(tmp_path: Path) -> None:
    of_file, spec = task_spec(train_file=write_csv(tmp_path / "train.csv", ROWS)), task_spec(train=ROWS)
    assert load_train(spec)[1] == load_train(of_file)[1]
    assert load_held_out(spec) == load_held_out(of_file)


def test_pairs_values_labels_and_tags() -> None:
    pairs = task_spec(train=[("a", "b", "x"), ("c", "d", "y")], dev=[("a", "d", "y")])
    assert load_held_out(load_train(pairs)[0]).text_b == ["d"]
    values = task_spec(train=[("a", 1.5), ("b", np.float32(2.0))], dev=[("c", 3)], metric="pearson")
    assert load_train(values)[1].labels == [1.5, 2.0]
    several = task_spec(train=[("a", ["x", "y"]), ("b", [])], dev=[("c", ["y"])], metric="micro_f1")
    assert load_train(several)[1].labels == [(1, 1), (0, 0)]
    words = [{"text": ["Ann", "ran"], "label": ["B-PER", "O"]}]
    tags = task_spec(train=words, dev=words, metric="entity_f1")
    assert load_train(tags)[0].labels == ["O", "B-PER"]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("train.csv", "`train` is a str, but data in memory is a datasets.Dataset"),
        ([("a",)], r"train line 1 is 1 values, but a row is a dict, or a tuple of 2 \(text, label\)"),
        ([("a", "x"), 7], "train line 2 is a int"),
        ([{"text": "a"}], "train line 1 has no column 'label', its columns are 'text'"),
        ([("a", "x"), (None, "y")], "train line 2: column 'text' holds a JSON null"),
        ([("a", "x"), ("", "y")], "train line 2: the sentence in column 'text' is empty"),
        ([("a", "x"), ("b", "x")], "train has only the label 'x'"),
        ([], "train holds no examples"),
    ],
)
def test_wrong_data_is_one_sentence(train: Any, words: str) -> None:
    with pytest.raises(s2l.UserError, match=words):
        load_train(task_spec(train=train, dev=DEV))


def test_one_place_only_and_data_that_is_gone() -> None:
    with pytest.raises(s2l.UserError, match=r"`train_file` a.csv and data in memory both say"):
        task_spec(train=ROWS, train_file="a.csv")
    gone = TaskSpec.from_dict({**task_spec(train=ROWS).to_dict(), "name": "memory-0"})
    with pytest.raises(s2l.UserError, match="memory of another process, which is gone: name sentences as `dev_file`"):
        load_held_out(gone)
    known = load_train(task_spec(train=ROWS))[0]
    assert load_held_out(held_out_task(known.to_dict(), {"dev": DEV})).text_a == [text for text, _ in DEV]
    with pytest.raises(s2l.UserError, match="cannot see data in memory"):
        s2l.sweep(train=ROWS)


def test_parquet_is_the_csv_file(tmp_path: Path) -> None:
    frame = pandas.DataFrame(ROWS, columns=["text", "label"])
    frame.assign(unused=1).to_parquet(tmp_path / "train.parquet")
    of_csv = task_spec(train_file=write_csv(tmp_path / "train.csv", ROWS))
    of_parquet = task_spec(train_file=tmp_path / "train.parquet")
    assert load_train(of_parquet)[1] == load_train(of_csv)[1]


def test_wrong_parquet_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "train.parquet"
    spec = task_spec(train_file=file)

    def refuses(words: str) -> None:
        with pytest.raises(s2l.UserError, match=words):
            load_train(spec)

    refuses("does not exist")
    for content in (b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1"):
        file.write_bytes(content)
        refuses("is no Parquet that can be read")
    parquet.write_table(pyarrow.table({"text": ["a"], "stars": ["x"]}), file)
    refuses("has no column 'label', its columns are 'text', 'stars'")
    parquet.write_table(pyarrow.table({"text": ["a", None], "label": ["x", "y"]}), file)
    refuses("line 2: column 'text' holds a JSON null")
    monkeypatch.setattr("spk2loihi.data.parquet._MOST", 10)
    refuses("at most 10 are read")


def test_training_and_runs_take_data_in_memory(tiny_task: TinyTask, tmp_path: Path) -> None:
    frame = pandas.read_csv(tiny_task.train_file)
    held_out = list(pandas.read_csv(tiny_task.dev_file).itertuples(index=False, name=None))
    options: dict[str, Any] = {"teacher": tiny_task.tuned, "timesteps": 8, "max_tokens": 16, "steps": 2}
    result = s2l.train(train=frame, dev=held_out, out=None, **options)
    of_files = s2l.train(train_file=tiny_task.train_file, dev_file=tiny_task.dev_file, out=None, **options)
    assert result.score == of_files.score
    net = s2l.export(result, tmp_path / "model.net")
    assert s2l.simulate(net).scores == s2l.simulate(net, dev=held_out).scores
    assert s2l.verify(net, ["emulator", "stepped"], samples=2, dev=held_out).mismatches == 0
