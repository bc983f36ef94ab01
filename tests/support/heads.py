"""Tiny tasks with several labels a sentence, or a tag a word, and teachers that know them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from support.family_teachers import KINDS, make_tokenizer
from support.tiny_task import NEGATIVE, NEUTRAL, POSITIVE, sentences, write_csv

TOPICS = ("blame", "praise", "story")
TAGS = ("O", "B-BAD", "B-GOOD", "I-GOOD")


@dataclass(frozen=True)
class Head:
    """A task, its files and its teacher."""

    metric: str
    train_file: Path
    dev_file: Path
    teacher: Path

    @property
    def options(self) -> dict[str, Any]:
        return {"train_file": self.train_file, "dev_file": self.dev_file, "metric": self.metric}


def topics(text: str) -> list[str]:
    words = text.split()
    found = {"blame": NEGATIVE, "praise": POSITIVE, "story": ("plot", "scene")}
    return [name for name in TOPICS if any(word in found[name] for word in words)]


def tags(text: str) -> list[str]:
    """Consecutive words of praise are one entity."""
    result: list[str] = []
    for word in text.split():
        praise = "I-GOOD" if result and result[-1].endswith("GOOD") else "B-GOOD"
        result.append(praise if word in POSITIVE else "B-BAD" if word in NEGATIVE else "O")
    return result


def mixed_sentences(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    groups = [POSITIVE, NEGATIVE, NEUTRAL, NEUTRAL]
    return [" ".join(rng.choice(groups[rng.integers(4)]) for _ in range(rng.integers(2, 8))) for _ in range(count)]


def _config(names: tuple[str, ...], words: int) -> BertConfig:
    return BertConfig(
        vocab_size=words, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    )  # fmt: skip


def _trained(model: Any, inputs: Any, labels: torch.Tensor, folder: Path, tokenizer: Any) -> Path:
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_topics(folder: Path) -> Head:
    """Sentences with any of three labels, none included, in CSV and JSON lines."""
    train, dev = mixed_sentences(200, 1), mixed_sentences(60, 2)
    train_file = write_csv(folder / "train.csv", [(text, " | ".join(topics(text))) for text in train])
    dev_file = folder / "dev.jsonl"
    dev_file.write_text("".join(json.dumps({"text": text, "label": topics(text)}) + "\n" for text in dev))
    tokenizer = make_tokenizer(KINDS["bert"])
    torch.manual_seed(0)
    config = _config(TOPICS, len(tokenizer))
    config.problem_type = "multi_label_classification"
    labels = torch.tensor([[float(name in topics(text)) for name in TOPICS] for text in train])
    inputs = tokenizer(train, padding=True, return_tensors="pt")
    model = BertForSequenceClassification(config)
    return Head("micro_f1", train_file, dev_file, _trained(model, inputs, labels, folder / "teacher", tokenizer))


def make_tags(folder: Path) -> Head:
    """Words of praise and blame as entities, in CoNLL's columns and in JSON lines; letters are unknown names."""
    train = [*mixed_sentences(150, 1), *(text for text, _ in sentences(50, 3))]
    dev = mixed_sentences(60, 2)
    train_file, dev_file = folder / "train.conll", folder / "dev.jsonl"
    lines = ["-DOCSTART- -X- O\n"]
    for text in train:
        lines += ["", *(f"{word} X {tag}" for word, tag in zip(text.split(), tags(text), strict=True))]
    train_file.write_text("\n".join(lines) + "\n")
    dev_file.write_text("".join(json.dumps({"text": text.split(), "label": tags(text)}) + "\n" for text in dev))
    tokenizer = make_tokenizer(KINDS["bert"])
    torch.manual_seed(0)
    inputs = tokenizer(train, padding=True, return_tensors="pt")
    labels = torch.full(inputs["input_ids"].shape, -100)
    for i, text in enumerate(train):
        words = inputs.word_ids(i)
        for token, word in enumerate(words):
            if word is not None and words[token - 1] != word:
                labels[i, token] = TAGS.index(tags(text)[word])
    model = BertForTokenClassification(_config(TAGS, len(tokenizer)))
    return Head("entity_f1", train_file, dev_file, _trained(model, inputs, labels, folder / "teacher", tokenizer))
