"""GLUE: the official files, labels and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.data import Examples, load_held_out, load_train, task_spec
from spk2loihi.errors import UserError
from support.data_files import write


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
