"""The gradient of a fixed point of feedback by every method: error, cosine and CPU time, side by side.

    uv run python benchmarks/implicit_gradients.py [--norm 0.8] [--repeats 3]

A population with feedback, ``x = clip(d + V x, -1, 1)`` for 64 tokens, small (16 channels) and as wide as the demo's
(384); V is random, not symmetric, and of the given norm; a fifth of the neurons is saturated. L = |x - target|^2 / 2.
The gradient is that of V. What is exact is found in float64: a fixed point to 1e-14 and, token by token, a dense linear
system. CPU time is that of the backward pass on one thread, least of the repeats; of unrolled iterations and of finite
differences it is that of all passes, the forward ones too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from spk2loihi.models.implicit import Solving, fixed_point
from spk2loihi.models.solvers import SOLVERS, solve

_TOKENS = 64
_WIDTHS = (16, 384)
_STEPS = (16, 32, 64, 128, 256, 512, 1024)
_ENTRIES = 256  # of V, at most, that finite differences are taken of

Timed = tuple[Tensor, float]
"""A gradient of V (d, d), and seconds of CPU."""


class Problem:
    """V (d, d), drive and target (tokens, d), in one precision."""

    def __init__(self, width: int, norm: float, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(width)
        weight = torch.randn(width, width, dtype=torch.double, generator=generator)
        self.weight = (norm * weight / torch.linalg.matrix_norm(weight, 2)).to(dtype)
        self.drive = (0.75 * torch.randn(_TOKENS, width, dtype=torch.double, generator=generator)).to(dtype)
        self.target = torch.randn(_TOKENS, width, dtype=torch.double, generator=generator).to(dtype)

    def image(self, x: Tensor, weight: Tensor) -> Tensor:
        return (self.drive + x @ weight.T).clamp(-1, 1)

    def loss(self, x: Tensor) -> Tensor:
        return (x - self.target).square().sum() / 2

    def solved(self, weight: Tensor) -> Tensor:
        return solve(lambda x: self.image(x, weight), self.drive.clamp(-1, 1), "anderson")[0]

    def exact(self) -> Tensor:
        """dL/dV = (D lambda)^T x, with D the derivative of the clip and ``lambda = dL/dx + V^T D lambda``."""
        x = self.solved(self.weight)
        inside = (x.abs() < 1).to(x.dtype)  # (tokens, d)
        system = torch.eye(len(self.weight), dtype=x.dtype) - self.weight.T * inside[:, None, :]
        adjoint = torch.linalg.solve(system, (x - self.target)[..., None])[..., 0]
        return (inside * adjoint).T @ x

    def implicit(self, solving: Solving) -> Timed:
        weight = self.weight.clone().requires_grad_()
        x, _ = fixed_point(lambda x: self.image(x, weight), self.drive.clamp(-1, 1), solving, "the population")
        loss = self.loss(x)
        started = time.process_time()
        (gradient,) = torch.autograd.grad(loss, weight)
        return gradient, time.process_time() - started

    def unrolled(self, iterations: int) -> Timed:
        weight, started = self.weight.clone().requires_grad_(), time.process_time()
        x = self.drive.clamp(-1, 1)
        for _ in range(iterations):
            x = self.image(x, weight)
        (gradient,) = torch.autograd.grad(self.loss(x), weight)
        return gradient, time.process_time() - started

    def differences(self) -> Timed:
        """Central ones, of every entry of a small V and of as many of a large one; 0 elsewhere."""
        step = torch.finfo(self.weight.dtype).eps ** (1 / 3)
        gradient, started = torch.zeros_like(self.weight), time.process_time()
        for entry in entries(self.weight):
            ends = []
            for sign in (1, -1):
                moved = self.weight.flatten().clone()
                moved[entry] += sign * step
                ends.append(self.loss(self.solved(moved.view_as(self.weight))))
            gradient.view(-1)[entry] = (ends[0] - ends[1]) / (2 * step)
        return gradient, time.process_time() - started


def entries(weight: Tensor) -> list[int]:
    return list(range(0, weight.numel(), max(1, weight.numel() // _ENTRIES)))


def cells(exact: Tensor, run: Callable[[], Timed], repeats: int) -> str:
    found = [run() for _ in range(repeats)]
    gradient, seconds = found[0][0].double(), min(each[1] for each in found)
    error = float((gradient - exact).norm() / exact.norm())
    cosine = float(torch.cosine_similarity(gradient.flatten(), exact.flatten(), dim=0))
    return f"{error:.1e} | {cosine:.6f} | {1000 * seconds:,.1f}"


def table(width: int, norm: float, repeats: int) -> None:
    exact = Problem(width, norm, torch.double).exact()
    kept = torch.zeros(exact.numel(), dtype=torch.double)
    kept[entries(exact)] = 1
    problems = [Problem(width, norm, dtype) for dtype in (torch.double, torch.float)]
    print(f"\n{width} channels, |V| = {norm:g}\n")
    print("| gradient | float64: error | cosine | CPU ms | float32: error | cosine | CPU ms |")
    print("|---" * 7 + "|")

    def row(name: str, run: Callable[[Problem], Timed], wanted: Tensor = exact, times: int = repeats) -> None:
        print(f"| {name} | " + " | ".join(cells(wanted, lambda: run(p), times) for p in problems) + " |", flush=True)  # noqa: B023

    row(f"finite differences, {int(kept.sum())} entries", Problem.differences, exact * kept.view_as(exact), 1)
    for solver in SOLVERS:
        row(f"solver, {solver}", lambda p: p.implicit(Solving(solver)))  # noqa: B023
    for name, of in (
        ("unrolled", lambda p, n: p.unrolled(n)),
        ("SPIDE", lambda p, n: p.implicit(Solving("anderson", "spide", n))),
    ):
        for steps in _STEPS:
            row(f"{name}, {steps:,} steps", lambda p: of(p, steps))  # noqa: B023


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--norm", type=float, default=0.8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for width in _WIDTHS:
        table(width, arguments.norm, arguments.repeats)


if __name__ == "__main__":
    main()
