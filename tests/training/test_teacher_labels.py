"""Labels of a teacher, in whatever order and by whatever names: mapped, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

import spk2loihi as s2l
from spk2loihi.training.teacher import load_teacher, teacher_in_memory
from spk2loihi.training.teacher_labels import output_order
from support.command_chain import SMALL, refused
from support.edited_teachers import LABELS, accuracy, edited, swapped
from support.tiny_task import TinyTask


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (["neg", "pos"], LABELS, [0, 1]),
        (["pos", "neg"], LABELS, [1, 0]),
        (["POS", " Neg "], LABELS, [1, 0]),
        (["Positive", "Negative"], LABELS, [1, 0]),
        (["LABEL_0", "LABEL_1"], LABELS, [0, 1]),
        (["LABEL_1", "LABEL_0"], LABELS, [1, 0]),
        (["0", "1"], LABELS, [0, 1]),
        (["1", "0"], LABELS, [1, 0]),
        (["0", "1"], ["acceptable", "unacceptable"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["acceptable", "unacceptable"], [0, 1]),
        (["POSITIVE", "NEGATIVE"], ["0", "1"], [1, 0]),
        (["2", "1"], ["1", "2"], [1, 0]),
        (["1.0", "0.0"], ["0", "1"], [1, 0]),
        (["contradiction", "entailment", "neutral"], ["entailment", "neutral", "contradiction"], [1, 2, 0]),
        (["Not Entailment", "ENTAILMENT"], ["entailment", "not_entailment"], [1, 0]),
        (["paraphrase", "not_paraphrase"], ["not_equivalent", "equivalent"], [1, 0]),
        (["ungrammatical", "grammatical"], ["unacceptable", "acceptable"], [0, 1]),
        (["a", "A"], ["A", "a"], [1, 0]),
        (["+", "-"], ["-", "+"], [1, 0]),
    ],
)
def test_outputs_are_found_by_name(names: list[str], labels: list[str], order: list[int]) -> None:
    assert output_order({"id2label": {str(i): name for i, name in enumerate(names)}}, labels, "X") == order


@pytest.mark.parametrize(
    ("config", "labels", "words"),
    [
        ({"id2label": {"0": "joy", "1": "anger"}}, LABELS, "names its labels joy, anger, but the task's are neg, pos"),
        ({"id2label": {"0": "neg", "1": "neg"}}, LABELS, "names its labels neg, neg"),
        ({"id2label": {"0": "neg", "1": "anger"}}, LABELS, "id2label"),
        ({"id2label": {"1": "neg", "2": "pos"}}, LABELS, "outputs 0, 1"),
        ({"id2label": ["neg", "pos"]}, LABELS, "outputs 0, 1"),
        ({"id2label": {"0": "neg", "1": "pos"}, "label2id": {"neg": 1, "pos": 0}}, LABELS, "label2id"),
        ({"id2label": {"0": "neg", "1": "pos"}, "num_labels": 3}, LABELS, "num_labels 3"),
        ({"num_labels": 3}, LABELS, r"has 3 labels, but the task has 2 \(neg, pos\)"),
        ({"id2label": {"0": "1", "1": "2"}}, ["0", "1"], "names its labels 1, 2"),
        ({"problem_type": "multi_label_classification"}, LABELS, "multi_label_classification"),
        ({"problem_type": "regression"}, LABELS, "to choose one of 2 labels"),
        ({"problem_type": "multi_label_classification", "num_labels": 1}, ["score"], "a regression"),
    ],
)
def test_outputs_that_have_no_sure_label_are_refused(config: dict, labels: list[str], words: str) -> None:
    with pytest.raises(s2l.UserError, match=words):
        output_order(config, labels, "X")


def test_names_of_label2id_alone_count() -> None:
    assert output_order({"label2id": {"pos": 0, "neg": 1}}, LABELS, "X") == [1, 0]


def test_a_head_in_another_order_is_permuted(tiny_task: TinyTask, tmp_path: Path) -> None:
    straight, _ = load_teacher(str(tiny_task.tuned), LABELS)
    names = {"id2label": {"0": "POS", "1": "NEG"}, "label2id": {"POS": 0, "NEG": 1}}
    teacher, fine_tuned = load_teacher(str(edited(tiny_task, tmp_path / "t", swapped, **names)), LABELS)
    assert fine_tuned
    assert torch.equal(teacher.model.classifier.weight, straight.model.classifier.weight)
    assert accuracy(teacher, tiny_task) == accuracy(straight, tiny_task) > 0.9
    assert teacher.model.config.id2label == {0: "neg", 1: "pos"}
    assert teacher.model.config.label2id == {"neg": 0, "pos": 1}


def test_a_head_in_memory_is_permuted_in_the_copy(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(tiny_task, tmp_path / "t", swapped, id2label={"0": "pos", "1": "neg"})
    model, tokenizer = BertForSequenceClassification.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config = model.config.to_dict()
    assert accuracy(teacher_in_memory(model.half(), tokenizer, LABELS), tiny_task) > 0.9
    model.float()
    assert all(torch.allclose(before[name], tensor, atol=1e-3) for name, tensor in model.state_dict().items())
    assert {**model.config.to_dict(), "dtype": config["dtype"]} == config
    model.config.id2label = {0: "joy", 1: "anger"}
    with pytest.raises(s2l.UserError, match="joy"):
        teacher_in_memory(model, tokenizer, LABELS)


def test_an_inverted_head_without_names_is_an_error(tiny_task: TinyTask, tmp_path: Path) -> None:
    inverted = edited(tiny_task, tmp_path / "t", swapped)
    (tmp_path / "out").mkdir()
    line = refused(
        tmp_path, "train", *tiny_task.data_options, "--teacher", inverted, *SMALL, "-o", tmp_path / "out" / "model.pt"
    )
    assert "if its outputs stand for pos, neg" in line
    assert "id2label" in line
