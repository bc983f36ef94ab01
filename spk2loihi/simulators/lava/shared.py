"""Memory shared between the host and Lava's process models, and the time axis they agree on.

Lava's own ``Var.get`` and ``Var.set`` move one element a message. The arrays here are anonymous shared mappings made
before the Lava runtime forks its processes: they have no name, need no clean-up and vanish with their last user.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spk2loihi.export.network import Encoding, Schedule, Stage
from spk2loihi.simulators.lava.packing import Grid

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Timing:
    """The time axis of a run.

    Attributes:
        steps: steps of a window (1 when graded), or of a pipelined run.
        timesteps: T of the network.
        latency: time steps of a whole run, after which every process model starts again.
    """

    schedule: Schedule
    encoding: Encoding
    steps: int
    timesteps: int
    latency: int

    def step_of_run(self, time_step: int) -> int:
        """1 ... latency, for Lava's ever-growing time step (1, 2, ...)."""
        return (time_step - 1) % self.latency + 1

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
    """

    counts: NDArray[np.int32]
    events: NDArray[np.int32]
    train: NDArray[np.int8]
    violations: NDArray[np.int64]

    @classmethod
    def allocate(cls, shape: Shape, steps: int) -> StageMemory:
        return cls(
            counts=shared_zeros(shape, np.int32),
            events=shared_zeros(shape, np.int32),
            train=shared_zeros((steps, *shape), np.int8),
            violations=shared_zeros((2,), np.int64),
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
