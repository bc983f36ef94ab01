"""The squared error that distillation is made of, over the tokens there are, in as few operators as it takes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


class _MaskedError(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        value: Tensor | None,
        scale: Tensor | None,
        target: Tensor,
        mask: Tensor,
        kept: Tensor,
        weight: float,
    ) -> Tensor:
        factor = value if value is None or scale is None else value * scale
        difference = ((x if factor is None else x * factor) - target).mul_(mask)
        difference = difference.to(torch.promote_types(difference.dtype, torch.float32))
        ctx.save_for_backward(x, value, factor, difference, kept)
        ctx.weight = weight
        flat = difference.flatten()
        return torch.dot(flat, flat) / kept * weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, value, factor, difference, kept = ctx.saved_tensors
        grad = difference * (2 * ctx.weight * grads[0] / kept)
        if factor is None:
            return grad.to(x.dtype), None, None, None, None, None, None
        grad.mul_(factor)
        grad_value = torch.dot(grad.flatten(), x.flatten().to(grad.dtype)) / value
        return grad.to(x.dtype), grad_value, None, None, None, None, None


def masked_error(
    x: Tensor,
    target: Tensor,
    mask: Tensor,
    kept: Tensor,
    weight: float,
    value: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """``weight / kept`` times the sum of squares of ``(x * value * scale - target) * mask``, a scalar.

    Args:
        x: with a gradient; ``target`` has its shape.
        mask: 1 where there is a token, or pair of them, else 0; broadcastable to ``x``.
        kept: how many of those, a scalar; of all processes once they are averaged.
        value: scalar with a gradient; None: 1.
        scale: without one, broadcastable to ``x``; None: 1.
    """
    return cast(Tensor, _MaskedError.apply(x, value, scale, target, mask, kept, weight))
