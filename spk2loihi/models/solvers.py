"""Fixed-point solvers, by name: find x with ``f(x) = x`` for each row of a batch on its own.

Rows never influence each other: a row that has converged is frozen while others go on, so its result does not depend on
the batch. The design (solvers registered by name, a statistic with the residual trace) is torchdeq's (Geng & Kolter
2023, arXiv 2310.18605).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spk2loihi.errors import UserError

Map = Callable[[Tensor], Tensor]
"""(N, n) -> (N, n), row by row."""

MAX_ITERATIONS = 100
_ANDERSON_MEMORY = 8  # differences Anderson acceleration combines
_TOLERANCE_EPSILONS = 1000  # default tolerance, in machine epsilons: 1.2e-4 in float32, 2.2e-13 in float64


@dataclass
class SolverStat:
    """How a solve went.

    Attributes:
        solver: its registered name.
        tolerance: relative residual at which a row is done.
        residuals: the trace: the largest ``|f(x) - x| / |f(x)|`` (2-norms) of any row, after each of ``evaluations``.
        evaluations: of f, so many at each entry of the trace.
        converged: the last residual is within the tolerance.
    """

    solver: str
    tolerance: float
    residuals: list[float] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    converged: bool = False

    @property
    def iterations(self) -> int:
        """Evaluations of f, all together."""
        return self.evaluations[-1] if self.evaluations else 0


Solver = Callable[[Map, Tensor, int, SolverStat], Tensor]
"""(f, start, most evaluations, statistic to fill in) -> fixed point."""

SOLVERS: dict[str, Solver] = {}


def register(name: str) -> Callable[[Solver], Solver]:
    """Register a solver under ``name``."""

    def add(solver: Solver) -> Solver:
        SOLVERS[name] = solver
        return solver

    return add


def check_solver(name: str) -> str:
    """The name, if there is such a solver.

    Raises:
        UserError: there is none.
    """
    if name not in SOLVERS:
        raise UserError(f"`solver` {name!r} is not known: choose one of {', '.join(sorted(SOLVERS))}")
    return name


def solve(
    f: Map, start: Tensor, solver: str, tolerance: float | None = None, max_iterations: int = MAX_ITERATIONS
) -> tuple[Tensor, SolverStat]:
    """Fixed point of ``f`` near ``start`` (N, n), without gradient, and how it was found.

    Whether it was found is `SolverStat.converged`; the caller knows what to tell the user if it was not.
    """
    if tolerance is None:
        tolerance = _TOLERANCE_EPSILONS * torch.finfo(start.dtype).eps
    stat = SolverStat(solver, tolerance)
    with torch.no_grad():
        x = SOLVERS[check_solver(solver)](f, start, max_iterations, stat)
    return x, stat


def _unfinished(x: Tensor, image: Tensor, stat: SolverStat) -> Tensor:
    """Rows (N, 1) that are not within the tolerance yet; notes the residual."""
    size = image.norm(dim=-1).clamp(min=torch.finfo(x.dtype).tiny)
    residual = (image - x).norm(dim=-1) / size
    stat.residuals.append(float(residual.max()))
    stat.evaluations.append(len(stat.residuals))
    stat.converged = stat.residuals[-1] <= stat.tolerance
    return ~(residual <= stat.tolerance)[:, None]  # a NaN is unfinished


@register("anderson")
def _anderson(f: Map, start: Tensor, max_iterations: int, stat: SolverStat) -> Tensor:
    """Anderson acceleration, type II (Walker & Ni 2011): ``x <- f(x) - (dX + dR) gamma``, gamma the least-squares fit
    of the residual by its last differences dR."""
    x = start
    xs: list[Tensor] = []  # the last iterates and their residuals
    residuals: list[Tensor] = []
    for _ in range(max_iterations):
        image = f(x)
        unfinished = _unfinished(x, image, stat)
        if stat.converged:
            break
        xs, residuals = [*xs, x][-_ANDERSON_MEMORY - 1 :], [*residuals, image - x][-_ANDERSON_MEMORY - 1 :]
        step = image
        if len(xs) > 1:
            dx = torch.stack(xs, -1).diff(dim=-1)  # (N, n, m)
            dr = torch.stack(residuals, -1).diff(dim=-1)
            gram = dr.mT @ dr  # (N, m, m)
            ridge = torch.finfo(x.dtype).eps * gram.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.finfo(x.dtype).tiny
            gram.diagonal(dim1=-2, dim2=-1).add_(ridge[:, None])
            gamma = torch.linalg.solve(gram, dr.mT @ residuals[-1][..., None])  # (N, m, 1)
            step = image - ((dx + dr) @ gamma)[..., 0]
        x = torch.where(unfinished, step, x)
    return x


@register("broyden")
def _broyden(f: Map, start: Tensor, max_iterations: int, stat: SolverStat) -> Tensor:
    """Broyden's good method for ``g(x) = f(x) - x``: the inverse Jacobian is -1 plus one rank a step, by
    Sherman-Morrison."""
    x = start
    us: list[Tensor] = []  # inverse Jacobian B = -1 + sum of u v^T
    vs: list[Tensor] = []

    def apply(b: Tensor) -> Tensor:  # B b
        return -b + sum((u * (v * b).sum(-1, keepdim=True) for u, v in zip(us, vs, strict=True)), torch.zeros_like(b))

    def apply_transposed(a: Tensor) -> Tensor:  # B^T a
        return -a + sum((v * (u * a).sum(-1, keepdim=True) for u, v in zip(us, vs, strict=True)), torch.zeros_like(a))

    image = f(x)
    unfinished = _unfinished(x, image, stat)
    while not stat.converged and stat.iterations < max_iterations:
        g = image - x
        dx = torch.where(unfinished, -apply(g), 0)
        x = x + dx
        image = f(x)
        unfinished = _unfinished(x, image, stat)
        dg = image - x - g
        b_dg, v = apply(dg), apply_transposed(dx)
        scale = (v * dg).sum(-1, keepdim=True)
        usable = scale.abs() > torch.finfo(x.dtype).tiny
        us.append(torch.where(usable, (dx - b_dg) / torch.where(usable, scale, 1), 0))
        vs.append(v)
    return x
