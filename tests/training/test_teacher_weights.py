"""Weights of a teacher as users have them: read whole, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification

import spk2loihi as s2l
from spk2loihi.training.teacher import load_teacher
from support.edited_teachers import LABELS, accuracy, edited, refusal
from support.tiny_task import TinyTask


def renamed(prefix: str) -> Callable[[dict], dict]:
    return lambda w: {prefix + name.removeprefix("bert."): x for name, x in w.items()}


BAD_WEIGHTS: dict[str, tuple[Callable[[dict], dict], str]] = {
    "DataParallel": (lambda w: {f"module.{n}": x for n, x in w.items()}, r"lacks 41 of 41.*module\.bert"),
    "roberta": (lambda w: {n.replace("bert.", "roberta."): x for n, x in w.items()}, r"lacks 39 of 41.*roberta\."),
    "a layer less": (lambda w: {n: x for n, x in w.items() if ".layer.1." not in n}, r"lacks 16 of 41.*and 13 more"),
    "no classifier": (lambda w: {n: x for n, x in w.items() if "classifier" not in n}, "lacks 2 of 41.*classifier"),
    "no pooler": (lambda w: {n: x for n, x in w.items() if "pooler" not in n}, "lacks 2 of 41.*pooler"),
    "NaN": (lambda w: {n: x * (float("nan") if "1.output.dense.bias" in n else 1) for n, x in w.items()}, "not finite"),
    "infinity": (lambda w: {n: x / (0 if "word_emb" in n else 1) for n, x in w.items()}, "not finite.*word_emb"),
    "other shape": (lambda w: {n: x[:-1].clone() if "word_emb" in n else x for n, x in w.items()}, "shape 60 x 32"),
    "other labels": (lambda w: {n: torch.cat([x, x]) if "classifier" in n else x for n, x in w.items()}, "4 x 32"),
    "integers": (lambda w: {n: x.to(torch.int8) if "query.weight" in n else x for n, x in w.items()}, "quantised.*I8"),
    "scales": (lambda w: {**w, "bert.encoder.layer.0.attention.self.query.weight.SCB": torch.ones(1)}, "quantised"),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_weights_that_would_be_random_or_nonsense_are_refused(kind: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    change, words = BAD_WEIGHTS[kind]
    refusal(edited(tiny_task, tmp_path / "t", change), words)


def test_a_file_of_weights_that_is_nested_too_deep_is_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    header = b"[" * 100_000 + b"]" * 100_000
    place = edited(tiny_task, tmp_path / "t")
    (place / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    refusal(place, "cannot be loaded")


def test_weights_of_the_bare_encoder_without_prefix_are_read(tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", renamed(""))), LABELS)
    assert accuracy(teacher, tiny_task) > 0.9


def test_weights_that_are_not_used_are_said(tiny_task: TinyTask, tmp_path: Path) -> None:
    more = edited(tiny_task, tmp_path / "t", lambda w: {**w, "cls.predictions.bias": torch.zeros(3)})
    notes = load_teacher(str(more), LABELS)[0].notes
    assert len(notes) == 1 and "1 of its weights" in notes[0] and "cls.predictions.bias" in notes[0]
    files = {"train_file": tiny_task.train_file, "dev_file": tiny_task.dev_file}
    lines: list[str] = []
    s2l.train(out=None, teacher=str(more), max_tokens=16, batch_size=100, steps=1, report=lines.append, **files)
    assert notes[0] in lines
    assert load_teacher(str(tiny_task.tuned), LABELS)[0].notes == []


def test_a_language_model_has_a_fresh_pooler_and_says_so(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(
        tiny_task, tmp_path / "t", lambda w: {n: x for n, x in w.items() if "pooler" not in n and "classif" not in n},
        architectures=["BertForMaskedLM"],
    )  # fmt: skip
    teacher, fine_tuned = load_teacher(str(place), LABELS)
    assert not fine_tuned and any("no pooler" in note for note in teacher.notes)
    assert any("classifier starts at random" in note for note in teacher.notes)
    assert load_teacher(None, LABELS)[0].notes == []  # the packaged teacher is known to have none
    tagger = edited(tiny_task, tmp_path / "u", architectures=["BertForTokenClassification"])
    three, _ = load_teacher(str(tagger), ["a", "b", "c"])
    assert three.model.classifier.out_features == 3


def test_old_and_sharded_files(tiny_task: TinyTask, tmp_path: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(tiny_task.tuned)
    shards = edited(tiny_task, tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    model.save_pretrained(shards, max_shard_size="30KB")
    assert accuracy(load_teacher(str(shards), LABELS)[0], tiny_task) > 0.9
    one = sorted(shards.glob("model-*"))[1]
    one.write_bytes(one.read_bytes()[:-100])
    refusal(shards, "cannot be loaded")
    one.unlink()
    refusal(shards, "cannot be loaded")
    pickled = edited(tiny_task, tmp_path / "bin")
    (pickled / "model.safetensors").unlink()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    assert accuracy(load_teacher(str(pickled), LABELS)[0], tiny_task) > 0.9
    torch.save({"model": model}, pickled / "pytorch_model.bin")
    refusal(pickled, "cannot be loaded")
    (pickled / "pytorch_model.bin").write_bytes(b"")
    refusal(pickled, "cannot be loaded")
