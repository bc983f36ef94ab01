"""GELU and softmax with I-BERT's polynomials (Kim et al. 2021, arXiv 2101.01321, table 1), in floats.

The student trains with the functions its integer network computes (`spk2loihi.network.soma`), not with those of its
teacher: GELU differs by up to 0.018, the exponential by up to 0.3 %.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.limits import ERF_POLYNOMIAL, EXP_POLYNOMIAL

_A, _B = (-x for x in ERF_POLYNOMIAL)  # erf(x) ~ sgn(x) (1 - A (min(|x|, B) - B)^2)
_EXP_A, _EXP_B, _EXP_C = EXP_POLYNOMIAL


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rest = (x.abs() * math.sqrt(0.5)).clamp_(max=_B).sub_(_B)  # min(|x| / sqrt 2, B) - B, in [-B, 0]
        phi = (1 - _A * rest * rest).copysign_(x).add_(1).mul_(0.5)  # (1 + erf(x / sqrt 2)) / 2
        ctx.save_for_backward(x, rest, phi)
        return x * phi

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, rest, phi = ctx.saved_tensors
        # d phi / dx = -A sqrt(1/2) rest, zero where |x| / sqrt 2 > B because rest is
        return grads[0] * torch.addcmul(phi, x, rest, value=-_A * math.sqrt(0.5))


def ibert_gelu(x: Tensor) -> Tensor:
    return cast(Tensor, _Gelu.apply(x))


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        largest, at = x.max(-1, keepdim=True)
        x = x - largest
        halvings = (x * (-1 / math.log(2))).floor_()
        p = torch.where(torch.isinf(x), 0, x + halvings * math.log(2)).add_(_EXP_B)
        power = torch.exp2(-halvings)  # 0 where x is -inf
        e = power * (_EXP_C + _EXP_A * p * p)  # exp(x)
        total = e.sum(-1, keepdim=True)
        y = e / total
        ctx.save_for_backward(y, power.mul_(p).mul_(2 * _EXP_A).div_(total), at)  # d exp(x) / dx / total
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        y, slope, at = ctx.saved_tensors
        grad = (grads[0] - (grads[0] * y).sum(-1, keepdim=True)) * slope
        # x enters relative to its maximum, of which the polynomial is not quite independent
        return grad.scatter_add(-1, at, -grad.sum(-1, keepdim=True))


def ibert_softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis; entries of -inf get exactly 0."""
    return cast(Tensor, _Softmax.apply(x))
