"""Evaluations round GELU as the integer network does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spk2loihi.limits import SOMA_THRESHOLD
from spk2loihi.models.ibert import ibert_gelu
from spk2loihi.models.integer_gelu import integer_gelu, with_integer_values
from spk2loihi.models.neuron import FireGate

T = 16


def gate_of(theta: float, *exponents: float) -> FireGate:
    gate = FireGate(T, signed=True, quantised=True, channels=len(exponents))
    gate.channel_exponent.copy_(torch.tensor(exponents))
    gate.log_threshold.data.fill_(math.log(theta))
    return gate


@pytest.mark.parametrize("seed", range(8))
def test_counts_of_every_drive_are_those_of_the_integer_function(seed: int) -> None:
    rng = np.random.default_rng(seed)
    u = torch.arange(-4000, 8000, dtype=torch.float64)[:, None].expand(-1, 3)
    gate = gate_of(rng.uniform(0.4, 3), 0.0, 1.0, 3.0)
    unit = torch.tensor(rng.uniform(2e-4, 2e-3), dtype=torch.float32)
    integers = integer_gelu(gate, unit)(u.numpy().astype(np.int64))
    expected = np.clip((integers + SOMA_THRESHOLD // 2) // SOMA_THRESHOLD, -T, T)
    y = ibert_gelu(u * unit.double()) * torch.exp2(-gate.channel_exponent)
    assert np.array_equal(gate(with_integer_values(y, u, unit, gate), None).detach().numpy(), expected)


def test_a_drive_that_floats_round_to_another_count() -> None:
    """Of a trained student, in which 206 of 1.9 million counts of one layer were another, and 29 of 853 answers."""
    gate, unit = gate_of(T * 0.08812951296567917, 0.0), torch.tensor(0.0005386303528212011)
    u = torch.tensor([[-788.0]], dtype=torch.float64)
    y = ibert_gelu(u * unit.double())
    assert integer_gelu(gate, unit)(u.numpy().astype(np.int64)) == -1537  # just past 1.5 spikes
    assert gate(y, None) == -1
    assert gate(with_integer_values(y, u, unit, gate), None) == -2


def test_the_gradient_is_that_of_the_floats() -> None:
    gate, unit = gate_of(1.0, 0.0, 1.0, 3.0), torch.tensor(0.01)
    u = torch.arange(-300.0, 300.0, dtype=torch.float64).view(-1, 3).requires_grad_()
    (plain,) = torch.autograd.grad(ibert_gelu(u * unit.double()).sum(), u)
    (own,) = torch.autograd.grad(with_integer_values(ibert_gelu(u * unit.double()), u, unit, gate).sum(), u)
    assert torch.equal(plain, own)
