"""What the neuron models of stock netx layers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arrays import Array

Int32Array = NDArray[np.int32]


@dataclass(frozen=True)
class Tape:
    """State variables of the recorded steps.

    Attributes:
        row_of: where the state after a step is recorded, (steps,); -1 for nowhere.
        arrays: by name, (B, recorded steps, neurons); empty where none is recorded.
    """

    row_of: NDArray[np.int64]
    arrays: dict[str, Int32Array]

    @classmethod
    def blank(cls, names: tuple[str, ...], rows: Sequence[int], batch: int, steps: int, neurons: int) -> Tape:
        """Without names, nothing is recorded."""
        row_of = np.full(steps, -1)
        if names:
            row_of[list(rows)] = np.arange(len(rows))
        return cls(row_of, {name: np.zeros((batch, len(rows), neurons), np.int32) for name in names})

    def part(self, samples: slice, steps: slice) -> Tape:
        """Writes to the same memory."""
        return Tape(self.row_of[steps], {name: array[samples] for name, array in self.arrays.items()})


class Population(Protocol):
    """The neurons of a layer, for some samples, while they run. Neurons are flat."""

    def run(
        self, drive: Array, late: int, rest: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape
    ) -> None:
        """Some steps on from the present state.

        Args:
            drive: what arrives, whole numbers, (B, steps - late, neurons).
            late: steps the drive comes late; nothing arrives before.
            rest: before which steps the state becomes 0, (steps,).
            sent: messages, (B, steps, neurons), written.
            counts: how many messages of each neuron are not 0, (B, neurons), written.
            tape: of these samples and steps, written.
        """


class SteppedPopulation:
    """A `Population` described by one step."""

    def step(self, drive: Array, out: Array) -> None:
        """One time step: ``drive`` (B, neurons) in, messages written to ``out``."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """State after the step, by Lava's names, (B, neurons)."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to rest, where the neuron listens to the loader's ``reset_interval``."""
        raise NotImplementedError

    def run(
        self, drive: Array, late: int, rest: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape
    ) -> None:
        at_rest = np.zeros(sent[:, 0].shape, drive.dtype) if late else None
        for step in range(sent.shape[1]):
            if rest[step]:
                self.reset()
            self.step(drive[:, step - late] if at_rest is None or step >= late else at_rest, sent[:, step])
            if (row := tape.row_of[step]) >= 0:
                for name, state in self.state().items():
                    tape.arrays[name][:, row] = state
        counts[...] = np.count_nonzero(sent, axis=1)


Start = Callable[[int], Population]
"""A population at rest, of so many independent samples."""


class Neuron(Protocol):
    """What a netx ``neuron`` group describes, for one layer.

    Attributes:
        shape: of the layer, (x, y, channel) or (neurons,).
        graded: messages carry a payload, which multiplies weights; else they are spikes of 1.
        resets: listens to the loader's ``reset_interval``.
        states: names of the state variables.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def graded(self) -> bool: ...

    @property
    def resets(self) -> bool: ...

    @property
    def states(self) -> tuple[str, ...]: ...

    def prepare(self, largest: int | None = None) -> Start:
        """How to start populations.

        Args:
            largest: magnitude of the drive, which it never passes; None if that is not known.
        """


def per_neuron(parameter: Array, shape: tuple[int, ...]) -> Array:
    """A parameter of a layer, flat: one number for each neuron."""
    whole = parameter.reshape(()) if parameter.size == 1 else parameter
    return np.broadcast_to(whole, shape).reshape(-1)
