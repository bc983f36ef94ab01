"""Several labels a sentence, and a tag a word: trained, exported, run in every backend, counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

import spk2loihi as s2l
from spk2loihi.data import collate, load_held_out, load_train, targets, task_spec
from spk2loihi.export.trace import integer_trace
from spk2loihi.simulators import encode
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.training.answer_losses import label_loss, prediction_loss
from spk2loihi.training.processes import Batch
from support.heads import TAGS, TOPICS, Head, make_tags, make_topics

MAKERS = {"labels": make_topics, "tags": make_tags}
SLOW = pytest.mark.slow
PRESETS = [
    ("labels", "spikingbert"),
    pytest.param(("labels", "stock"), marks=SLOW),
    ("tags", "spikingbert"),
    pytest.param(("tags", "neurocore"), marks=SLOW),
]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Head]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture(scope="module", params=PRESETS)
def chain(request: pytest.FixtureRequest, heads: dict[str, Head]) -> tuple[str, Head, Any, Any]:
    """Answer, task, student and its network."""
    answer, preset = request.param
    head = heads[answer]
    result = s2l.train(
        out=None,
        teacher=head.teacher,
        preset=preset,
        max_tokens=20,
        steps=30,
        learning_rate=2e-3,
        timesteps=127 if preset == "stock" else 8,
        **head.options,
    )
    assert result.metrics["teacher_score"] > 0.7
    folder = head.teacher.parent
    result.save_pretrained(folder / preset)
    return answer, head, result, s2l.export(folder / preset, folder / f"{preset}.net", force=True)


def test_scores_are_those_of_training(chain: tuple[str, Head, Any, Any]) -> None:
    answer, head, result, net = chain
    simulation = s2l.simulate(net)
    assert simulation.scores.keys() == ({"micro_f1", "macro_f1"} if answer == "labels" else {"entity_f1"})
    assert simulation.scores[head.metric] > 0.6
    assert simulation.scores[head.metric] == pytest.approx(result.score, abs=0.02)
    assert simulation.to_dict()["score"] == simulation.scores[head.metric]


def test_every_backend_agrees(chain: tuple[str, Head, Any, Any]) -> None:
    _, _, result, net = chain
    verification = s2l.verify(net, samples=3)
    assert verification.mismatches == 0 and verification.spikes_compared > 1000
    examples = load_held_out(task_spec(**{**chain[1].options, "train_file": chain[1].train_file}))
    batch = collate(encode(net.network, examples.take(7))[0], 0)
    _, readout = integer_trace(result.checkpoint.model, net.network, batch)
    assert np.array_equal(readout, Emulator(net.network).run(batch).logits)
    if chain[0] == "tags":  # whose readout is another
        assert s2l.verify(net, samples=2, schedule="settling").mismatches == 0
        assert s2l.verify(net, samples=2, schedule="pipelined", timesteps=20).mismatches == 0
        assert s2l.verify(net, ["emulator", "stepped"], samples=5).mismatches == 0


def test_costs_are_counted(chain: tuple[str, Head, Any, Any]) -> None:
    answer, _, _, net = chain
    report = s2l.energy(net, samples=4)
    assert report.to_dict()["accuracy"]["student"] is not None
    readout = s2l.simulate(net, samples=4).stages[-1]
    assert readout.neurons > 4 * len(net.labels) if answer == "tags" else readout.neurons == 4 * len(net.labels)


def test_answers_in_words(chain: tuple[str, Head, Any, Any]) -> None:
    answer, _, _, net = chain
    text = "the good film and awful"
    (said,) = net.classify([text])
    if answer == "tags":
        assert [part.rsplit("/", 1)[0] for part in said.label.split()] == text.split()
        assert {part.rsplit("/", 1)[1] for part in said.label.split()} <= set(TAGS)
        assert len(said.membrane) == 5 and said.logits == {}
    else:
        found = [name for name, value in said.logits.items() if value > 0]
        assert said.label == (" | ".join(found) if found else "(no label)")
        assert set(said.logits) == set(TOPICS)


def test_tags_stand_at_the_first_token_of_a_word(heads: dict[str, Head]) -> None:
    head = heads["tags"]
    spec, examples = load_train(task_spec(**head.options))
    assert spec.labels[0] == "O" and set(spec.labels) == set(TAGS)
    net = s2l.export(s2l.train(out=None, teacher=head.teacher, max_tokens=20, steps=1, **head.options))
    texts = ["good film", "zzz  good", "a xq good"]  # zzz and xq are several tokens
    few = type(examples)(texts, None, [(2, 0), (0, 2), (0, 0, 2)])
    encoded, _ = encode(net.network, few)
    assert [one.first.tolist() for one in encoded] == [[1, 2], [1, 4], [1, 2, 4]]
    array = targets("entity_f1", few.labels, [one.first for one in encoded])
    assert array.tolist() == [[-100, 2, 0, -100, -100], [-100, 0, -100, -100, 2], [-100, 0, 0, -100, 2]]


@pytest.mark.parametrize("answer", MAKERS)
def test_losses_are_those_of_transformers(answer: str, heads: dict[str, Head]) -> None:
    kind = AutoModelForTokenClassification if answer == "tags" else AutoModelForSequenceClassification
    model = kind.from_pretrained(heads[answer].teacher)
    tokenizer = AutoTokenizer.from_pretrained(heads[answer].teacher)
    inputs = tokenizer(["a good film", "awful"], padding=True, return_tensors="pt")
    labels = torch.tensor([[-100, 0, 2, 0, -100], [-100, 1, -100, -100, -100]])
    if answer == "labels":
        labels = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    out, mask = model(**inputs, labels=labels), inputs["attention_mask"]
    batch = Batch(mask, labels)
    torch.testing.assert_close(label_loss(answer, out.logits, labels, batch), out.loss)  # type: ignore[arg-type]
    assert prediction_loss(answer, out.logits, out.logits, mask, batch, 2.0).abs() < 1e-6  # type: ignore[arg-type]
    worse = prediction_loss(answer, out.logits + torch.randn(out.logits.shape), out.logits, mask, batch, 2.0)  # type: ignore[arg-type]
    assert worse > 1e-3
    padded = out.logits.clone()
    if answer == "tags":
        padded[mask == 0] += 5
        halves = [
            prediction_loss(
                "tags", padded[i : i + 1] * 2, out.logits[i : i + 1], mask[i : i + 1], Batch(mask, labels, 2), 2.0
            )
            for i in range(2)
        ]
        whole = prediction_loss("tags", padded * 2, out.logits, mask, batch, 2.0)
        torch.testing.assert_close(sum(halves) / 2, whole)
        halves = [
            label_loss("tags", out.logits[i : i + 1], labels[i : i + 1], Batch(mask, labels, 2)) for i in range(2)
        ]
        torch.testing.assert_close(sum(halves) / 2, out.loss)
        assert prediction_loss("tags", padded, out.logits, mask, batch, 2.0).abs() < 1e-6


def test_a_teacher_without_a_classifier_is_fine_tuned_for_its_head(heads: dict[str, Head], tmp_path: Path) -> None:
    for name, head in heads.items():
        other = heads["labels" if name == "tags" else "tags"].teacher  # an encoder that has another head
        result = s2l.train(
            out=tmp_path / name / "model.pt", teacher=other, max_tokens=20, steps=2, teacher_epochs=25, batch_size=25,
            teacher_learning_rate=5e-3, **head.options,
        )  # fmt: skip
        assert result.metrics["teacher_score"] > 0.7, name


@pytest.mark.parametrize(
    ("content", "suffix", "words"),
    [
        ("good", ".conll", "line 1 has the word 'good' and no tag"),
        ("", ".conll", "no sentences|no label"),
        ("good O\n\nbad O\n", ".bio", "only the label 'O'"),
        ("x", ".csv", "files of tagged words end in .conll"),
        (json.dumps({"text": ["a"], "label": ["O", "B-X"]}), ".jsonl", "1 words and 2 tags"),
        (json.dumps({"text": "a b", "label": ["O", "B-X"]}), ".jsonl", "is no array"),
        (json.dumps({"text": ["a b"], "label": ["O"]}), ".jsonl", "without white space"),
        (json.dumps({"text": ["a"], "label": [3]}), ".jsonl", "3, which is no word or tag"),
    ],
)
def test_files_of_tags_are_refused_in_a_sentence(content: str, suffix: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / f"train{suffix}"
    path.write_text(content)
    with pytest.raises(s2l.UserError, match=words):
        load_train(task_spec(train_file=path, metric="entity_f1"))


def test_tasks_that_do_not_fit_are_refused(heads: dict[str, Head], tmp_path: Path) -> None:
    with pytest.raises(s2l.UserError, match=r"`preset` is stock, .* tags"):
        s2l.train(out=None, teacher=heads["tags"].teacher, preset="stock", max_tokens=20, **heads["tags"].options)
    with pytest.raises(s2l.UserError, match="cannot hold tagged words"):
        task_spec(train_file="a.jsonl", text_pair_column="b", metric="entity_f1")
    one = tmp_path / "one.csv"
    rows = ["blame", "praise", "story"] * 3
    one.write_text("text,label\n" + "".join(f"a film {i},{row}\n" for i, row in enumerate(rows)))
    with pytest.raises(s2l.UserError, match="to choose one of 3 labels"):
        s2l.train(out=None, teacher=heads["labels"].teacher, train_file=one)
