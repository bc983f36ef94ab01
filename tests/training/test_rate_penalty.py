"""The rate penalty against the counters of the simulators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.export.fold import fold
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.operation_counter import count_operations
from spk2loihi.training.losses import t_times_density
from spk2loihi.training.processes import Batch
from support.networks import random_batch, timeline, tiny_student


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_it_is_what_the_simulator_counts(preset: str) -> None:
    """With every weight a synapse and skips left out, as the penalty has it."""
    model, batch = tiny_student(preset=preset), random_batch()
    network = fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {})
    full = [
        replace(s, synapses=tuple(replace(g, weight=np.ones_like(g.weight)) for g in s.synapses if not g.one_to_one))
        for s in network.stages
    ]
    run = Emulator(network).run(batch)
    ops = count_operations(timeline(replace(network, stages=tuple(full))), run.events, batch.lengths)
    expected = sum(o.synops for o in ops) / sum(o.dense for o in ops if o.kind in ("linear", "readout"))
    mask = torch.from_numpy(batch.mask).long()
    result = model.equilibrium(torch.from_numpy(batch.input_ids), mask, torch.from_numpy(batch.token_type_ids))
    assert t_times_density(model, result, mask, Batch(mask, mask)).item() == pytest.approx(expected, rel=1e-5)


def test_descending_it_silences_spikes() -> None:
    model, batch = tiny_student().train(), random_batch()
    mask = torch.from_numpy(batch.mask).long()
    inputs = (torch.from_numpy(batch.input_ids), mask, torch.from_numpy(batch.token_type_ids))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    seen = []
    for _ in range(15):
        penalty = t_times_density(model, model.equilibrium(*inputs), mask, Batch(mask, mask))
        optimiser.zero_grad()
        penalty.backward()
        optimiser.step()
        seen.append(penalty.item())
    assert seen[-1] < 0.7 * seen[0]
