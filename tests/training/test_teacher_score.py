"""A teacher that has not learned the task is an error, one that knows a little is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import BertConfig, BertModel

import spk2loihi as s2l
from spk2loihi.data import TaskSpec, load_held_out, task_spec
from spk2loihi.training.fine_tune import check_given
from spk2loihi.training.teacher import load_teacher
from spk2loihi.training.teacher_score import check_teacher_score
from support.edited_teachers import LABELS, edited, swapped
from support.tiny_task import TinyTask


def spec_of(metric: str, labels: list[str]) -> TaskSpec:
    return TaskSpec(kind="files", name="t", train_file="/t.csv", labels=labels, metric=metric)


def judged(metric: str, predicted: list[float], true: list[float], labels: list[str], given: bool = True) -> str | None:
    from spk2loihi.data import score

    a, b = np.array(predicted), np.array(true)
    try:
        check_teacher_score(spec_of(metric, labels), {metric: score(metric, a, b)}, b, lambda: a, "X", given)
    except s2l.UserError as error:
        return str(error)
    return None


TRUE = [0, 1, 1, 1] * 25


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews"])
@pytest.mark.parametrize("given", [True, False])
def test_a_teacher_that_says_nothing_is_refused(metric: str, given: bool) -> None:
    always = judged(metric, [1] * 100, TRUE, LABELS, given)
    assert always is not None and "answering 'pos' to every sentence" in always
    assert ("fine-tuned on this task" if given else "`teacher_epochs`") in always
    assert judged(metric, list(np.random.default_rng(0).permutation(TRUE)), TRUE, LABELS, given) is not None
    assert judged(metric, [0] * 100, TRUE, LABELS, given) is not None
    assert judged(metric, TRUE, TRUE, LABELS, given) is None
    assert judged(metric, [*TRUE[:80], *[1] * 20], TRUE, LABELS, given) is None


def test_few_sentences_are_judged_with_their_error() -> None:
    for n in range(2, 12):
        true = [i % 2 for i in range(n)]
        assert judged("accuracy", true, true, LABELS) is None
        assert judged("accuracy", [0] * n, true, LABELS) is not None
    assert judged("accuracy", [0, 0, 0], [0, 0, 0], LABELS) is None  # one class tells nothing
    assert judged("accuracy", [0, 1, 0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 1, 0, 1], LABELS) is None


def test_a_teacher_that_knows_a_rare_class_is_kept() -> None:
    true, predicted = np.zeros(1000, int), np.zeros(1000, int)
    true[:50] = 1
    predicted[:25] = predicted[100:130] = 1  # below the majority's 95 %, and far from nothing
    assert judged("accuracy", list(predicted), list(true), LABELS) is None


def test_three_labels_in_another_order_are_noticed() -> None:
    true = [0, 1, 2] * 40
    for order in ([1, 0, 2], [2, 0, 1]):
        message = judged("accuracy", [order[i] for i in true], true, ["a", "b", "c"])
        assert message is not None and "if its outputs stand for" in message


def test_regressions() -> None:
    true = list(np.random.default_rng(0).random(50))
    assert judged("pearson", [0.5] * 50, true, ["score"]) is not None
    assert judged("pearson", [-x for x in true], true, ["score"]) is not None
    assert judged("spearman", [float("nan")] * 50, true, ["score"]) is not None
    assert judged("pearson", true, true, ["score"]) is None


def test_a_teacher_that_has_not_learned_the_task_is_not_distilled(tiny_task: TinyTask, tmp_path: Path) -> None:
    kept = tmp_path / "teacher"
    kept.mkdir()
    (kept / "note").write_text("of an earlier run")
    report: list[str] = []
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    encoder = tmp_path / "bert"  # one that knows nothing of these words
    BertModel(BertConfig.from_pretrained(tiny_task.teacher)).save_pretrained(encoder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_task.teacher / name, encoder)
    with pytest.raises(s2l.UserError, match=r"`teacher_epochs`.*`teacher_learning_rate`.*fine-tuned `teacher`"):
        s2l.train(
            out=tmp_path / "model.pt", teacher=str(encoder), max_tokens=16, teacher_epochs=1, batch_size=50,
            teacher_learning_rate=1e-8, report=report.append, force=True, **files,
        )  # fmt: skip
    assert not any(line.startswith("student") for line in report)
    assert {path.name for path in tmp_path.iterdir()} == {"teacher", "bert"}
    assert (kept / "note").is_file()


def test_a_given_teacher_is_checked_before_a_sweep(tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", swapped)), LABELS)
    spec = task_spec(train_file=tiny_task.train_file, dev_file=tiny_task.dev_file, labels=LABELS)
    with pytest.raises(s2l.UserError, match="outputs stand for"):
        check_given(teacher, spec, load_held_out(spec), 16)
