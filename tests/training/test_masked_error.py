"""The fused squared error is the plain composition, and so are its gradients."""

from __future__ import annotations

import pytest
import torch

from spk2loihi.training.masked_error import masked_error


@pytest.mark.parametrize("factors", ["none", "value", "both"])
def test_it_is_the_plain_composition(factors: str) -> None:
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    x, target = drawn(3, 5, 4).requires_grad_(), drawn(3, 5, 4)
    mask = torch.ones(3, 5, 1, dtype=torch.double)
    mask[1, 2:] = 0
    value = None if factors == "none" else torch.tensor(0.3, dtype=torch.double, requires_grad=True)
    scale = drawn(4).exp() if factors == "both" else None
    factor = (1.0 if value is None else value) * (1.0 if scale is None else scale)
    plain = 0.7 * ((x * factor - target).square() * mask).sum() / mask.sum()
    inputs = (x,) if value is None else (x, value)

    def fused(*given: torch.Tensor) -> torch.Tensor:
        return masked_error(given[0], target, mask, mask.sum(), 0.7, *given[1:], scale=scale)

    torch.testing.assert_close(fused(*inputs), plain)
    expected = torch.autograd.grad(plain, inputs)
    for one, other in zip(torch.autograd.grad(fused(*inputs), inputs), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(fused, inputs)
