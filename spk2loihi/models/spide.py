"""SPIDE's second phase: the implicit gradient from spikes (Xiao et al. 2023, arXiv 2302.00232).

At a fixed point ``x = f(x, p)`` the gradient needs lambda, with ``lambda = dL/dx + J^T lambda`` (`implicit`). Here a
population of ternary neurons finds it, one for each neuron of the fixed point, with dL/dx as a constant current and
every synapse of the feedback turned round. Their average rate over N steps differs from lambda by an error of order
1/N.

One step of a neuron, with the threshold theta of its row (token), in this order:

1. Integrate: ``u += dL/dx + J^T s``, with the spikes s of the step before. u starts at 0. No leak.
2. Compare: +1 where ``u >= theta``, -1 where ``u <= -theta``, else 0.
3. Soft reset: ``u -= 2 theta`` after +1, ``u += 2 theta`` after -1. A spike is worth what it takes, 2 theta.

These are the paper's ternary neurons with the reset potential it proposes (in its code a threshold of 0.5 and a spike
worth 1), so that at most half a spike of either sign is left in a membrane.

The paper fits the gradient to the spikes: its code multiplies the loss by a constant, 100 or 400. Here the spikes are
fitted to the gradient, row by row, as gradients shrink in training and differ from token to token: a spike is worth
`HEADROOM` times the largest |dL/dx| of the row. A row in which a neuron could not keep up runs again with spikes worth
twice as much, as long as that leaves a smaller residual.

Spikes are what travels between the neurons; synaptic operations add a row of J^T for each. No spikes are dL/dx, which
arrives from the layers above as a real number, theta, and the product of lambda with the rates of the network that
changes the weights, taken once at the end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from spk2loihi.models.solvers import Map, SolverStat

HEADROOM = 1.5  # over the largest |dL/dx|, for what J^T adds to it; less makes rows late, more is error


def spiking_adjoint(product: Map, gradient: Tensor, steps: int) -> tuple[Tensor, SolverStat]:
    """lambda as the average rate (N, n) of ternary neurons, and what it lacks to solve its equation.

    Args:
        product: y -> J^T y, row by row.
        gradient: dL/dx (N, n).
        steps: of time, N above.

    Returns:
        lambda and a statistic, whose trace is at powers of two. It has converged if every neuron kept up: no membrane
        ends further than one spike from 0. There is no tolerance for the residual, which falls as 1/steps.
    """
    with torch.no_grad():
        worth = HEADROOM * gradient.abs().amax(-1, keepdim=True)  # (N, 1)
        best = _run(product, gradient, worth, steps)
        late = best.late
        while bool(late.any()):
            worth = 2 * worth
            new = _run(product, gradient, worth, steps)
            late = late & (new.residuals[-1] < best.residuals[-1])  # of the others no worth is large enough
            best = _Run(*(torch.where(late, x, y) for x, y in zip(new, best, strict=True)))
            late = late & best.late
        residuals = best.residuals.amax(dim=(-2, -1)).tolist()
        converged = not bool(best.late.any()) and math.isfinite(residuals[-1])
        return best.rate, SolverStat("spide", math.inf, residuals, _noted(steps), converged)


class _Run(NamedTuple):
    """One run of the neurons.

    Attributes:
        rate: (N, n), on average.
        residuals: relative, (entries of the trace, N, 1).
        late: rows (N, 1) in which a neuron did not keep up.
    """

    rate: Tensor
    residuals: Tensor
    late: Tensor


def _run(product: Map, gradient: Tensor, worth: Tensor, steps: int) -> _Run:
    """``worth`` (N, 1): of a spike."""
    theta, noted, residuals = worth / 2, _noted(steps), []
    u, total, current = torch.zeros_like(gradient), torch.zeros_like(gradient), gradient
    for step in range(1, steps + 1):
        u = u + current  # (N, n)
        s = worth * ((u >= theta).to(u.dtype) - (u <= -theta).to(u.dtype))
        u, total = u - s, total + s
        arriving = product(s)
        current = gradient + arriving
        if step in noted:
            lacking = u + arriving  # step * (dL/dx + J^T lambda - lambda), without another product
            size = (total + lacking).norm(dim=-1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)
            residuals.append(lacking.norm(dim=-1, keepdim=True) / size)
    return _Run(total / steps, torch.stack(residuals), (u.abs() > worth).any(-1, keepdim=True))


def _noted(steps: int) -> list[int]:
    """Steps after which the residual is taken: powers of two and the last."""
    return sorted({steps, *(2**k for k in range(steps.bit_length()))})
