"""What is noted of the solves of fixed points, and which of them are good enough."""

from __future__ import annotations

import json

import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.models.implicit import USABLE_RESIDUAL, Solving, fixed_point
from spk2loihi.models.solve_record import Solves
from spk2loihi.models.solvers import SOLVERS
from support.networks import random_batch, tiny_student


def noisy(x: torch.Tensor) -> torch.Tensor:
    """A contraction to about 2, but for a noise of 1e-3: no solver gets below it."""
    return 0.5 * x + 1 + 1e-3 * torch.sin(1e9 * x)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_small_residual_is_counted_and_a_large_one_refused(solver: str) -> None:
    solves = Solves()
    start = torch.zeros(3, 4, dtype=torch.double)
    x, stat = fixed_point(noisy, start, Solving(solver), "it", solves)
    assert not stat.converged and stat.tolerance < stat.residuals[-1] <= USABLE_RESIDUAL
    assert (x - 2).abs().max() < 0.1
    assert (solves.forward.solves, solves.forward.unconverged) == (1, 1)
    assert solves.forward.largest_residual == solves.forward.residual == stat.residuals[-1]
    with pytest.raises(UserError, match=f"it did not converge: {solver} .* above 0.01 is of no use"):
        fixed_point(lambda x: torch.where(x < 0.5, 1.0, 0.0) + 0 * x, start, Solving(solver), "it", solves)
    assert solves.forward.solves == 1


def test_both_ways_are_noted() -> None:
    solves = Solves()
    weight = torch.tensor([[0.3, 0.4], [-0.2, 0.1]], dtype=torch.double)
    for size in (1.0, 100.0):
        bias = torch.full((5, 2), size, dtype=torch.double, requires_grad=True)
        x, stat = fixed_point(lambda x: x @ weight + bias, torch.zeros_like(bias), Solving(), "it", solves)  # noqa: B023
        x.square().sum().backward()
    for record in (solves.forward, solves.backward):
        assert (record.solves, record.unconverged) == (2, 0)
        assert record.iterations == 2 * record.most_iterations > 4  # the size makes no difference
    assert solves.forward.trace == {"evaluations": [*range(1, stat.iterations + 1)], "residuals": stat.residuals}
    assert solves.backward.residual == solves.backward.trace["residuals"][-1] <= stat.tolerance
    again = Solves()
    again.restart(json.loads(json.dumps(solves.to_dict())))
    assert again == solves
    again.restart()
    assert again == Solves()


def test_mixed_precision_stops_at_a_fixed_point() -> None:
    """Counts of a bfloat16 have 8 bits, and 1,000 of its epsilons are a tolerance of 8."""
    model = tiny_student(feedback=0.8, preset="neurocore").train()
    batch = random_batch()
    with torch.autocast("cpu", torch.bfloat16):
        result = model.equilibrium(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long())
    result.logits.float().square().sum().backward()
    assert len(result.solves) == 2
    for stage, stat in result.solves.items():
        assert stat.tolerance < 2e-4 and stat.iterations > 3, stage
        backward = model.solves[stage].backward
        assert backward.residual < 2e-4 and backward.most_iterations > 3
        assert result.counts[stage].dtype == torch.float32
