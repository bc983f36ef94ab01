"""Training sentences set aside for validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spk2loihi.data import load_held_out, load_parts, load_train, task_spec
from spk2loihi.data.examples import Examples
from spk2loihi.data.phrases import Phrases
from spk2loihi.data.split import sentence_key
from spk2loihi.data.validation import set_aside, validation_size
from spk2loihi.errors import UserError
from support.data_files import write


def examples(labels: list, texts: list[str] | None = None) -> Examples:
    return Examples(texts or [f"sentence {i}" for i in range(len(labels))], None, labels)


@pytest.mark.parametrize(
    ("sentences", "size"),
    [
        (79, 0), (80, 10), (200, 25), (2490, 311), (3999, 499), (4000, 500), (5749, 500), (8551, 500), (20_000, 1000),
        (67349, 2000), (400_000, 2000),
    ],
)  # fmt: skip
def test_how_many_by_default(sentences: int, size: int) -> None:
    assert validation_size(sentences) == size
    assert validation_size(sentences, 0.0) == 0
    assert validation_size(sentences, 0.1) == round(sentences / 10)


def test_classes_keep_their_shares_and_their_order() -> None:
    labels = [0] * 700 + [1] * 290 + [2] * 9 + [3]
    train, validation = set_aside(examples(labels), 0.1, "class")
    assert (len(train), len(validation)) == (900, 100)
    assert Counter(validation.labels) == {0: 70, 1: 29, 2: 1}  # the only one of its class stays
    for part in (train, validation):
        assert part.text_a == sorted(part.text_a, key=lambda text: int(text.split()[1]))
    assert sorted(train.text_a + validation.text_a) == sorted(examples(labels).text_a)


def test_values_keep_their_distribution() -> None:
    values = (np.random.default_rng(0).random(1000) ** 3).tolist()
    _, validation = set_aside(examples(values), 0.1, "value")
    edges = np.quantile(values, np.arange(1, 10) / 10)
    assert np.bincount(np.searchsorted(edges, validation.labels)).tolist() == [10] * 10


@pytest.mark.parametrize("answer", ["class", "value", "labels", "tags"])
def test_no_sentence_of_one_part_has_a_copy_in_the_other(answer: str) -> None:
    label = {"class": 1, "value": 0.5, "labels": (0, 1), "tags": (0, 1, 2)}[answer]
    texts = [f"{'The Film' if i % 2 else 'the film,'} number {i // 2}" for i in range(200)]
    train, validation = set_aside(examples([label] * 200, texts), 0.3, answer)
    assert (len(train), len(validation)) == (140, 30)
    assert not {sentence_key(t) for t in train.text_a} & {sentence_key(t) for t in validation.text_a}
    assert len({sentence_key(t) for t in validation.text_a}) == 30


def test_no_phrase_of_a_validation_sentence_is_trained_on() -> None:
    """As in SST-2: sentences, and phrases of them as examples of their own."""
    sentences = [f"The plot, number {i}, is a bit of a {word}!" for i in range(40) for word in ("bore", "joy")]
    phrases = [f"number {i} is a bit" for i in range(40)] + ["a bit of a bore", "plot"]
    given = examples([i % 2 for i in range(122)], [*phrases, *sentences])
    train, validation = set_aside(given, 0.1, "class")
    assert len(validation) == 8 and set(validation.text_a) <= set(sentences)  # 80 count: phrases do not
    numbers = {text.split()[3].strip(",") for text in validation.text_a}
    assert "plot" not in train.text_a
    assert not any(f"number {i} is a bit" in train.text_a for i in numbers)
    assert len(train) == 122 - 8 - len(numbers) - 1 - any("bore" in text for text in validation.text_a)


def test_phrases() -> None:
    texts = ["A b c d", "b, C!", "c b", "d", "a b c d", "", "b c d e", "..."]
    phrases = Phrases(texts)
    assert [i for i in range(len(texts)) if phrases.is_part(i)] == [1, 3]
    assert phrases.parts_of([0]) == {1, 3}
    assert phrases.parts_of([2, 6]) == {1, 3}
    assert phrases.parts_of([2]) == set()
    long = Phrases([" ".join(f"w{i}" for i in range(101)), "w3 w4"])
    assert not long.is_part(1)


def test_pairs_are_compared_whole() -> None:
    given = Examples(["premise"] * 100, [f"hypothesis {i}" for i in range(100)], [i % 2 for i in range(100)])
    train, validation = set_aside(given, 0.2, "class")
    assert (len(train), len(validation), Counter(validation.labels)) == (80, 20, {0: 10, 1: 10})


def test_parts_of_a_task(tmp_path: Path) -> None:
    rows = "".join(f"sentence number {i},{'bad' if i % 2 else 'good'}\n" for i in range(220))
    spec = task_spec(train_file=write(tmp_path / "a.csv", "text,label\n" + rows))
    known, parts = load_parts(spec)
    assert known.labels == ["bad", "good"]
    assert (len(parts.train), len(parts.validation), len(parts.held_out)) == (174, 24, 22)
    assert parts.held_out == load_held_out(known)
    assert load_parts(spec)[1] == parts  # the same every time
    assert set(parts.digests()) == {"train", "validation", "held_out"}
    _, whole = load_parts(spec, 0.0)
    assert whole.validation is None and whole.train == load_train(spec)[1]
    assert set(whole.digests()) == {"train", "held_out"}
    assert len(load_parts(spec, 0.5)[1].train) == 99
    with pytest.raises(UserError, match=r"`validation_share` is 0.001, which is none of 198 training sentences"):
        load_parts(spec, 0.001)
