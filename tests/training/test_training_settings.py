"""How many epochs a training takes unless told otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from spk2loihi.data import TaskSpec
from spk2loihi.training.processes import chosen_precision, precision_notes
from spk2loihi.training.settings import TrainSettings, default_epochs


@pytest.mark.parametrize(
    ("kind", "sentences", "epochs"),
    [("reviews", 7677, 1), ("glue", 67349, 1), ("files", 60000, 1), ("files", 59999, 2), ("glue", 8551, 8),
     ("glue", 5243, 10), ("glue", 3209, 10), ("glue", 3200, 10), ("glue", 3199, 11), ("glue", 2180, 15),
     ("files", 1600, 20), ("files", 200, 20), ("files", 1, 20)],
)  # fmt: skip
def test_default_epochs(kind: Any, sentences: int, epochs: int) -> None:
    where = {"glue": {"data_dir": "/d"}, "files": {"train_file": "/t.csv"}}.get(kind, {})
    name, labels = ("SST-2", ["negative", "positive"]) if kind == "glue" else ("reviews", ["negative", "positive"])
    spec = TaskSpec(kind=kind, name=name, labels=labels, **where)
    assert default_epochs(spec, sentences) == epochs
    made = TrainSettings().for_task(spec, sentences)
    assert (made.epochs, made.teacher_epochs) == (epochs, epochs)
    assert TrainSettings().for_task(spec, sentences, on_corpus=True).epochs == 1
    given = TrainSettings(epochs=2, teacher_epochs=7).for_task(spec, sentences)
    assert (given.epochs, given.teacher_epochs) == (2, 7)


@pytest.mark.parametrize(
    ("cuda", "byte", "half", "chosen"),
    [(False, True, True, "bf16"), (False, True, False, "no"), (False, False, True, "no"), (True, True, True, "no")],
)
def test_auto_is_bf16_where_every_spike_stays(
    cuda: bool, byte: bool, half: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("spk2loihi.training.processes.has_byte_products", lambda: byte)
    monkeypatch.setattr("spk2loihi.training.processes.has_bfloat16_products", lambda: half)
    assert chosen_precision("auto") == chosen
    assert [chosen_precision(given) for given in ("no", "bf16", "fp16")] == ["no", "bf16", "fp16"]


@pytest.mark.parametrize(
    ("precision", "cuda", "has", "noted"),
    [("bf16", False, False, True), ("bf16", False, True, False), ("bf16", True, False, False), ("no",) + 3 * (False,)],
)
def test_bf16_without_its_instructions_is_noted(
    precision: str, cuda: bool, has: bool, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("spk2loihi.training.processes.has_bfloat16_products", lambda: has)
    assert ("choose auto or no" in "".join(precision_notes(precision))) == noted
