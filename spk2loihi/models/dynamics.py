"""The true spiking dynamics in torch, step by step: what the equilibrium of `spiking_bert` is the equilibrium of.

Slow on purpose and independent of the integer simulators: it exists to check them and the equilibrium.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification
from spk2loihi.models.torch_stage import Counts, TorchStage

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

    With a leak all sums over time are weighted sums, ``sum over tau of (1 - leak)**(t - tau) x(tau)``, and t is the sum
    of the weights. For a neuron without soma function that is: leak towards theta/2, add the drive, compare, reset.
    Feedback takes one step.
    """
    config = model.config
    if config.preset not in SPIKING_PRESETS:
        raise ValueError(f"a student of the {config.preset} preset sends payloads, not spikes")
    steps = config.timesteps if steps is None else steps
    if schedule == "windowed" and (steps != config.timesteps or config.leak or config.feedback):
        raise ValueError(f"a windowed run has {config.timesteps} steps, not {steps}, no leak and no feedback")
    clock = _Clock(config.timesteps, schedule, steps, 1 - config.leak)
    trains: Trains = {}
    running: Trains = {}
    for stage in model.stages(input_ids, attention_mask, token_type_ids):
        if stage.gate is None:
            u, unit = stage.drive({name: c[-1] for name, c in running.items()}, clock.weight(steps))
            logits = u * unit * (config.timesteps / clock.weight(steps))
            return trains, logits if config.head == "tokens" else logits[:, 0]
        trains[stage.name] = _fire(stage, running, clock)
        running[stage.name] = clock.running_sum(trains[stage.name])
    raise AssertionError("a network ends in a readout")


@dataclass(frozen=True)
class _Clock:
    """Time of a run, and sums over it."""

    window: int  # T
    schedule: str
    steps: int
    decay: float  # weight of a step relative to the next

    def weight(self, t: int) -> float:
        """Sum of the weights of the first t steps: t without leak."""
        return float(t) if self.decay == 1 else (1 - self.decay**t) / (1 - self.decay)

    def running_sum(self, train: Tensor) -> Tensor:
        """Weighted sums (steps, ...) of the spikes up to each step."""
        total, sums = torch.zeros_like(train[0]), []
        for spikes in train:
            total = self.decay * total + spikes
            sums.append(total)
        return torch.stack(sums)


def _fire(stage: TorchStage, running: Trains, clock: _Clock) -> Tensor:
    """Spike train (steps, ...) of one stage, given the running spike counts of the stages before it."""
    gate, window = stage.gate, clock.window
    assert gate is not None

    def charge(at: int, own: Counts) -> tuple[Tensor, Tensor, Tensor]:
        """Charge of ``at`` steps, threshold and half threshold, in the same units; windowed, with at = T, the drive."""
        weight = clock.weight(at)
        u, unit = stage.drive({name: c[at - 1] for name, c in running.items()} | own, weight)
        if stage.uses_mean:
            u = u * (window / weight) ** stage.order  # the running mean, over a window of T steps
        if stage.rescale is not None:
            u, unit = stage.rescale(u, unit)
        threshold = gate.integer_threshold(unit) if stage.soma is None else gate.spike_value
        half = (threshold / 2).floor() if stage.soma is None and gate.quantised else threshold / 2
        if stage.soma is not None:
            u = stage.soma(u, unit)
        if stage.uses_mean and clock.schedule == "pipelined":
            u = u.clamp(gate.low * threshold, window * threshold) * (weight / window)
        return u, threshold, half

    spikes: list[Tensor] = []
    emitted = torch.zeros(())  # weighted sum of the spikes so far
    for t in range(1, clock.steps + 1):
        if clock.schedule == "pipelined":  # spikes of the step before arrive now, with the weight of now
            value, threshold, half = charge(t, {stage.name: emitted} if stage.feedback and spikes else {})
        elif t == 1:  # windowed: all drive has arrived before the gate opens
            value, threshold, half = charge(clock.steps, {})
        emitted = clock.decay * emitted
        membrane = value + half - threshold * emitted
        s = (membrane >= threshold).to(threshold.dtype)
        if gate.signed:
            s = s - (membrane < 0).to(threshold.dtype)
        emitted = emitted + s
        spikes.append(s if stage.mask is None else s * stage.mask)
    return torch.stack(spikes)
