"""The interface every backend keeps, and what a run returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.limits import MEMBRANE_MAX
from spk2loihi.network.bounds import check_settling, largest_step, worst_step
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.simulators.counters import Counts, EventSums, Settled

Trains = dict[str, NDArray[np.int8]]
"""Recorded spikes of every firing stage: (steps, B, L, d), or (steps, B, H, L, L) for scores; L is 1 for first-token
stages. Steps are the stage's local time: its window, or its part of a pipelined run. Padded neurons are 0."""

Populations = dict[str, NDArray[Any]]
"""Messages of every neuron process of a streamed run, by name: (steps, neurons) integers."""


@dataclass
class Run:
    """What one batch did.

    Attributes:
        logits: membrane of the readout, (B, labels) integers, or (B, L, labels) of tags, padding 0. Pipelined: scaled
            to a window of T steps.
        counts: signed sum of every firing stage's spikes.
        events: messages every firing stage sent: spikes of either sign, or graded messages.
        trains: spikes step by step, if recorded.
        steps: steps of a window (1 when graded), of a pipelined run, or of a settling one until its slowest sentence
            was silent.
        latency_steps: time steps of the whole run.
        settled: settling runs only.
        populations: what every process of a streamed run sent, by name, (steps, neurons) each, if recorded by a backend
            that has them.
    """

    logits: NDArray[np.int64]
    counts: Counts
    events: Counts
    trains: Trains | None
    steps: int
    latency_steps: int
    settled: Settled | None = None
    populations: Populations | None = None


@dataclass(frozen=True)
class Totals:
    """What `simulate` needs of a batch: as `Run`, but sums of every firing stage's events instead of the events."""

    logits: NDArray[np.int64]
    sums: dict[str, EventSums]
    steps: int
    latency_steps: int
    settled: Settled | None = None


def stacked(logits: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Answers of several batches as those of one: (B, labels), or (B, L, labels), padded to the longest with 0."""
    if logits[0].ndim == 2:
        return np.concatenate(logits)
    longest = max(each.shape[1] for each in logits)
    return np.concatenate([np.pad(each, [(0, 0), (0, longest - each.shape[1]), (0, 0)]) for each in logits])


class Backend(ABC):
    """Runs one network. Results never depend on batch composition: a sentence alone gives what it gives in a batch.

    Args:
        config: how to run; the network's default if not given.

    Raises:
        UserError: the network cannot run so, or a membrane could overflow.
    """

    name: str

    def __init__(self, network: Network, config: RunConfig | None = None) -> None:
        self.network = network
        self.timeline = Timeline(network, config or network.defaults)
        if self.timeline.schedule == "pipelined":
            self._check_pipelined()
        elif self.timeline.schedule == "settling":
            check_settling(network)

    def _check_pipelined(self) -> None:
        overflow = pipelined_overflow(self.network, self.timeline.steps)
        if overflow is not None:
            stage, bound = overflow
            limit = largest_step(self.network, self.network[stage])
            raise UserError(
                f"stage {stage}: worst-case drive {bound} a step of a pipelined run of {self.timeline.steps} steps "
                f"exceeds {limit} ({24 if limit == MEMBRANE_MAX else 32} bits): choose a smaller `timesteps`"
            )

    @abstractmethod
    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        """Run one batch of sentences."""

    def totals(self, batch: TokenBatch) -> Totals:
        """Run one batch for its answers and sums alone, which may take less time and memory than `run`."""
        run = self.run(batch)
        spikes = run.counts if self.timeline.encoding == "graded" else run.events  # +1 and -1 are two spikes, not none
        sums = {name: EventSums.of(spikes[name], events) for name, events in run.events.items()}
        return Totals(run.logits, sums, run.steps, run.latency_steps, run.settled)

    def close(self) -> None:  # noqa: B027 (most backends hold nothing)
        """Release what the backend holds (Lava: its runtime)."""


def not_silent(stage: str, timeline: Timeline) -> UserError:
    """What a settling run that has reached its limit says."""
    return UserError(
        f"stage {stage} is not silent after {timeline.steps} steps, the limit set with `timesteps`: this network may "
        f"need {timeline.settling_bound()}, so choose a larger `timesteps` or leave it out"
    )


def pipelined_overflow(network: Network, steps: int) -> tuple[str, int] | None:
    """First stage one step's drive of which could leave 24 bits in a pipelined run, with its bound; None if none can.

    Membranes saturate, and running sums are kept in 64 bits, so only attention, whose fast weights grow with the number
    of steps (of leaky neurons up to 1 / leak), limits it.
    """
    for stage in network.stages:
        bound = worst_step(network, stage, steps)
        if bound > largest_step(network, stage):
            return stage.name, bound
    return None
