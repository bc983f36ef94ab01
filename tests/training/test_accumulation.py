"""A batch that is computed in parts gives the gradients of the whole batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from spk2loihi.errors import UserError
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import TinyTask


def first_step(task: TinyTask, parts: int) -> tuple[list[torch.Tensor], list[dict[str, float]]]:
    """Clipped gradients of one step, and what callbacks see of it."""
    settings = replace(
        SMALL, teacher=str(task.tuned), batch_size=8, accumulate=parts, steps=1, losses=LossWeights(rate=0.1)
    )
    gradients: list[torch.Tensor] = []

    def keep(optimiser: torch.optim.Optimizer, *_: object) -> None:
        for group in optimiser.param_groups:
            gradients.extend(p.grad.clone() for p in group["params"] if p.grad is not None)

    seen: list[dict[str, float]] = []
    handle = register_optimizer_step_pre_hook(keep)
    try:
        train(spec_of(task), settings, None, callbacks=[lambda phase, step, values: seen.append(dict(values))])
    finally:
        handle.remove()
    return gradients, seen


def test_parts_have_the_gradients_of_the_whole(tiny_task: TinyTask) -> None:
    whole, seen = first_step(tiny_task, 1)
    parts, seen_of_parts = first_step(tiny_task, 4)  # sentences of several lengths, so parts of unlike weight
    assert len(whole) == len(parts) > 20
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * float(a.abs().max()))
    for name in ("loss", "t_times_density"):
        assert seen_of_parts[0][name] == pytest.approx(seen[0][name], rel=1e-5)


def test_parts_that_do_not_divide_the_batch(tiny_task: TinyTask) -> None:
    with pytest.raises(UserError, match="`accumulate` is 3, which does not divide `batch_size` 8"):
        first_step(tiny_task, 3)
