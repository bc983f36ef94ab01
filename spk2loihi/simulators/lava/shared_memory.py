"""Memory shared between the host and Lava's process models, and the time axis they agree on.

Lava's own ``Var.get`` and ``Var.set`` move one element a message. The arrays here are anonymous shared mappings made
before the Lava runtime forks its processes: they have no name, need no clean-up and vanish with their last user.
"""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.network.leak import Leak
from spk2loihi.network.network import Stage
from spk2loihi.network.run_config import Timeline
from spk2loihi.simulators.lava.packing import Grid

Shape = tuple[int, ...]

SETTLING_PART = 16
"""Steps of a settling run between two looks whether it is silent: Lava has to be told a number of steps beforehand."""


@dataclass(frozen=True)
class Timing:
    """The time axis of a run.

    Attributes:
        steps: steps of a window (1 when graded), of a pipelined run, or of one part of a settling run, after which the
            host looks whether the network is silent.
        timesteps: T of the network.
        latency: time steps of a whole run, or of such a part.
        stagger: of the settling schedule.
        leak: of all neurons; pipelined only.
        origin: Lava's time step before the run, (1,), shared with the process models, which start again after it.
    """

    schedule: Schedule
    encoding: Encoding
    steps: int
    timesteps: int
    latency: int
    stagger: int
    leak: Leak
    origin: NDArray[np.int64]

    @classmethod
    def of(cls, timeline: Timeline) -> Timing:
        schedule, steps = timeline.schedule, timeline.steps
        if schedule == "settling":
            steps = SETTLING_PART
        return cls(
            schedule,
            timeline.encoding,
            steps,
            timeline.network.timesteps,
            timeline.latency_of(steps),
            timeline.stagger,
            timeline.network.leak,
            shared_zeros((1,), np.int64),
        )

    def step_of_run(self, time_step: int) -> int:
        """1, 2, ... for Lava's ever-growing time step."""
        return time_step - int(self.origin[0])

    def start(self, stage: Stage) -> int:
        """Settling: the first step of a stage (`Timeline.start`)."""
        return stage.depth * self.stagger + 1

    def local_step(self, stage: Stage, step: int) -> int:
        """Local time of a stage, 1 at the first step at which it may fire."""
        return step - stage.depth * (self.steps if self.schedule == "windowed" else 1)


@dataclass(frozen=True)
class HostMemory:
    """What the host hands in, and the answer; slots are tokens of the packed sentences.

    Attributes:
        sentence: which sentence a slot belongs to, -1 for padding, (lanes, width).
        first: true at the first token of each sentence, (lanes, width).
        drive: U of the embedding, (slots, 1, d).
        result: membrane of the readout, (slots, 1, labels).
        record: 1 when spikes are to be recorded step by step, (1,).
    """

    sentence: NDArray[np.int32]
    first: NDArray[np.bool_]
    drive: NDArray[np.int64]
    result: NDArray[np.int64]
    record: NDArray[np.int8]

    def rows(self, stage: Stage) -> tuple[tuple[Any, ...], NDArray[np.bool_] | None]:
        """Index of the rows of a population that belong to existing tokens, and, for scores, their existing keys."""
        lane, position = np.nonzero(self.first if stage.tokens == "first" else self.sentence >= 0)
        if stage.is_scores:  # (lanes, H, width, width) -> (n, H, width)
            keys = self.sentence[lane] == self.sentence[lane, position][:, None]
            return (lane, slice(None), position), keys[:, None]  # (n, 1, width)
        return (lane * self.sentence.shape[1] + position,), None  # (slots, 1, d) -> (n, 1, d)

    @classmethod
    def allocate(cls, grid: Grid, channels: int, labels: int) -> HostMemory:
        return cls(
            sentence=shared_zeros((grid.lanes, grid.width), np.int32),
            first=shared_zeros((grid.lanes, grid.width), np.bool_),
            drive=shared_zeros((grid.slots, 1, channels), np.int64),
            result=shared_zeros((grid.slots, 1, labels), np.int64),
            record=shared_zeros((1,), np.int8),
        )


@dataclass(frozen=True)
class StageMemory:
    """What a population did in the run; shapes are those of its spikes (`neuron_shape`).

    Attributes:
        counts: signed sum of the spikes of each neuron.
        events: messages of each neuron: spikes of either sign, or graded messages.
        train: spikes of each local step, (steps, ...), written only while recording.
        violations: spikes sent while the gate was shut, and drive that arrived too late to count, (2,).
        last: settling: the last step with a spike in a row, without the last axis of the population's shape.
        elements: settling: how many went through a soma function that is no part of synapses, (1,).
    """

    counts: NDArray[np.int32]
    events: NDArray[np.int32]
    train: NDArray[np.int8]
    violations: NDArray[np.int64]
    last: NDArray[np.int64]
    elements: NDArray[np.int64]

    @property
    def outcome(self) -> tuple[NDArray[Any], ...]:
        """All but the recording: what a run starts from zero."""
        return self.counts, self.events, self.violations, self.last, self.elements

    @classmethod
    def allocate(cls, shape: Shape, steps: int) -> StageMemory:
        return cls(
            counts=shared_zeros(shape, np.int32),
            events=shared_zeros(shape, np.int32),
            train=shared_zeros((steps, *shape), np.int8),
            violations=shared_zeros((2,), np.int64),
            last=shared_zeros(shape[:-1], np.int64),
            elements=shared_zeros((1,), np.int64),
        )


def neuron_shape(stage: Stage, grid: Grid) -> Shape:
    """Shape of a population: (slots, 1, d) as netx has it, or (lanes, H, width, width) for attention scores."""
    if stage.is_scores:
        return (grid.lanes, stage.channels, grid.width, grid.width)
    return (grid.slots, 1, stage.channels)


def shared_zeros(shape: Shape, dtype: DTypeLike) -> NDArray[Any]:
    """Zeros in memory that forked processes share; pages cost nothing until they are written."""
    size = math.prod(shape)
    mapping = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(mapping, dtype, size).reshape(shape)


def available_memory() -> int | None:
    """Bytes that can be taken before the system swaps; None where it does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    except OSError:
        return None
    return None if found is None else int(found[1]) << 10
