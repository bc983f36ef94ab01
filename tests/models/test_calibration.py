"""Where thresholds start: from which values, and how coarse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from spk2loihi.models.neuron import TOLERATED_ERROR, FireGate
from support.networks import random_batch, tiny_student


def thresholds(mask: Tensor, ids: Tensor, preset: str) -> dict[str, float]:
    model = tiny_student(preset=preset)
    with model.calibration():
        model(ids, mask)
    return {name: float(gate.threshold.detach()) for name, gate in model.gates().items()}


@pytest.mark.parametrize("preset", ["spikingbert", "neurocore", "stock"])
def test_padding_has_no_say(preset: str) -> None:
    batch = random_batch(3, (9, 4, 7))
    ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long()
    filled = torch.nn.functional.pad(ids, (0, 5), value=1).where(torch.nn.functional.pad(mask, (0, 5)) > 0, 7)
    padded = thresholds(torch.nn.functional.pad(mask, (0, 5)), filled, preset)
    assert padded == pytest.approx(thresholds(mask, ids, preset), abs=1e-6)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("steps", [8, 16, 64])
def test_a_threshold_is_as_large_as_the_error_allows(signed: bool, steps: int) -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=20_000).astype(np.float32) * 3)
    if not signed:
        values = values.relu()
    gate = FireGate(steps, signed, quantised=True)
    gate.calibrate(values)
    theta = float(gate.threshold.detach())
    assert relative_error(gate, values, theta) <= TOLERATED_ERROR < relative_error(gate, values, 1.1 * theta)


@pytest.mark.parametrize("rows", [3200, 3201])
def test_no_channel_is_left_out(rows: int) -> None:
    """More values than are looked at, one in 24 or so; every 24th channel alone would miss the outlier."""
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(rows, 384)).astype(np.float32))
    values[:, 62] *= 20
    gate = FireGate(64, True, quantised=True)
    gate.calibrate(values)
    assert relative_error(gate, values, float(gate.threshold.detach())) < 1.1 * TOLERATED_ERROR


def test_where_no_threshold_is_good_enough_the_error_is_least() -> None:
    values = torch.from_numpy(np.random.default_rng(0).standard_cauchy(20_000).astype(np.float32)).clamp(-50, 50)
    gate = FireGate(2, True, quantised=True)
    gate.calibrate(values)
    theta = float(gate.threshold.detach())
    least = relative_error(gate, values, theta)
    assert least > TOLERATED_ERROR
    assert all(relative_error(gate, values, by * theta) >= least for by in (0.5, 0.8, 1.25, 2))


def relative_error(gate: FireGate, values: Tensor, theta: float) -> float:
    """Squared error of whole counts, of the mean square."""
    step = theta / gate.timesteps
    counts = np.clip(np.rint(values.numpy() / step), gate.low, gate.timesteps)
    return float(np.mean((counts * step - values.numpy()) ** 2) / np.mean(values.numpy() ** 2))
