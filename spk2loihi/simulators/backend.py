"""The interface every backend keeps, and what a run returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.limits import MEMBRANE_MAX
from spk2loihi.network.bounds import check_settling, worst_step
from spk2loihi.network.network import Encoding, Network, Schedule
from spk2loihi.simulators.counters import Counts, EventSums, Settled

Trains = dict[str, NDArray[np.int8]]
"""Recorded spikes of every firing stage: (steps, B, L, d), or (steps, B, H, L, L) for scores; L is 1 for first-token
stages. Steps are the stage's local time: its window, or its part of a pipelined run. Padded neurons are 0."""


@dataclass
class Run:
    """What one batch did.

    Attributes:
        logits: membrane of the readout, (B, labels) integers. Pipelined: scaled to a window of T steps.
        counts: signed sum of every firing stage's spikes.
        events: messages every firing stage sent: spikes of either sign, or graded messages.
        trains: spikes step by step, if recorded.
        steps: steps of a window (1 when graded), of a pipelined run, or of a settling one until its slowest sentence
            was silent.
        latency_steps: time steps of the whole run.
        settled: settling runs only.
    """

    logits: NDArray[np.int64]
    counts: Counts
    events: Counts
    trains: Trains | None
    steps: int
    latency_steps: int
    settled: Settled | None = None


@dataclass(frozen=True)
class Totals:
    """What `simulate` needs of a batch: as `Run`, but sums of every firing stage's events instead of the events."""

    logits: NDArray[np.int64]
    sums: dict[str, EventSums]
    steps: int
    latency_steps: int
    settled: Settled | None = None


class Backend(ABC):
    """Runs one network. Results never depend on batch composition: a sentence alone gives what it gives in a batch.

    Args:
        steps: steps of a pipelined run; the most a settling run may take, `Network.settling_bound` if not given;
            windowed runs take the network's own T.

    Raises:
        UserError: the combination is not defined, or a pipelined run would overflow a membrane.
    """

    name: str

    def __init__(
        self,
        network: Network,
        schedule: Schedule = "windowed",
        encoding: Encoding = "rate",
        steps: int | None = None,
    ) -> None:
        self.network = network
        self.schedule = schedule
        self.encoding = encoding
        if schedule == "windowed":
            if steps not in (None, network.timesteps):
                raise UserError(
                    f"timesteps is {steps}, but this network was exported for windows of {network.timesteps} steps: "
                    "leave --timesteps out, use --schedule pipelined, or train again"
                )
            self.steps = network.timesteps if encoding == "rate" else 1
            return
        if encoding == "graded":
            raise UserError("graded spikes are defined for the windowed schedule only: use --encoding rate")
        default = network.timesteps if schedule == "pipelined" else network.settling_bound()
        self.steps = default if steps is None else steps
        if self.steps < 1:
            raise UserError(f"timesteps is {self.steps}, but a run has at least 1 step: choose a larger --timesteps")
        if schedule == "pipelined":
            self._check_pipelined()
        else:
            check_settling(network)

    def _check_pipelined(self) -> None:
        overflow = pipelined_overflow(self.network, self.steps)
        if overflow is not None:
            stage, bound = overflow
            raise UserError(
                f"stage {stage}: worst-case drive {bound} a step of a pipelined run of {self.steps} steps exceeds "
                f"{MEMBRANE_MAX} (24 bits): choose a smaller --timesteps"
            )

    @property
    def latency_steps(self) -> int:
        """Of a windowed or pipelined run. Only a settling run itself knows when it was silent (`Run`)."""
        return self.network.latency_steps(self.schedule, self.steps)

    @abstractmethod
    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        """Run one batch of sentences."""

    def totals(self, batch: TokenBatch) -> Totals:
        """Run one batch for its answers and sums alone, which may take less time and memory than `run`."""
        run = self.run(batch)
        spikes = run.counts if self.encoding == "graded" else run.events  # +1 and -1 are two spikes, not none
        sums = {name: EventSums.of(spikes[name], events) for name, events in run.events.items()}
        return Totals(run.logits, sums, run.steps, run.latency_steps, run.settled)

    def close(self) -> None:  # noqa: B027 (most backends hold nothing)
        """Release what the backend holds (Lava: its runtime)."""


def not_silent(stage: str, network: Network, steps: int) -> UserError:
    """What a settling run that has reached its limit says."""
    return UserError(
        f"stage {stage} is not silent after {steps} steps, the limit set with --timesteps: this network may need "
        f"{network.settling_bound()}, so choose a larger --timesteps or leave it out"
    )


def pipelined_overflow(network: Network, steps: int) -> tuple[str, int] | None:
    """First stage one step's drive of which could leave 24 bits in a pipelined run, with its bound; None if none can.

    Membranes saturate, and running sums are kept in 64 bits, so only attention, whose fast weights grow with the number
    of steps, limits it.
    """
    for stage in network.stages:
        bound = worst_step(network, stage, steps)
        if bound > MEMBRANE_MAX:
            return stage.name, bound
    return None
