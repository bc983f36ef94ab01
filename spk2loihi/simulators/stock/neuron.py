"""What the neuron models of stock netx layers have in common."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from spk2loihi.simulators.stock.exact import Array


class Population(Protocol):
    """Some of the neurons of a layer, for some samples, while they run.

    Arrays are (B, neurons), neurons flat.
    """

    def step(self, drive: Array, out: Array) -> None:
        """One time step: ``drive`` in, messages written to ``out``."""

    def state(self) -> dict[str, Array]:
        """State after the step, by Lava's names."""


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

    def start(self, batch: int, neurons: slice, bound: int, steps: int) -> Population:
        """A population at rest.

        Args:
            batch: independent samples.
            neurons: which of them, counted flat.
            bound: no drive is greater than this in magnitude.
            steps: a run is at most this long.
        """


def select(parameter: Array, shape: tuple[int, ...], neurons: slice) -> Any:
    """A parameter of a layer for some of its neurons: (1,) if all share it, else one for each."""
    if parameter.size == 1:
        return parameter.reshape(1)
    return np.broadcast_to(parameter, shape).reshape(-1)[neurons]


def count(shape: tuple[int, ...], neurons: slice) -> int:
    """How many neurons of a layer the slice takes."""
    return len(range(*neurons.indices(math.prod(shape))))
