"""Tasks: from options, to the record a network file carries and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.data import TaskSpec, task_spec
from spk2loihi.errors import UserError

# --- options


def test_no_options_mean_the_reviews() -> None:
    spec = task_spec()
    assert (spec.kind, spec.labels, spec.metric) == ("reviews", ["negative", "positive"], "accuracy")
    assert task_spec(task="Reviews") == spec


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "SST-2", "train_file": "a.csv"}, "`task` SST-2 and `train_file` a.csv both say where the data is"),
        ({"data_dir": "d", "dev_file": "a.csv"}, "`data_dir` d and `dev_file` a.csv both say where the data is"),
        ({"task": "SST-2"}, "`task` SST-2 has no data: give the folder with SST-2's files with `data_dir`"),
        ({"data_dir": "d"}, "`data_dir` d is only for a GLUE task: add `task`"),
        ({"task": "reviews", "data_dir": "d"}, "`data_dir` d is only for a GLUE task"),
        ({"text_column": "t"}, "`text_column` t names a column of a file, but no file is given"),
        ({"task": "RTE", "data_dir": "d", "label_column": "t"}, "`label_column` t names a column of a file"),
        ({"train_file": "a.csv", "text_column": "label"}, "The column 'label' is named for two roles at once"),
        ({"train_file": "a.csv", "dev_file": "./a.csv"}, "`train_file` and `dev_file` are the same file"),
        (
            {"task": "WNLI", "data_dir": "d"},
            "'WNLI' is not known: choose one of SST-2, CoLA, MRPC, STS-B, RTE, QNLI, QQP, MNLI, MNLI-mm",
        ),
        ({"dataset": "imdb", "task": "SST-2"}, "`task` SST-2 and `dataset` imdb both say where the data is"),
        ({"dataset": "imdb", "train_file": "a.csv"}, "`dataset` imdb and `train_file` a.csv both say where"),
        ({"task": "RTE", "data_dir": "d", "metric": "f1"}, "`metric` f1 is for data of your own"),
        ({"metric": "pearson"}, "`metric` pearson is for data of your own"),
        ({"train_file": "a.csv", "metric": "bleu"}, "metric 'bleu' is not known"),
        ({"dev_file": "a.csv", "metric": "f1", "labels": ["a", "b", "c"]}, "f1 is of two classes"),
        ({"dev_file": "a.csv", "metric": "pearson", "labels": ["a", "b"]}, "pearson is of a regression with one"),
        ({"dev_file": "a.csv", "labels": ["x", "x"]}, "contain one twice"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        task_spec(**options)
    assert message in str(caught.value)


def test_paths_are_stored_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = task_spec(train_file="a.csv", dev_file=Path("sub/../b.csv"))
    assert (spec.train_file, spec.dev_file) == (str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert task_spec(task="rte", data_dir="glue").data_dir == str(tmp_path / "glue")


# --- the record a network file carries


@pytest.mark.parametrize(
    "spec",
    [
        task_spec(),
        task_spec(task="cola", data_dir="/data"),
        task_spec(train_file="a.csv", text_pair_column="second", labels=["no", "yes"]),
        task_spec(task="STS-B", data_dir="/data"),
        task_spec(dev_file="a.csv", label_column="stars", metric="spearman"),
        task_spec(dataset="glue:sst2", text_column="sentence"),
    ],
)
def test_record_survives_json(spec: TaskSpec) -> None:
    assert TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "unknown entry 'colour'"),
        ({"kind": "web"}, "kind 'web' is not known"),
        ({"kind": []}, "'kind' has the unusable value []"),
        ({"metric": "bleu"}, "metric 'bleu' is not known: choose one of accuracy, f1, matthews, pearson, spearman"),
        ({"labels": ["0", 1]}, "'labels' has the unusable value"),
        ({"text_column": None}, "'text_column' has the unusable value None"),
        ({"labels": ["1", "0"]}, "has the labels ['1', '0'] instead of ['negative', 'positive']"),
        ({"name": "SST-3"}, "'SST-3' is not known"),
        ({"data_dir": None}, "has no data folder"),
        ({"train_file": "/a.csv"}, "A task of kind glue has no train_file, but it is /a.csv"),
    ],
)
def test_unfit_records_are_refused(change: dict[str, Any], message: str) -> None:
    record = task_spec(task="sst2", data_dir="/data").to_dict() | change
    with pytest.raises(UserError) as caught:
        TaskSpec.from_dict(record)
    assert message in str(caught.value)


def test_record_needs_its_kind() -> None:
    with pytest.raises(UserError, match="lacks the entry 'kind'"):
        TaskSpec.from_dict({"name": "reviews", "metric": "accuracy"})
    with pytest.raises(UserError, match="has no files"):
        TaskSpec.from_dict({"kind": "files", "name": "a", "metric": "accuracy"})
