"""Training sentences set aside for validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spk2loihi.data import load_held_out, load_parts, load_train, task_spec
from spk2loihi.data.examples import Examples
from spk2loihi.data.split import sentence_key
from spk2loihi.data.validation import set_aside, validation_size
from spk2loihi.errors import UserError
from support.data_files import write


def examples(labels: list, texts: list[str] | None = None) -> Examples:
    return Examples(texts or [f"sentence {i}" for i in range(len(labels))], None, labels)


@pytest.mark.parametrize(
    ("sentences", "size"),
    [
        (49, 0), (50, 10), (200, 40), (1499, 299), (1500, 300), (2490, 300), (3668, 300), (5749, 300), (8551, 427),
        (67349, 2000), (400_000, 2000),
    ],
)  # fmt: skip
def test_how_many_by_default(sentences: int, size: int) -> None:
    assert validation_size(sentences) == size
    assert validation_size(sentences, 0.0) == 0
    assert validation_size(sentences, 0.1) == round(sentences / 10)


def test_classes_keep_their_shares_and_their_order() -> None:
    labels = [0] * 700 + [1] * 290 + [2] * 9 + [3]
    train, validation = set_aside(examples(labels), 100, "class")
    assert (len(train), len(validation)) == (900, 100)
    assert Counter(validation.labels) == {0: 70, 1: 29, 2: 1}  # the only one of its class stays
    for part in (train, validation):
        assert part.text_a == sorted(part.text_a, key=lambda text: int(text.split()[1]))
    assert sorted(train.text_a + validation.text_a) == sorted(examples(labels).text_a)


def test_values_keep_their_distribution() -> None:
    values = (np.random.default_rng(0).random(1000) ** 3).tolist()
    _, validation = set_aside(examples(values), 100, "value")
    edges = np.quantile(values, np.arange(1, 10) / 10)
    assert np.bincount(np.searchsorted(edges, validation.labels)).tolist() == [10] * 10


@pytest.mark.parametrize("answer", ["class", "value", "labels", "tags"])
def test_no_sentence_of_one_part_has_a_copy_in_the_other(answer: str) -> None:
    label = {"class": 1, "value": 0.5, "labels": (0, 1), "tags": (0, 1, 2)}[answer]
    texts = [f"{'The Film' if i % 2 else 'the film,'} number {i // 2}" for i in range(200)]
    train, validation = set_aside(examples([label] * 200, texts), 30, answer)
    assert (len(train), len(validation)) == (140, 30)
    assert not {sentence_key(t) for t in train.text_a} & {sentence_key(t) for t in validation.text_a}
    assert len({sentence_key(t) for t in validation.text_a}) == 30


def test_pairs_are_compared_whole() -> None:
    given = Examples(["premise"] * 100, [f"hypothesis {i}" for i in range(100)], [i % 2 for i in range(100)])
    train, validation = set_aside(given, 20, "class")
    assert (len(train), len(validation), Counter(validation.labels)) == (80, 20, {0: 10, 1: 10})


def test_parts_of_a_task(tmp_path: Path) -> None:
    rows = "".join(f"sentence number {i},{'bad' if i % 2 else 'good'}\n" for i in range(220))
    spec = task_spec(train_file=write(tmp_path / "a.csv", "text,label\n" + rows))
    known, parts = load_parts(spec)
    assert known.labels == ["bad", "good"]
    assert (len(parts.train), len(parts.validation), len(parts.held_out)) == (159, 39, 22)
    assert parts.held_out == load_held_out(known)
    assert load_parts(spec)[1] == parts  # the same every time
    assert set(parts.digests()) == {"train", "validation", "held_out"}
    _, whole = load_parts(spec, 0.0)
    assert whole.validation is None and whole.train == load_train(spec)[1]
    assert set(whole.digests()) == {"train", "held_out"}
    assert len(load_parts(spec, 0.5)[1].train) == 99
    with pytest.raises(UserError, match=r"`validation_share` is 0.001, which is none of 198 training sentences"):
        load_parts(spec, 0.001)
