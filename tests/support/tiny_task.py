"""A tiny BERT teacher and a tiny sentiment task, generated: for whole runs of training and of the command line."""

from __future__ import annotations

import contextlib
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

POSITIVE = ("good", "great", "lovely", "superb", "bright", "funny", "moving", "fresh")
NEGATIVE = ("bad", "awful", "dull", "boring", "dreary", "stale", "clumsy", "weak")
NEUTRAL = ("the", "a", "film", "movie", "plot", "actor", "scene", "is", "was", "and", "with", "of", "it", "this", "one")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
VOCABULARY = tuple(dict.fromkeys((*SPECIAL, *POSITIVE, *NEGATIVE, *NEUTRAL, *LETTERS)))
POSITIONS = 64


@dataclass(frozen=True)
class TinyTask:
    """Paths of what `make_tiny_task` writes."""

    folder: Path
    train_file: Path
    dev_file: Path
    teacher: Path  # a BERT without a classifier
    tuned: Path  # the same with the classifier it was trained with

    @property
    def data_options(self) -> list[str]:
        return ["--train-file", str(self.train_file), "--dev-file", str(self.dev_file)]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """(text, label) rows: neutral words and one to three words of the label's sentiment, in any order."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        words = list(rng.choice(NEUTRAL, rng.integers(2, 6)))
        words += list(rng.choice(POSITIVE if i % 2 else NEGATIVE, rng.integers(1, 4)))
        rows.append((" ".join(rng.permutation(words)), "pos" if i % 2 else "neg"))
    return [rows[i] for i in rng.permutation(count)]


def write_csv(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def make_tiny_task(folder: Path, layers: int = 2) -> TinyTask:
    """Data files, and a BERT of ``layers`` layers, 32 wide, 2 heads, trained for two seconds."""
    train, dev = sentences(200, 1), sentences(60, 2)
    train_file, dev_file = write_csv(folder / "train.csv", train), write_csv(folder / "dev.csv", dev)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=layers, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=POSITIONS, num_labels=2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.1,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    labels = torch.tensor([int(label == "pos") for _, label in train])
    inputs = tokenizer([text for text, _ in train], padding=True, return_tensors="pt")
    for _ in range(15):
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    teacher, tuned = folder / "bert", folder / "tuned"
    model.bert.save_pretrained(teacher)
    model.save_pretrained(tuned)
    for place in (teacher, tuned):
        tokenizer.save_pretrained(place)
    return TinyTask(folder, train_file, dev_file, teacher, tuned)


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    code: int
    out: str
    err: str


def spk2loihi(*arguments: object) -> Outcome:
    """Run the command line in this process."""
    from spk2loihi.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
    return Outcome(int(code or 0), out.getvalue(), err.getvalue())  # type: ignore[call-overload]
