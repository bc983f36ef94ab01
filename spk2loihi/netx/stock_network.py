"""What ``lava.lib.dl.netx.hdf5.Network`` computes on Lava's CPU simulator, bit for bit, without Lava.

A chain of layers: input neurons, dense, recurrent dense and conv. The arithmetic of synapses is described in `synapse`
and `weights`, that of neurons in `lif`, `sigma_delta` and `resonator`, and what is read from a file or refused in
`reader`.

Timing is that of Lava's fixed-point models: a synapse process sends at step t what it accumulated at step t - 1
(lava/proc/dense/models.py, lava/proc/conv/models.py), and neurons fire in the step in which they receive
(lava/proc/lif/models.py). So the k-th synapse layer, counted from 0, first answers the first input in step k + 1,
counted from 0.

A chain is run layer by layer, each for all steps: for some samples at a time, one matrix product or convolution for the
drive of all steps, then the neurons, while that drive is in the processor's cache. Only recurrent layers have to
alternate. Spikes travel as bytes of 0 and 1, payloads as 32-bit integers, always as (samples, steps, *shape).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.hdf5 import Group
from spk2loihi.netx.arrays import INT32_MAX, Array, allocate, largest_magnitude
from spk2loihi.netx.hdf5_access import Shape, layer_groups, open_netx
from spk2loihi.netx.layer import StockLayer, run_layer
from spk2loihi.netx.netx_reader import ReaderOptions, read_layers
from spk2loihi.netx.neuron_model import Int32Array, Tape
from spk2loihi.netx.reading import Reading
from spk2loihi.netx.stock_run import StockRun
from spk2loihi.ranges import check_numbers

_MEMORY_BUDGET = 2**24  # messages of all layers at a time, a byte each if they are spikes


class StockNetwork:
    """A stock netx network, batched: samples are independent and all start at rest.

    Attributes:
        layers: input neurons, dense and conv layers, as ``hdf5.Network.layers``.
        input_shape: (x, y, channel), or (inputs,), as ``hdf5.Network.inp``.
        output_shape: likewise, as ``hdf5.Network.out``.
        input_message_bits: 0: inputs are spikes, and any but 0 counts as 1. Otherwise inputs are payloads, of either
            sign, that multiply the weights; Lava does not hold them to that number of bits. Of no meaning where the
            network begins with input neurons.
        reset_interval, reset_offset: of the loader.
    """

    def __init__(
        self,
        layers: tuple[StockLayer, ...],
        input_message_bits: int = 0,
        reset_interval: int | None = None,
        reset_offset: int = 0,
    ) -> None:
        self.layers = layers
        self.input_shape: Shape = layers[0].input_shape
        self.output_shape: Shape = layers[-1].shape
        self.input_message_bits = input_message_bits
        self.reset_interval = reset_interval
        self.reset_offset = reset_offset

    @classmethod
    def from_file(
        cls,
        source: Path | str | Group,
        first_layer: int = 0,
        num_layers: int | None = None,
        input_shape: Shape | None = None,
        input_message_bits: int = 0,
        reset_interval: int | None = None,
        reset_offset: int = 0,
        spike_exp: int = 6,
    ) -> StockNetwork:
        """Read a netx file, or some of its layers as if the file held no others.

        Args:
            source: path, or a file that was read.
            first_layer: number of the first layer to take, as ``skip_layers`` of netx.
            num_layers: layers to take, input and flatten layers included; None takes all that follow. (netx counts
                from the start of the file.)
            input_shape: (x, y, channel); needed if the first layer is a convolution and nothing before it has a shape.
            input_message_bits: see `StockNetwork`.
            reset_interval: steps after which u and v of CUBA and LOIHI neurons become 0, None for never. The k-th
                layer, counted from 0, is reset before its step t, counted from 1, where t - reset_offset - 1 - k is a
                multiple of it.
            reset_offset: phase of the reset.
            spike_exp: fraction bits of the messages of SDNN neurons.

        Raises:
            UserError: the file cannot be read, or a layer is not emulated or not loadable by the stock loader.
        """
        check_numbers({"first_layer": first_layer, "num_layers": num_layers, "reset_offset": reset_offset})
        options = ReaderOptions(input_shape, input_message_bits, reset_interval, spike_exp)
        root = open_netx(source)
        groups = layer_groups(root)
        count = len(groups) - first_layer if num_layers is None else num_layers
        if first_layer < 0 or count < 1 or first_layer + count > len(groups):
            raise UserError(
                f"first_layer {first_layer} and num_layers {num_layers} are not within the {len(groups)} layers of "
                f"{root.file}: choose layers from 0 to {len(groups) - 1}"
            )
        layers = read_layers(groups, first_layer, count, options)
        return cls(layers, input_message_bits, reset_interval, reset_offset)

    @classmethod
    def from_nir(cls, path: Path, reading: Reading | None = None, **options: Any) -> StockNetwork:
        """Read a NIR file: what snnTorch, SpikingJelly, Norse and others export. See `nir_reader`.

        Axes are those of netx: NIR's (channel, y, x) becomes (x, y, channel).

        Args:
            reading: how its numbers become integers.
            options: as of `from_file`.

        Raises:
            UserError: Loihi's neurons cannot do what a node does.
        """
        from spk2loihi.netx.network_file import NetworkFile

        return NetworkFile.of(path, reading=reading).network(**options)

    def encode(self, values: NDArray[Any]) -> Int32Array:
        """Real values to what the input layer takes: ``int(values * weight + bias)`` of its netx transform.

        lava-dl stores this transform with the input layer and leaves it to the user to apply it.

        Raises:
            UserError: the network does not begin with input neurons.
        """
        transform = self.layers[0].transform
        if transform is None:
            raise UserError(f"{self.layers[0].label} has no transform: give its inputs as integers")
        weight, bias = transform
        transformed = np.asarray(values, np.float64) * weight + bias
        if not (np.abs(transformed) <= INT32_MAX).all():  # also where it is not a number
            worst = transformed.reshape(-1)[int((~(np.abs(transformed) <= INT32_MAX)).argmax())]
            raise UserError(
                f"{self.layers[0].label}: its transform makes {worst:g} of the input, but messages have 32 bits: "
                "scale the input down, and give no NaN or infinity"
            )
        return transformed.astype(np.int32)

    def run(
        self,
        inputs: NDArray[Any],
        record: Collection[int] = (),
        states: bool = True,
        record_steps: Sequence[int] | None = None,
    ) -> StockRun:
        """Run from rest for as many steps as there are inputs.

        Args:
            inputs: integers or booleans, (B, *input_shape, steps). What they are depends on the first layer: spikes or
                payloads that arrive at synapses; the bias of CUBA or LOIHI input neurons; the values an SDNN input
                encodes.
            record: numbers of layers to record.
            states: record the state variables, too.
            record_steps: steps to record, counted from 0; None records all.

        Raises:
            UserError: the input has another shape, is not of integers, or passes 32 bits; a layer or step to record
                does not exist; or a payload passes what Lava's arithmetic defines.
        """
        import torch

        from spk2loihi.threads import in_turns

        self.check(inputs)
        known = [layer.number for layer in self.layers]
        if unknown := [number for number in record if number not in known]:
            raise UserError(f"layer {unknown[0]} has no neurons to record: choose among {known}")
        steps = inputs.shape[-1]
        rows = list(range(steps) if record_steps is None else record_steps)
        if rows and not 0 <= min(rows) <= max(rows) < steps:
            raise UserError(
                f"steps {min(rows)} to {max(rows)} cannot be recorded in a run of {steps}: choose within it"
            )
        result = StockRun.blank(self.layers, len(inputs), steps, record, states, len(rows))
        share = -(-len(inputs) // torch.get_num_threads()) or 1
        shares = [slice(start, start + share) for start in range(0, len(inputs), share)]
        in_turns(lambda samples: self._run_share(inputs[samples], rows, result.of(samples)), shares)
        return result

    def _run_share(self, inputs: NDArray[Any], rows: list[int], result: StockRun) -> None:
        """A thread's share of a batch, some samples at a time."""
        steps, neurons = inputs.shape[-1], sum(math.prod(layer.shape) for layer in self.layers)
        together = min(len(inputs), max(1, _MEMORY_BUDGET // max(steps * neurons, 1)))
        memory = allocate(
            [(together, steps, math.prod(layer.shape)) for layer in self.layers],
            [np.int32 if layer.neuron.graded else np.uint8 for layer in self.layers],
        )
        for start in range(0, len(inputs), together):
            samples = slice(start, start + together)
            sent = [array[: len(inputs[samples])] for array in memory]
            self._run_chunk(inputs[samples], sent, rows, result.of(samples))

    def _run_chunk(self, inputs: NDArray[Any], sent: list[Array], rows: list[int], result: StockRun) -> None:
        messages: Array = np.moveaxis(inputs, -1, 1)  # (B, steps, *shape), until the end
        if (first := self.layers[0]).synapse is not None:
            messages = np.ascontiguousarray(messages, np.int32) if first.graded else _spikes(messages)
        events: Array = np.count_nonzero(messages, axis=1) if first.synapse is not None else np.zeros(len(messages))
        batch, steps = messages.shape[:2]
        for index, layer in enumerate(self.layers):
            if layer.flatten:
                messages, events = (a.swapaxes(-1, -3).reshape(*a.shape[:-3], -1) for a in (messages, events))
            if layer.synapse is not None and not layer.graded and messages.dtype != np.uint8:
                messages = _spikes(messages)
            arriving, events = events, result.counts[layer.number]
            record = result.layers.get(layer.number)
            tape = Tape.blank(tuple(record.states) if record else (), rows, batch, steps, math.prod(layer.shape))
            rests = self._rests(layer, index, steps)
            run_layer(layer, messages, rests, sent[index], events.reshape(batch, -1), tape)
            messages = sent[index].reshape(batch, steps, *layer.shape)
            result.synops[layer.number][:] = layer.operations(arriving, events)
            if record is not None:
                record.s[:] = np.moveaxis(messages[:, rows], 1, -1)
                for name, state in tape.arrays.items():
                    record.states[name][:] = np.moveaxis(state.reshape(batch, -1, *layer.shape), 1, -1)
        result.output[:] = np.moveaxis(messages, 1, -1)

    def _rests(self, layer: StockLayer, index: int, steps: int) -> NDArray[np.bool_]:
        """Before which steps a layer is reset, (steps,)."""
        if self.reset_interval is None or not layer.neuron.resets:
            return np.zeros(steps, bool)
        phase = (self.reset_offset + index) % self.reset_interval
        rests: NDArray[np.bool_] = np.arange(steps) % self.reset_interval == phase
        return rests

    def check(self, inputs: NDArray[Any]) -> None:
        """Raises UserError for an input that `run` does not take."""
        if inputs.ndim != len(self.input_shape) + 2 or inputs.shape[1:-1] != self.input_shape:
            raise UserError(
                f"input has shape {inputs.shape}, but {self.layers[0].label} takes (samples, "
                f"{', '.join(map(str, self.input_shape))}, steps): give the axes in this order"
            )
        wide = inputs.itemsize > 4 or inputs.dtype == np.uint32
        if inputs.dtype.kind not in "biu" or (wide and largest_magnitude(inputs) > INT32_MAX):
            raise UserError(f"input is {inputs.dtype}, but spikes are integers of at most 32 bits: convert it first")


def _spikes(messages: Array) -> NDArray[np.uint8]:
    """1 for any message but 0."""
    return np.not_equal(messages, 0, order="C").view(np.uint8)
