"""Fixed points that are differentiated implicitly: no memory over the iterations of the solver.

At ``x = f(x, p)`` the implicit function theorem gives ``dL/dp = lambda^T df/dp`` with ``lambda = dL/dx + J^T lambda``,
J = df/dx at x (Bai et al. 2019, arXiv 1909.01377; Xiao et al. 2021 for spiking networks). The linear system for lambda
is itself a fixed point. The solver of x solves it too, or spiking neurons do (`spide`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.errors import UserError
from spk2loihi.models.solve_record import Solves
from spk2loihi.models.solvers import SOLVERS, Map, SolverStat, solve
from spk2loihi.models.spide import spiking_adjoint

USABLE_RESIDUAL = 1e-2
"""Largest relative residual at which a solve that missed its tolerance is used all the same, and counted.

A rate that is rounded to n/16 is off by up to 3e-2, so such an error drowns; from a larger one no one should go on.
"""


@dataclass(frozen=True)
class Solving:
    """How a fixed point and its gradient are found.

    Attributes:
        solver: of the fixed point, one of `SOLVERS`.
        gradient: ``solver``: the same solves for lambda; ``spide``: spikes do.
        gradient_steps: time steps of ``spide``.
    """

    solver: str = "anderson"
    gradient: str = "solver"
    gradient_steps: int = 64

    def adjoint(self, product: Map, gradient: Tensor) -> tuple[Tensor, SolverStat]:
        """lambda (N, n) of dL/dx ``gradient``, where ``product`` is y -> J^T y."""
        if self.gradient == "spide":
            return spiking_adjoint(product, gradient, self.gradient_steps)
        return solve(lambda y: gradient + product(y), gradient, self.solver)


class _Adjoint(torch.autograd.Function):
    """Identity whose gradient is lambda for the incoming dL/dx."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, product: Map, solving: Solving, what: str, solves: Solves) -> Tensor:
        """``product`` is y -> J^T y at the fixed point ``image``."""
        ctx.product, ctx.solving, ctx.what, ctx.solves = product, solving, what, solves
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        adjoint, stat = ctx.solving.adjoint(ctx.product, grads[0])
        _check(stat, f"the gradient of {ctx.what}")
        ctx.solves.backward.add(stat)
        return adjoint, None, None, None, None


def fixed_point(
    f: Map, start: Tensor, solving: Solving, what: str, solves: Solves | None = None
) -> tuple[Tensor, SolverStat]:
    """x (N, n) with ``f(x) = x``, with the gradients of the implicit function theorem, and how it was found.

    Args:
        f: row by row; parameters it closes over get their gradients.
        what: what the fixed point is of, for the message of a failure.
        solves: to which both solves are added.

    Raises:
        UserError: no fixed point was found, not even within `USABLE_RESIDUAL`; on the way back, no solution of the
            linear system.
    """
    solves = Solves() if solves is None else solves
    x, stat = solve(f, start, solving.solver)
    _check(stat, what)
    solves.forward.add(stat)
    point = x.requires_grad_(torch.is_grad_enabled())
    image = f(point)  # one evaluation with a graph: to the parameters, and to the point for J
    if not image.requires_grad:
        return image, stat

    def product(y: Tensor) -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(image, point, y, retain_graph=True)[0]

    return cast(Tensor, _Adjoint.apply(image, product, solving, what, solves)), stat


def _check(stat: SolverStat, what: str) -> None:
    residual, most = stat.residuals[-1], USABLE_RESIDUAL if stat.solver in SOLVERS else math.inf
    if not (stat.converged or residual < most):  # a NaN is neither
        raise UserError(
            f"{what} did not converge: {stat.solver} left a residual of {residual:.2g} after {stat.iterations} "
            f"evaluations, and one above {USABLE_RESIDUAL:g} is of no use: lower the bound `feedback` on the feedback "
            "weights, or use the other solver"
        )
