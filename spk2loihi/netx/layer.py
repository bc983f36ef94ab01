"""One layer of a stock netx network: synapses, the neurons they drive, and how it runs: all steps of some samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arrays import Array, is_still, largest_magnitude, wrap_int32
from spk2loihi.netx.hdf5_access import IntArray, Shape
from spk2loihi.netx.lif import LifPopulation
from spk2loihi.netx.neuron_model import Int32Array, Neuron, Population, Tape
from spk2loihi.netx.synapse import ConvSynapse, DenseSynapse, Synapse
from spk2loihi.netx.table_convolution import TableConvolution


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

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """Those from the layer before, then the recurrent ones."""
        return tuple(each for each in (self.synapse, self.recurrent) if each is not None)

    @property
    def existing(self) -> int:
        """Synapses onto the layer: weights that are not 0, counted for every output."""
        return sum(each.existing for each in self.synapses)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the same layer of an ANN."""
        return sum(each.macs for each in self.synapses)

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


_DRIVE_BUDGET = 2**21  # bytes of drive at a time, two second-level caches: calls cost, too
_DRIVE_BYTES = 4  # at most, of a neuron and step


def run_layer(
    layer: StockLayer, messages: Array, rests: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape
) -> None:
    """All steps of a layer, from rest.

    Args:
        messages: that arrive in every step, (B, steps, *shape).
        rests: before which steps the state becomes 0, (steps,).
        sent: messages of its neurons, (B, steps, neurons), written.
        counts: how many messages of each neuron are not 0, (B, neurons), written.
        tape: of these samples, written.
    """
    batch, steps, neurons = sent.shape
    late = int(layer.synapse is not None)
    largest = largest_magnitude(messages) if layer.graded and late else 1
    reach = _largest_value(messages) if layer.synapse is None else layer.synapse.reach(largest)
    start = layer.neuron.prepare(None if layer.recurrent else reach)
    tables = _tables(layer, messages)
    together = max(1, _DRIVE_BUDGET // max(_DRIVE_BYTES * steps * neurons, 1))
    for first in range(0, max(batch, 1), together):
        samples = slice(first, first + together)
        here, into = messages[samples], (rests, sent[samples], counts[samples], tape.part(samples, slice(None)))
        population = start(len(here))
        if tables is not None and isinstance(population, LifPopulation):
            population.run_convolution(tables, here, *into)
            continue
        drive = here if layer.synapse is None else layer.synapse.drive(here[:, : max(steps - 1, 0)], largest)
        drive = drive.reshape(*drive.shape[:2], neurons)
        if layer.recurrent is None:
            population.run(drive, late, *into)
        else:
            _run_recurrent(layer, population, drive, *into)


def _tables(layer: StockLayer, messages: Array) -> TableConvolution | None:
    if isinstance(layer.synapse, ConvSynapse) and messages.dtype == np.uint8:
        return layer.synapse.in_tables
    return None


def _run_recurrent(
    layer: StockLayer,
    population: Population,
    drive: Array,
    rests: NDArray[np.bool_],
    sent: Array,
    counts: Int32Array,
    tape: Tape,
) -> None:
    """Step by step: what neurons send comes back in the next. Drive is one step late."""
    batch, steps, neurons = sent.shape
    forward = np.concatenate([np.zeros((batch, min(steps, 1), neurons), np.int32), wrap_int32(drive)], axis=1)
    out, of_step = np.zeros((batch, 1, neurons), sent.dtype), np.zeros_like(counts)
    counts[:] = 0
    for step in range(steps):
        here = slice(step, step + 1)
        now = forward[:, here] + wrap_int32(layer.feedback(out)) if step else forward[:, here]
        population.run(now, 0, rests[here], out, of_step, tape.part(slice(None), here))
        sent[:, here] = out
        counts += of_step


def _largest_value(values: Array) -> int:
    """What no input is greater than in magnitude: of its type, where all would have to be read."""
    if is_still(values):
        return largest_magnitude(values[:, 0])
    if values.dtype == bool:
        return 1
    return max(-int(np.iinfo(values.dtype).min), int(np.iinfo(values.dtype).max))
