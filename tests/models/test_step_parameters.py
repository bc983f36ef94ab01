"""What is computed for all stages at once is what each stage computes by itself: values to the bit, gradients."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.step_parameters import StepParameters
from support.networks import random_batch, tiny_student


def step(model: SpikingBertForSequenceClassification) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Counts of every stage and logits of a training batch, and the gradients of a function of them."""
    batch = random_batch(0)
    model.zero_grad()
    result = model.train().equilibrium(
        torch.from_numpy(batch.input_ids),
        torch.from_numpy(batch.mask).long(),
        torch.from_numpy(batch.token_type_ids),
    )
    hidden = [result.hidden(name) for name in result.counts if name.endswith(("query", "ffn_out"))]
    loss = result.logits.square().sum() + sum(h.square().mean() for h in hidden)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return [*result.counts.values(), result.logits], gradients


STOCK = {"preset": "stock", "timesteps": 127}
CHANGES: list[dict[str, object]] = [
    {},
    {"weight_bits": 1.58},
    {"preset": "neurocore"},
    {"feedback": 0.5},
    STOCK,
    {**STOCK, "weight_bits": 1},
    {**STOCK, "weight_bits": 1.58},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("progress", [0.2, 1.0])  # of functions that fade out
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_all_stages_at_once_are_each_by_itself(
    changes: dict[str, object], progress: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_student(**changes)
    if dtype == torch.float64:
        model.double()
    model.set_progress(progress)
    again = deepcopy(model)  # affines follow what fades out
    together, gradients = step(model)
    monkeypatch.setattr(StepParameters, "_compute", lambda self: None)
    by_itself, expected = step(again)
    for one, other in zip(together, by_itself, strict=True):
        assert torch.equal(one, other)
    assert gradients.keys() == expected.keys()
    assert any(gradient.abs().max() > 0 for gradient in gradients.values())
    near = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-5}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], **near, msg=lambda text, name=name: f"{name}: {text}")


def test_a_step_reads_numbers_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read would wait for a GPU: thresholds are read as one vector, none by its own gate; shifts as two."""
    model, stock, reads = tiny_student(), tiny_student(**STOCK), []
    stock.set_progress(1.0)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: reads.append(len(self)) or self.detach().numpy().tolist())
    step(model)
    linear = sum(spec.kind in ("linear", "readout") for spec in stock.specs)
    step(stock)
    assert reads == [len(model.gates()), linear, len(stock.gates()) - 1]  # its embedding keeps its function
