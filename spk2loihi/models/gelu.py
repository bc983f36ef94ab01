"""GELU with I-BERT's polynomial error function (Kim et al. 2021, arXiv 2101.01321, table 1).

The student trains with the function its integer network computes (`spk2loihi.export.soma.Gelu`), not with the exact
GELU of its teacher, from which it differs by up to 0.018.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

_A, _B = 0.2888, 1.769  # erf(x) ~ sgn(x) (1 - A (min(|x|, B) - B)^2)


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
