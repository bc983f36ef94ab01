"""Products of bytes in a training step: the same integers as floats give, in float32 and in mixed precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from spk2loihi.models import count_product as products
from spk2loihi.models.count_product import ByteWeight, byte_columns, count_product, takes_bytes
from spk2loihi.models.synaptic_linear import SynapticLinear
from support.networks import random_batch, tiny_student


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    batch = random_batch(0)
    return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long()


needs_bytes = pytest.mark.skipif(not takes_bytes(torch.zeros(1)), reason="no instructions for products of bytes")


def random_product(exponents: list[int], timesteps: int = 16) -> tuple[torch.Tensor, torch.Tensor, ByteWeight]:
    """Counts (3, 5, d), integer weights (7, d) as floats, and the same as bytes."""
    torch.manual_seed(0)
    powers = torch.tensor([2.0**e for e in exponents])
    mantissa = torch.randint(-127, 128, (7, len(exponents)))
    counts = torch.randint(-timesteps, timesteps + 1, (3, 5, len(exponents))).float()
    columns = byte_columns(powers, timesteps)
    assert columns is not None
    return counts, mantissa * powers, ByteWeight(mantissa.to(torch.int8), columns)


@needs_bytes
@pytest.mark.parametrize(
    ("exponents", "factors", "wide"),
    [([0] * 12, False, 0), ([0] * 9 + [1, 2, 2], True, 0), ([0] * 8 + [2, 3, 7], True, 2)],
)
def test_equals_the_product_of_floats(exponents: list[int], factors: bool, wide: int) -> None:
    counts, weight, packed = random_product(exponents)
    assert (packed.columns.factors is not None) == factors
    assert (0 if packed.columns.wide is None else len(packed.columns.wide)) == wide
    assert torch.equal(count_product(counts, weight, packed).double(), linear(counts.double(), weight.double()))
    even = ByteWeight(packed.mantissa, packed.columns, scale=2)
    assert torch.equal(count_product(counts, 2 * weight, even), linear(counts, 2 * weight))


def test_too_many_wide_columns_are_left_to_floats() -> None:
    assert byte_columns(torch.tensor([1.0, 1, 8, 8]), 16) is None
    assert byte_columns(torch.tensor([1.0, 1, 8, 8]), 15) is not None  # 120 fits


@needs_bytes
@pytest.mark.parametrize("half", [False, True])
def test_gradients(half: bool) -> None:
    counts, weight, packed = random_product([0] * 8 + [2, 3, 7])
    leaves = [counts.requires_grad_(), weight.requires_grad_()]
    grad = torch.randn(3, 5, 7)
    want = torch.autograd.grad(linear(*leaves), leaves, grad)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        u = count_product(counts, weight, packed)
    assert torch.equal(u, linear(counts, weight))
    for got, expected in zip(torch.autograd.grad(u, leaves, grad), want, strict=True):
        assert got.dtype == expected.dtype == torch.float32
        error = (got - expected).abs().max() / expected.abs().max()
        assert error < (2**-7 if half else 1e-6)
        assert (error > 0) or not half


@needs_bytes
@pytest.mark.parametrize("preset", ["spikingbert", "neurocore", "stock"])
def test_a_step_has_the_same_spikes_in_every_precision(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny_student(preset=preset).train(), inputs()
    calls: list[int] = []
    product = products.count_product

    def counted(*args: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return product(*args)

    monkeypatch.setattr("spk2loihi.models.synaptic_linear.count_product", counted)
    full = model.equilibrium(*data)
    assert len(calls) == len([m for m in model.modules() if isinstance(m, SynapticLinear)])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.equilibrium(*data)
    monkeypatch.setattr(products, "has_byte_products", lambda: False)
    floats = model.equilibrium(*data)
    assert len(calls) % 2 == 0 and len(calls) > 0
    for name, counts in full.counts.items():
        assert torch.equal(counts, mixed.counts[name]), name
        assert torch.equal(counts, floats.counts[name]), name
    assert torch.equal(full.logits, mixed.logits) and torch.equal(full.logits, floats.logits)
    assert full.logits.dtype == mixed.logits.dtype == torch.float32


@needs_bytes
def test_counts_that_are_not_whole_are_left_to_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spk2loihi.models.synaptic_linear.count_product", None)  # a call would fail
    tiny_student(leak=0.1).train().equilibrium(*inputs())
    tiny_student(feedback=0.5).train().equilibrium(*inputs())
    model = tiny_student()
    with model.unclipped():
        model.equilibrium(*inputs())
