"""One layer of a stock netx network: synapses and the neurons they drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spk2loihi.netx.hdf5_access import IntArray, Shape
from spk2loihi.netx.neuron_model import Neuron
from spk2loihi.netx.number_types import Array, largest_magnitude
from spk2loihi.netx.synapse import DenseSynapse, Synapse


@dataclass(frozen=True)
class StockLayer:
    """One block of ``hdf5.Network.layers``.

    Attributes:
        number: in the file.
        kind: netx type.
        synapse: what messages arrive at; None for input neurons, which take them directly.
        neuron: the neurons.
        graded: arriving messages carry payloads; else any but 0 is a spike of 1.
        flatten: messages of the layer before, (x, y, channel), arrive as one row in the order (channel, y, x).
        recurrent: synapses from the neurons to themselves (``dense_rec``). They take messages as payloads or spikes
            as the input does, whatever the neurons send (lava/lib/dl/netx/blocks/process.py, ``RecurrentDense``).
        transform: weight and bias of an input layer, None for other layers.
    """

    number: int
    kind: str
    synapse: Synapse | None
    neuron: Neuron
    graded: bool = False
    flatten: bool = False
    recurrent: DenseSynapse | None = None
    transform: tuple[int, int] | None = None

    @property
    def input_shape(self) -> Shape:
        return self.neuron.shape if self.synapse is None else self.synapse.input_shape

    @property
    def shape(self) -> Shape:
        return self.neuron.shape

    @property
    def label(self) -> str:
        return f"layer {self.number} ({self.kind})"

    def feedback(self, sent: Array) -> Array:
        """What the messages (B, 1, neurons) of a step bring back in the next, (B, 1, neurons)."""
        assert self.recurrent is not None
        messages = sent if self.graded else sent != 0
        return self.recurrent.drive(messages, largest_magnitude(sent) if self.graded else 1)

    def operations(self, arriving: Array, sent: Array) -> IntArray:
        """Synaptic operations of messages (B, *shape) that arrive, and of those a recurrent layer sent, (B,)."""
        if self.synapse is None:
            return np.zeros(len(arriving), np.int64)
        forward = self.synapse.operations(arriving)
        return forward if self.recurrent is None else forward + self.recurrent.operations(sent)
