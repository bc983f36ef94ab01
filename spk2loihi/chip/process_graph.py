"""The graph of stock processes: what Lava builds, the stepper steps and the bundle holds. Pure data, integers only.

Every population is one neuron process and every connection one synapse process of lava-nc, under the names that Lava
has for their classes. A connection has one source and one target, takes one step, and adds up with the others of its
target; a neuron process takes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic

NeuronKind = Literal["RingBuffer", "GradedVec", "GradedReluVec", "ProdNeuron"]
SynapseKind = Literal["Dense", "Sparse"]
Sign = Literal["MIXED", "EXCITATORY", "INHIBITORY"]
"""Names of `lava.utils.weightutils.SignMode`: weights of both signs keep 8 bits without the lowest."""

#: Sources that a run fills: `sources` below.
TOKENS, PRESENCE = "tokens", "presence.source"


@dataclass(frozen=True)
class SparseWeight:
    """A matrix of few synapses, in the order of its rows; of two entries at one place both count.

    Attributes:
        rows, columns: target and source neuron of each synapse, (synapses,) int32.
        values: (synapses,).
        shape: target and source neurons.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[Any]
    shape: tuple[int, int]

    @property
    def size(self) -> int:
        return self.values.size

    def dense(self) -> NDArray[Any]:
        """(targets, sources)."""
        matrix = np.zeros(self.shape, self.values.dtype)
        np.add.at(matrix, (self.rows, self.columns), self.values)
        return matrix


Weight = NDArray[Any] | SparseWeight
"""(targets, sources) of a Dense; `SparseWeight` of a Sparse."""


@dataclass(frozen=True)
class Population:
    """One neuron process.

    Attributes:
        name: of a stage, of one of its parts ("layer.0.query.drive"), or of a line in which messages wait.
        kind: class of lava-nc; a RingBuffer is a source.
        size: neurons; of a line, ``places * width``, place by place.
        threshold: a message is sent where its magnitude is larger ("vth"); sources have none.
        delay: steps from the entry of a token to its message; of a line, to the message in its first place.
        places: of a line, through which messages move one place a step; 1 of any other population.
    """

    name: str
    kind: NeuronKind
    size: int
    delay: int
    threshold: int = 0
    places: int = 1

    @property
    def width(self) -> int:
        return self.size // self.places


@dataclass(frozen=True)
class Connection:
    """One synapse process.

    Attributes:
        source, target: names of populations.
        weight: as given to Lava, which truncates it (`spk2loihi.chip.arithmetic`).
        port: of the target; a ProdNeuron has two.
        exponent: products are scaled by ``2**exponent`` ("weight_exp").
    """

    name: str
    kind: SynapseKind
    source: str
    target: str
    weight: Weight
    sign: Sign
    exponent: int = 0
    port: str = "a_in"


@dataclass(frozen=True)
class Graph:
    """All processes of a network.

    Attributes:
        slots: tokens of the longest sentence there is room for.
        arithmetic: it is made for: half a unit is part of the biases in ``lava``.
        readout: population whose messages are the logits.
    """

    populations: tuple[Population, ...]
    connections: tuple[Connection, ...]
    slots: int
    arithmetic: Arithmetic
    readout: str

    def __getitem__(self, name: str) -> Population:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    @property
    def sources(self) -> tuple[Population, ...]:
        return tuple(population for population in self.populations if population.kind == "RingBuffer")

    @property
    def processes(self) -> list[str]:
        """Names of all neuron processes, sources left out."""
        return [population.name for population in self.populations if population.kind != "RingBuffer"]

    @property
    def neurons(self) -> int:
        return sum(population.size for population in self.populations if population.kind != "RingBuffer")

    @property
    def synapses(self) -> int:
        return sum(int(connection.weight.size) for connection in self.connections)

    @cached_property
    def lasting(self) -> int:
        """Steps from the entry of a token until nothing of it is left anywhere."""
        return max(population.delay + population.places for population in self.populations)
