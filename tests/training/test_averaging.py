"""The average of the weights: what it is, and that it is what is evaluated and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spk2loihi.training.averaging import WeightAverage
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.loop import Loop
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import TinyTask


def test_the_average_by_hand() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = WeightAverage(model, 0.25)
    expected = 1.0
    for step, value in enumerate((2.0, 5.0, -3.0), 1):
        model.weight.data.fill_(value)
        average.update()
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.in_place():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == -3.0


def test_frozen_parameters_stay() -> None:
    model = torch.nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    assert set(WeightAverage(model, 0.9).tensors) == {"weight"}


def test_the_average_is_evaluated_and_kept(tiny_task: TinyTask, tmp_path: Path, monkeypatch) -> None:
    """Of every learned tensor: the model that is kept is the average of the weights after each step."""
    after: list[dict[str, torch.Tensor]] = []
    optimise = Loop._optimise

    def kept(self: Loop, *batch: object) -> float:
        if not after:
            after.append({name: p.detach().clone() for name, p in self.average.learned.items()})
        loss = optimise(self, *batch)
        after.append({name: p.detach().clone() for name, p in self.average.learned.items()})
        return loss

    monkeypatch.setattr(Loop, "_optimise", kept)
    settings = replace(SMALL, teacher=str(tiny_task.tuned), average=0.8)
    metrics = train(spec_of(tiny_task), settings, tmp_path / "model.pt").metrics
    found = load_checkpoint(tmp_path / "model.pt").model.state_dict()
    assert len(after) == 1 + metrics["best"]["step"]
    for name, expected in after[0].items():
        for step, now in enumerate(after[1:], 1):
            decay = min(0.8, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * now[name]
        assert torch.allclose(found[name], expected, atol=1e-6), name
    assert any("log_threshold" in name for name in after[0])
    assert not all(torch.equal(found[name], after[-1][name]) for name in after[-1])
