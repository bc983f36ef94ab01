"""Products of counts and integer weights: bytes in the forward pass, floats in the backward pass.

A count and a mantissa each fit a byte. A processor with instructions for bytes multiplies them four times as fast as
floats, and exactly: a training step has the drives it would have in float32, bit for bit. In mixed precision on the CPU
autocast would round every drive to the 8 bits of a bfloat16. Here it does not: only the products of the backward pass
are bfloat16, and of their factors only the gradients are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.models.neuron import as_type
from spk2loihi.processor import has_byte_products

_BYTE_MAX = 127  # of signed ones

#: Share of columns beyond which those that do not fit bytes are not worth taking apart.
_FEW = 0.25


@dataclass(frozen=True)
class Columns:
    """How the exponents of input channels come into a product of bytes.

    Attributes:
        factors: 2**exponent (d_in,) as bytes, which counts are multiplied by; 0 where that would pass a byte. None: all
            are 1.
        wide: those channels (k,), whose product is one of floats; None: there are none.
    """

    factors: Tensor | None = None
    wide: Tensor | None = None


@dataclass(frozen=True)
class ByteWeight:
    """Integer weights as the product of bytes takes them.

    Attributes:
        mantissa: signed bytes (d_out, d_in).
        columns: their exponents.
        scale: what the sum is multiplied by; 2 where all weights are even.
    """

    mantissa: Tensor
    columns: Columns
    scale: int = 1


def byte_columns(powers: Tensor, timesteps: int) -> Columns | None:
    """Of ``powers`` 2**exponent (d_in,) and counts up to ``timesteps``; None where too few columns fit."""
    if bool((powers == 1).all()):
        return Columns()
    fits = powers * timesteps <= _BYTE_MAX
    wide = (~fits).nonzero()[:, 0]
    if len(wide) > _FEW * len(powers):
        return None
    return Columns((powers * fits).to(torch.int8), wide if len(wide) else None)


def takes_bytes(weight: Tensor) -> bool:
    """Whether products of ``weight`` can be ones of bytes: float32 on a CPU that has instructions for them."""
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and has_byte_products() and _exact()


@lru_cache(maxsize=1)
def _exact() -> bool:
    """The kernel, tried once with the largest bytes, whose sums saturate in 16 bits."""
    ends = torch.tensor([-_BYTE_MAX - 1, _BYTE_MAX], dtype=torch.int8)
    a, b = ends.repeat(5, 67), ends.repeat_interleave(67).expand(33, -1)
    return torch.equal(torch._int_mm(a, b.T.contiguous()).double(), a.double() @ b.double().T)


def count_product(counts: Tensor, weight: Tensor, packed: ByteWeight) -> Tensor:
    """``counts @ weight.T``, (..., d_out): whole counts (..., d_in) and integer weights (d_out, d_in), as floats.

    Args:
        packed: the same weights.
    """
    return cast(Tensor, _CountProduct.apply(counts, weight, packed))


def full_product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` of counts, which mixed precision on the CPU leaves in float32."""
    if not _mixed(a):
        return a @ b
    with torch.autocast("cpu", enabled=False):
        return a.float() @ b.float()


def _mixed(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


class _CountProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, counts: Tensor, weight: Tensor, packed: ByteWeight) -> Tensor:
        rows = counts.flatten(0, -2)  # (M, d_in)
        counted = rows.to(torch.int8)
        ctx.save_for_backward(counted, weight)
        ctx.half, ctx.shape = _mixed(counts), counts.shape
        columns = packed.columns
        taken = counted if columns.factors is None else counted * columns.factors
        u = torch._int_mm(taken, packed.mantissa.T).to(weight.dtype)  # (M, d_out)
        if packed.scale != 1:
            u *= packed.scale
        if columns.wide is not None:
            u += full_product(rows[:, columns.wide], weight[:, columns.wide].T)
        return u.view(*counts.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        counted, weight = ctx.saved_tensors
        grad = grads[0].flatten(0, -2)
        kind = torch.bfloat16 if ctx.half else weight.dtype
        grad, of_counts, of_weight = as_type(grad, kind), None, None
        if ctx.needs_input_grad[0]:
            of_counts = as_type(grad @ as_type(weight, kind), weight.dtype).view(ctx.shape)
        if ctx.needs_input_grad[1]:
            of_weight = as_type(grad.T @ counted.to(kind), weight.dtype)
        return of_counts, of_weight, None
