"""The true spiking dynamics in torch, step by step: what the equilibrium of `spiking_bert` is the equilibrium of.

Slow on purpose and independent of the integer simulators: it exists to check them and the equilibrium.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification
from spk2loihi.models.stage import TorchStage

Trains = dict[str, Tensor]
"""Spikes by stage, (steps, B, L, d), in each stage's local time: all groups of synapses are delay-aligned."""


@torch.no_grad()
def spiking_dynamics(
    model: SpikingBertForSequenceClassification,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
    schedule: Literal["windowed", "pipelined"] = "windowed",
    steps: int | None = None,
) -> tuple[Trains, Tensor]:
    """Spike trains of every stage and the logits (B, labels).

    Windowed: a stage sums the drive of T steps, then fires for T steps; steps is the model's T.
    Pipelined: every gate is open from the start. A neuron spikes so that its average rate follows that of its *charge*:
    the sum of its drive so far, or, with a soma function f or an attention product, ``t f(running mean of the drive)``.
    Spikes sent on an early, wrong mean are thereby taken back, so every stage is as close as 1/t to its equilibrium.
    """
    window = model.config.timesteps
    steps = window if steps is None else steps
    if schedule == "windowed" and steps != window:
        raise ValueError(f"a windowed run of this model has {window} steps, not {steps}")
    trains: Trains = {}
    for stage in model.stages(input_ids, attention_mask, token_type_ids):
        running: Trains = {name: train.cumsum(0) for name, train in trains.items()}
        if stage.gate is None:
            u, unit = stage.drive({name: c[-1] for name, c in running.items()}, steps)
            return trains, (u * unit)[:, 0] * (window / steps)
        trains[stage.name] = _fire(stage, running, schedule, steps, window)
    raise AssertionError("a network ends in a readout")


def _fire(stage: TorchStage, running: Trains, schedule: str, steps: int, window: int) -> Tensor:
    """Spike train (steps, ...) of one stage, given the running spike counts of the stages before it."""
    gate = stage.gate
    assert gate is not None

    def charge(at: int) -> tuple[Tensor, Tensor, Tensor]:
        """Charge of ``at`` steps, threshold and half threshold, in the same units; windowed, with at = T, the drive."""
        u, unit = stage.drive({name: c[at - 1] for name, c in running.items()}, at)
        if stage.uses_mean:
            u = u * (window / at) ** stage.order  # the running mean, over a window of T steps
        if stage.rescale is not None:
            u, unit = stage.rescale(u, unit)
        threshold = gate.integer_threshold(unit) if stage.soma is None else gate.spike_value
        half = (threshold / 2).floor() if stage.soma is None else threshold / 2
        if stage.soma is not None:
            u = stage.soma(u, unit)
        if stage.uses_mean and schedule == "pipelined":
            u = u.clamp(gate.low * threshold, window * threshold) * (at / window)
        return u, threshold, half

    spikes = []
    emitted = torch.zeros(())  # signed sum of the spikes so far
    for t in range(1, steps + 1):
        if t == 1 or schedule == "pipelined":  # windowed, all drive has arrived before the gate opens
            value, threshold, half = charge(t if schedule == "pipelined" else steps)
        membrane = value + half - threshold * emitted
        s = (membrane >= threshold).to(threshold.dtype)
        if gate.signed:
            s = s - (membrane < 0).to(threshold.dtype)
        emitted = emitted + s
        spikes.append(s if stage.mask is None else s * stage.mask)
    return torch.stack(spikes)
