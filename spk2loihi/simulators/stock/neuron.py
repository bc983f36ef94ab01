"""What the neuron models of stock netx layers have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

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


Start = Callable[[int, slice], Population]
"""A population at rest: of so many independent samples, and of these neurons of the layer, counted flat."""


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

    def prepare(self, bound: int, steps: int) -> Start:
        """How to start populations for runs of at most ``steps`` and drives of at most ``bound`` in magnitude."""


def per_neuron(parameter: Array, shape: tuple[int, ...]) -> Array:
    """A parameter of a layer, flat: (1,) if all neurons share it, else one for each."""
    return parameter.reshape(1) if parameter.size == 1 else np.broadcast_to(parameter, shape).reshape(-1)


def select(parameter: Array, neurons: slice) -> Array:
    """A `per_neuron` parameter for some of the neurons."""
    return parameter if parameter.size == 1 else parameter[neurons]


def count(shape: tuple[int, ...], neurons: slice) -> int:
    """How many neurons of a layer the slice takes."""
    return len(range(*neurons.indices(math.prod(shape))))
