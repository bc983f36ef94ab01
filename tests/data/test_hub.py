"""Data sets of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from spk2loihi.data import Examples, load_held_out, load_train, task_spec
from spk2loihi.errors import UserError
from support.data_files import write


def test_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="`dataset` imdb needs the library datasets, which is not installed"):
        load_train(task_spec(dataset="imdb"))


def test_hub_data_set_in_a_local_folder(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write(
        tmp_path / "train.csv", "text,label\n" + "".join(f"number {i},{'no' if i % 2 else 'yes'}\n" for i in range(20))
    )
    spec, train = load_train(task_spec(dataset=str(tmp_path)))
    assert (spec.labels, len(train), len(load_held_out(spec))) == (["no", "yes"], 18, 2)
    write(tmp_path / "validation.csv", "text,label\na,yes\nb,no\n")
    assert len(load_train(spec)[1]) == 20
    assert load_held_out(spec) == Examples(["a", "b"], None, [1, 0])
    with pytest.raises(UserError, match="has no column 'sentence'"):
        load_train(task_spec(dataset=str(tmp_path), text_column="sentence"))
