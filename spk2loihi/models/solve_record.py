"""What the solves of a training were like: iterations, residuals and failures of each fixed point, for its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from spk2loihi.models.solvers import SolverStat


@dataclass
class SolveRecord:
    """Of one direction of one fixed point.

    Attributes:
        solves: how many there were.
        unconverged: of these, that ended above their tolerance and were used all the same.
        iterations: evaluations of f, all together.
        most_iterations: of any solve.
        residual: at the end of the last solve.
        largest_residual: at the end of any solve.
        trace: of the last solve: its residuals after so many evaluations.
    """

    solves: int = 0
    unconverged: int = 0
    iterations: int = 0
    most_iterations: int = 0
    residual: float | None = None
    largest_residual: float | None = None
    trace: dict[str, list[Any]] = field(default_factory=lambda: {"evaluations": [], "residuals": []})

    def add(self, stat: SolverStat) -> None:
        self.solves += 1
        self.unconverged += not stat.converged
        self.iterations += stat.iterations
        self.most_iterations = max(self.most_iterations, stat.iterations)
        self.residual = stat.residuals[-1]
        self.largest_residual = max(self.residual, self.largest_residual or 0.0)
        self.trace = {"evaluations": list(stat.evaluations), "residuals": list(stat.residuals)}


@dataclass
class Solves:
    """Of one fixed point: its own solves, and those of the linear systems of its gradients."""

    forward: SolveRecord = field(default_factory=SolveRecord)
    backward: SolveRecord = field(default_factory=SolveRecord)

    def restart(self, record: dict[str, Any] | None = None) -> None:
        """Count from 0, or from what `to_dict` returned."""
        record = record or {"forward": {}, "backward": {}}
        self.forward, self.backward = SolveRecord(**record["forward"]), SolveRecord(**record["backward"])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
