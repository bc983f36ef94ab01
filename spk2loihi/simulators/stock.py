"""What ``lava.lib.dl.netx.hdf5.Network`` computes on Lava's CPU simulator, bit for bit, without Lava.

A chain of dense and conv layers of hard-reset integrate-and-fire neurons. The arithmetic of synapses is described in
`stock_synapse`, that of neurons in `stock_neuron`, and what is read from a file or refused in `stock_reader`.

Timing is that of Lava's fixed-point models: a synapse process sends at step t what it accumulated at step t - 1
(lava/proc/dense/models.py, lava/proc/conv/models.py), and neurons fire in the step in which they receive
(lava/proc/lif/models.py). So layer k, counted from 0, first answers the first input in step k + 1, counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.simulators.stock_netx import Shape, layer_groups, open_netx
from spk2loihi.simulators.stock_neuron import Int32Array
from spk2loihi.simulators.stock_reader import StockLayer, read_layers
from spk2loihi.simulators.stock_segments import Segment, segment_file, segments

__all__ = ["Segment", "StockLayer", "StockNetwork", "StockRun", "segment_file", "segments"]

_MESSAGE_BITS_MAX = 31  # precision of num_message_bits in lava/proc/dense/models.py: 5 bits
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class StockRun:
    """What one batch did. Every array is (B, *layer shape, steps), time last, one for each of `StockNetwork.layers`.

    Attributes:
        spikes: sent by the neurons of each layer in each step.
        u: current of each neuron after each step, if recorded.
        v: voltage of each neuron after each step, reset included, if recorded.
    """

    spikes: tuple[Int32Array, ...]
    u: tuple[Int32Array, ...] | None = None
    v: tuple[Int32Array, ...] | None = None

    @property
    def output(self) -> Int32Array:
        """Spikes of the last layer: what ``hdf5.Network.out`` sends."""
        return self.spikes[-1]


class StockNetwork:
    """A stock netx network, batched: samples are independent and all start at rest.

    Attributes:
        layers: dense and conv layers, as ``hdf5.Network.layers``.
        input_shape: (x, y, channel), or (inputs,), as ``hdf5.Network.inp``.
        output_shape: likewise, as ``hdf5.Network.out``.
        input_message_bits: 0: inputs are binary, and any but 0 counts as 1. Otherwise inputs are payloads, of either
            sign, that multiply the weights; Lava does not hold them to that number of bits.
    """

    def __init__(self, layers: tuple[StockLayer, ...], input_message_bits: int = 0) -> None:
        if not 0 <= input_message_bits <= _MESSAGE_BITS_MAX:
            raise UserError(f"input_message_bits is {input_message_bits}: give 0 (binary) to {_MESSAGE_BITS_MAX}")
        self.layers = layers
        self.input_shape: Shape = layers[0].synapse.input_shape
        self.output_shape: Shape = layers[-1].shape
        self.input_message_bits = input_message_bits

    @classmethod
    def from_file(
        cls,
        source: Path | str | h5py.Group,
        first_layer: int = 0,
        num_layers: int | None = None,
        input_shape: Shape | None = None,
        input_message_bits: int = 0,
    ) -> StockNetwork:
        """Read a netx file, or some of its layers as if the file held no others.

        Args:
            source: path, or the open file.
            first_layer: number of the first layer to take, as ``skip_layers`` of netx.
            num_layers: layers to take, input and flatten layers included; None takes all that follow. (netx counts
                from the start of the file.)
            input_shape: (x, y, channel); needed if the first layer is a convolution and nothing before it has a shape.
            input_message_bits: see `StockNetwork`.

        Raises:
            UserError: the file cannot be read, or a layer is not emulated or not loadable by the stock loader.
        """
        with open_netx(source) as root:
            groups = layer_groups(root)
            count = len(groups) - first_layer if num_layers is None else num_layers
            if first_layer < 0 or count < 1 or first_layer + count > len(groups):
                raise UserError(
                    f"first_layer {first_layer} and num_layers {num_layers} are not within the {len(groups)} layers of "
                    f"{root.file.filename}: choose layers from 0 to {len(groups) - 1}"
                )
            return cls(read_layers(groups, first_layer, count, input_shape), input_message_bits)

    def run(self, spikes: NDArray[Any], record_states: bool = False) -> StockRun:
        """Run from rest for as many steps as there are inputs.

        Args:
            spikes: integers or booleans, (B, *input_shape, steps).
            record_states: keep u and v of every step.

        Raises:
            UserError: the input has another shape, is not of integers, or passes 32 bits.
        """
        sent = self._check(spikes)  # (steps, B, *shape), as are all trains until the end
        trains: list[Int32Array] = []
        states: tuple[list[Int32Array], list[Int32Array]] = ([], [])
        for layer in self.layers:
            if layer.flatten:
                sent = sent.transpose(0, 1, 4, 3, 2).reshape(*sent.shape[:2], -1)
            sent, u, v = _run_layer(layer, sent, record_states)
            trains.append(sent)
            states[0].append(u)
            states[1].append(v)
        every = [tuple(np.moveaxis(array, 0, -1) for array in arrays) for arrays in (trains, *states)]
        return StockRun(*every) if record_states else StockRun(every[0])

    def _check(self, spikes: NDArray[Any]) -> Int32Array:
        if spikes.ndim != len(self.input_shape) + 2 or spikes.shape[1:-1] != self.input_shape:
            raise UserError(
                f"input has shape {spikes.shape}, but {self.layers[0].label} takes (samples, "
                f"{', '.join(map(str, self.input_shape))}, steps): give the axes in this order"
            )
        if spikes.dtype.kind not in "biu" or max(int(spikes.max(initial=0)), -int(spikes.min(initial=0))) > _INT32_MAX:
            raise UserError(f"input is {spikes.dtype}, but spikes are integers of at most 32 bits: convert it first")
        if not self.input_message_bits:
            spikes = spikes != 0
        return np.moveaxis(spikes, -1, 0).astype(np.int32)


def _run_layer(layer: StockLayer, sent: Int32Array, record: bool) -> tuple[Int32Array, Int32Array, Int32Array]:
    """Spikes, u and v of every step, (steps, B, *shape); u and v are empty unless recorded."""
    steps, batch = sent.shape[:2]
    largest = max(int(sent.max(initial=0)), -int(sent.min(initial=0)))
    accumulate = layer.synapse.accumulator(largest)
    neurons = layer.neuron.start(batch)
    spikes = np.zeros((steps, batch, *layer.shape), np.int32)
    u, v = (np.zeros((steps if record else 0, batch, *layer.shape), np.int32) for _ in range(2))
    drive = np.zeros((batch, *layer.shape), np.int32)
    for step in range(steps):
        spikes[step] = neurons.step(drive)
        if record:
            u[step], v[step] = neurons.u, neurons.v
        drive = accumulate(sent[step])
    return spikes, u, v
