"""Fixed points that are differentiated implicitly: no memory over the iterations of the solver.

At ``x = f(x, p)`` the implicit function theorem gives ``dL/dp = lambda^T df/dp`` with ``lambda = dL/dx + J^T lambda``,
J = df/dx at x (Bai et al. 2019, arXiv 1909.01377; Xiao et al. 2021 for spiking networks). The linear system for lambda
is itself a fixed point, which the same solver solves.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.errors import UserError
from spk2loihi.models.solvers import Map, SolverStat, solve


class _Adjoint(torch.autograd.Function):
    """Identity whose gradient is lambda for the incoming dL/dx."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, product: Map, solver: str, what: str) -> Tensor:
        """``product`` is y -> J^T y at the fixed point ``image``."""
        ctx.product, ctx.solver, ctx.what = product, solver, what
        return image.view_as(image)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads

        adjoint, stat = solve(lambda y: grad + ctx.product(y), grad, ctx.solver)
        _check(stat, f"the gradient of {ctx.what}")
        return adjoint, None, None, None


def fixed_point(f: Map, start: Tensor, solver: str, what: str) -> tuple[Tensor, SolverStat]:
    """x (N, n) with ``f(x) = x``, with the gradients of the implicit function theorem, and how it was found.

    Args:
        f: row by row; parameters it closes over get their gradients.
        what: what the fixed point is of, for the message of a failure.

    Raises:
        UserError: no fixed point was found; on the way back, no solution of the linear system.
    """
    x, stat = solve(f, start, solver)
    _check(stat, what)
    point = x.requires_grad_(torch.is_grad_enabled())
    image = f(point)  # one evaluation with a graph: to the parameters, and to the point for J
    if not image.requires_grad:
        return image, stat

    def product(y: Tensor) -> Tensor:
        with torch.enable_grad():
            return torch.autograd.grad(image, point, y, retain_graph=True)[0]

    return cast(Tensor, _Adjoint.apply(image, product, solver, what)), stat


def _check(stat: SolverStat, what: str) -> None:
    if not stat.converged:
        raise UserError(
            f"{what} did not converge: {stat.solver} left a residual of {stat.residuals[-1]:.2g} after "
            f"{stat.iterations} evaluations, above the tolerance {stat.tolerance:.2g}: lower the bound `feedback` on "
            "the feedback weights, or use the other solver"
        )
