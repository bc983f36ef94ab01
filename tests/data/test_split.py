"""Held-out sentences of a lone training file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.data import load_held_out, load_train, task_spec
from spk2loihi.data.split import hold_out, sentence_key
from spk2loihi.errors import UserError
from support.data_files import write


def numbered_csv(path: Path, n: int) -> Path:
    return write(
        path, "text,label\n" + "".join(f"sentence number {i},{'bad' if i % 2 else 'good'}\n" for i in range(n))
    )


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
