"""A user's own files: labels, regressions, and files that do not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spk2loihi.data import Examples, load_held_out, load_train, task_spec
from spk2loihi.errors import UserError
from support.data_files import write


def test_missing_file_and_folder(tmp_path: Path) -> None:
    spec = task_spec(train_file=tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        load_train(spec)
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        load_held_out(spec)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv is a folder"):
        load_train(task_spec(train_file=tmp_path / "folder.csv"))


def test_labels_come_from_training_and_hold_for_the_dev_file(tmp_path: Path) -> None:
    train_file = write(tmp_path / "train.csv", "text,label\na,10\nb,9\nc,-1\n")
    dev_file = write(tmp_path / "dev.jsonl", '{"text": "d", "label": 10}\n{"text": "e", "label": "9"}\n')
    fresh = task_spec(train_file=train_file, dev_file=dev_file)
    assert fresh.labels == []
    spec, train = load_train(fresh)
    assert spec.labels == ["-1", "9", "10"]
    assert train == Examples(["a", "b", "c"], None, [2, 1, 0])
    assert load_held_out(spec) == load_held_out(fresh) == Examples(["d", "e"], None, [2, 1])


def test_words_as_labels_are_in_alphabetical_order_and_given_labels_are_kept(tmp_path: Path) -> None:
    train_file = write(tmp_path / "train.tsv", "q\tr\ty\none\ttwo\tyes\nthree\tfour\t7\n")
    spec = task_spec(train_file=train_file, text_column="q", text_pair_column="r", label_column="y")
    assert load_train(spec)[0].labels == ["7", "yes"]
    kept = replace(spec, labels=["yes", "maybe", "7"])
    held_out = load_held_out(kept)
    assert load_train(kept)[0] == kept
    assert (held_out.text_a, held_out.text_b, held_out.labels) in [
        (["one"], ["two"], [0]),
        (["three"], ["four"], [2]),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,stars\na,1.5\nb,-2e1\nc, 3 \n"),
        ("a.tsv", "text\tstars\na\t1.5\nb\t-20\nc\t3.0\n"),
        ("a.jsonl", '{"text": "a", "stars": 1.5}\n{"text": "b", "stars": -20}\n{"text": "c", "stars": "3"}\n'),
    ],
)
def test_regression_on_a_users_files(tmp_path: Path, name: str, content: str) -> None:
    files = {"train_file": write(tmp_path / name, content), "dev_file": write(tmp_path / "b.csv", "text,stars\nd,7\n")}
    spec, train = load_train(task_spec(**files, label_column="stars", metric="pearson"))
    assert (spec.labels, spec.regression, spec.metrics) == (["stars"], True, ("pearson", "spearman"))
    assert train == Examples(["a", "b", "c"], None, [1.5, -20.0, 3.0])
    assert load_held_out(spec).labels == [7.0]


@pytest.mark.parametrize("value", ["many", "nan", "inf", "", "1,5"])
def test_labels_of_a_regression_are_numbers(tmp_path: Path, value: str) -> None:
    path = write(tmp_path / "a.csv", f'text,label\na,1\nb,"{value}"\n')
    with pytest.raises(UserError, match=r"line 3: label .* is not a number, as a regression needs"):
        load_train(task_spec(train_file=path, metric="spearman"))


def test_fractions_are_only_for_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": 0.5, "label": 0.5}\n')
    with pytest.raises(UserError, match="column 'text' holds a JSON fraction"):
        load_train(task_spec(train_file=path, metric="pearson"))


def test_a_dev_file_alone_needs_the_labels_of_a_network(tmp_path: Path) -> None:
    dev_file = write(tmp_path / "dev.csv", "text,label\na,good\n")
    spec = task_spec(dev_file=dev_file, labels=["bad", "good"])
    assert spec.name == "dev"
    assert load_held_out(spec) == Examples(["a"], None, [1])
    with pytest.raises(UserError, match=r"order of the labels in .*dev\.csv is not known"):
        load_held_out(task_spec(dev_file=dev_file))
    with pytest.raises(UserError, match="nothing to train on, only `dev_file`"):
        load_train(spec)
    with pytest.raises(
        UserError, match="line 2: label 'good' in column 'label' is not one of the task's labels 'x', 'y'"
    ):
        load_held_out(replace(spec, labels=["x", "y"]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,1\nb,1\n", "has only the label '1' in column 'label' where at least 2 are needed"),
        ("a,1\nb,\n", "line 3: the label in column 'label' is empty"),
        ("a,1\n\t,0\n", "line 3: the sentence in column 'text' is empty"),
        ("", "holds no examples"),
        ("".join(f"a,{i / 7}\n" for i in range(300)), "has more than 256 different labels"),
    ],
)
def test_unfit_training_files(tmp_path: Path, rows: str, message: str) -> None:
    train_file = write(tmp_path / "train.csv", "text,label\n" + rows)
    dev_file = write(tmp_path / "dev.csv", "text,label\na,1\nb,0\n")
    for spec in (task_spec(train_file=train_file), task_spec(train_file=train_file, dev_file=dev_file)):
        with pytest.raises(UserError) as caught:
            load_train(spec)
        assert message in str(caught.value)
        with pytest.raises(UserError) as caught:
            load_held_out(spec)
        assert message in str(caught.value)
