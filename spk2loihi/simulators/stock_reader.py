"""Stock netx files to layers, as ``Network._create`` of lava/lib/dl/netx/hdf5.py reads them.

What the stock loader would refuse, ignore in silence, or do only by accident is refused here by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.simulators.stock_netx import (
    Shape,
    dense_weight,
    number_of,
    numbers_of,
    pair_of,
    refusal,
    shape_of,
    type_of,
    weight_of,
)
from spk2loihi.simulators.stock_neuron import HardResetLif, Neuron
from spk2loihi.simulators.stock_synapse import ConvSynapse, DenseSynapse, Synapse

_INT8_MAX = 127  # PyConvModelFixed keeps kernel size, stride, padding, dilation and groups in 8 bits
_INT32_MAX = 2**31 - 1

# What a dense layer without a neuron gets: `Network.create_dense` of lava/lib/dl/netx/hdf5.py. It is called a non-leaky
# integrator there, but the decays are swapped: u integrates, v follows it, and never passes 2**17 << 6.
_DEFAULT_CURRENT_DECAY, _DEFAULT_VOLTAGE_DECAY, _DEFAULT_THRESHOLD = 0, 4096, 1 << 17


@dataclass(frozen=True)
class StockLayer:
    """One synapse process and its neurons.

    Attributes:
        number: in the file.
        kind: netx type.
        flatten: the spikes of the layer before, (x, y, channel), arrive as one row in the order (channel, y, x).
    """

    number: int
    kind: str
    synapse: Synapse
    neuron: Neuron
    flatten: bool = False

    @property
    def shape(self) -> Shape:
        return self.neuron.shape

    @property
    def label(self) -> str:
        return f"layer {self.number} ({self.kind})"


def read_layers(groups: list[h5py.Group], first: int, count: int, input_shape: Shape | None) -> tuple[StockLayer, ...]:
    """Layers ``first`` to ``first + count`` of a file, as a chain.

    Args:
        groups: all layers of the file.
        input_shape: (x, y, channel), for a convolution that follows no input layer; None takes the shape of the layer
            before it in the file.
    """
    if input_shape is None and first and type_of(groups[first]) == "conv":
        input_shape = shape_of(groups[first - 1], first - 1)
    layers: list[StockLayer] = []
    flatten = False
    for number in range(first, first + count):
        group, kind = groups[number], type_of(groups[number])
        if kind == "input":
            if layers:
                raise refusal(group, number, "it follows other layers, where netx ignores it", "leave it out")
            input_shape = _read_input(group, number, input_shape)
        elif kind == "flatten":
            flatten = True
        elif kind in _READERS:
            arriving = layers[-1].shape if layers else input_shape
            join = bool(layers) and flatten and kind == "dense"  # netx keeps a flatten until the next dense layer
            synapse = _READERS[kind](group, number, arriving)
            if layers:
                _check_connection(group, number, layers[-1].shape, synapse.input_shape, join)
            layers.append(StockLayer(number, kind, synapse, _read_neuron(group, number, synapse.output_shape), join))
            flatten = flatten and kind != "dense"
        else:
            known = ", ".join(["input", "flatten", *_READERS])
            raise refusal(
                group, number, "this type is not emulated", f"choose {known} layers with first_layer and num_layers"
            )
    if not layers:
        raise UserError(f"layers {first} to {first + count - 1} hold no neurons: include a dense or conv layer")
    return tuple(layers)


def _read_input(group: h5py.Group, number: int, asked: Shape | None) -> Shape | None:
    if "neuron" in group:
        raise refusal(
            group,
            number,
            "input neurons are not emulated",
            f"feed the next layer with first_layer={number + 1}",
        )
    shape = shape_of(group, number) if "shape" in group else asked
    if asked is not None and asked != shape:
        raise refusal(group, number, f"its shape is {shape}, not {asked}", "leave input_shape out")
    return shape


def _read_dense(group: h5py.Group, number: int, arriving: Shape | None) -> Synapse:
    """``Network.create_dense``. At the start of a chain it takes a row of spikes, whatever the input layer says."""
    return DenseSynapse.from_weight(dense_weight(group, number), f"layer {number} (dense)")


def _read_conv(group: h5py.Group, number: int, arriving: Shape | None) -> Synapse:
    """``Network.create_conv``: kernel (out, in, y, x) and pairs (y, x) in the file, all reversed."""
    if arriving is None or len(arriving) != 3:
        have = "unknown" if arriving is None else arriving
        raise refusal(group, number, f"its input shape is {have}", "give (x, y, channel)")
    weight = weight_of(group, number)
    if weight.ndim < 4 or any(size != 1 for size in weight.shape[4:]):
        raise refusal(group, number, f"weight has shape {weight.shape}", "give it as (out, in, y, x)")
    out_channels, channels, taps_y, taps_x = weight.shape[:4]
    stride, padding, dilation = (pair_of(group, number, name) for name in ("stride", "padding", "dilation"))
    blocks = number_of(group, number, "groups")
    if max(taps_x, taps_y, *stride, *padding, *dilation, blocks) > _INT8_MAX or min(*stride, *dilation, blocks) < 1:
        raise refusal(
            group,
            number,
            f"kernel {(taps_x, taps_y)}, stride {stride}, padding {padding}, dilation {dilation} or groups {blocks} is "
            "outside what Lava's Conv keeps in 8 bits",
            f"stay within 1 (padding 0) to {_INT8_MAX}",
        )
    if arriving[2] != channels * blocks or out_channels % blocks:
        raise refusal(
            group,
            number,
            f"{arriving[2]} channels arrive at a weight of shape {weight.shape} in {blocks} groups",
            "correct input_shape or export it again",
        )
    size_x, size_y = (
        (arriving[i] + 2 * padding[i] - dilation[i] * (taps - 1) - 1) // stride[i] + 1
        for i, taps in enumerate((taps_x, taps_y))
    )
    shape, result = shape_of(group, number), (size_x, size_y, out_channels)
    if shape != result:
        raise refusal(
            group,
            number,
            f"its shape is {shape}, but input {arriving} makes {result}",
            "correct input_shape",
        )
    kernel = weight.reshape(blocks, out_channels // blocks, channels, taps_y, taps_x).transpose(4, 3, 0, 2, 1)
    return ConvSynapse(kernel, arriving, shape, stride, padding, dilation, f"layer {number} (conv)")


_READERS: dict[str, Callable[[h5py.Group, int, Shape | None], Synapse]] = {"dense": _read_dense, "conv": _read_conv}


def _read_neuron(group: h5py.Group, number: int, shape: Shape) -> Neuron:
    """``Network.get_neuron_params`` and ``AbstractBlock._neuron`` of lava/lib/dl/netx/blocks/process.py."""
    bias = _read_bias(group, number, shape)
    if "neuron" not in group:
        if type_of(group) != "dense":
            raise refusal(group, number, "it has no neuron, which stock netx cannot load", "export it again")
        return HardResetLif(shape, _DEFAULT_CURRENT_DECAY, _DEFAULT_VOLTAGE_DECAY, _DEFAULT_THRESHOLD, bias)
    neuron = group["neuron"]
    if (kind := type_of(neuron)) not in ("CUBA", "LOIHI"):
        raise refusal(group, number, f"neurons of type {kind} are not emulated", "use CUBA or LOIHI neurons")
    if "messageBits" in neuron:
        raise refusal(group, number, "its neurons have messageBits, which stock netx cannot run", "leave them out")
    return HardResetLif(
        shape,
        current_decay=number_of(neuron, number, "iDecay"),
        voltage_decay=number_of(neuron, number, "vDecay"),
        threshold=number_of(neuron, number, "vThMant"),
        bias=bias,
    )


def _read_bias(group: h5py.Group, number: int, shape: Shape) -> NDArray[np.int16]:
    """One bias a layer (dense), a channel (conv) or a neuron; Lava keeps the low 16 bits of each."""
    if "bias" not in group:
        return np.zeros(shape, np.int16)
    bias = numbers_of(group, number, "bias", cast=True)
    if bias.shape not in ([(), (1,), shape] if len(shape) == 1 else [shape[-1:], shape]):
        raise refusal(group, number, f"bias {bias.shape} does not fit neurons {shape}", "give one a channel")
    if np.abs(bias).max() > _INT32_MAX:
        raise refusal(group, number, f"a bias of {np.abs(bias).max()} passes 32 bits", "stay within -4096 to 4095")
    return np.broadcast_to(bias, shape).astype(np.int16)


def _check_connection(group: h5py.Group, number: int, before: Shape, expected: Shape, flatten: bool) -> None:
    """Shapes fit, and a file that names its sources (as this project's do) means the chain the stock loader runs."""
    if "layers" in group and (sources := numbers_of(group, number, "layers").reshape(-1).tolist()) != [number - 1]:
        raise refusal(
            group,
            number,
            f"it reads layers {sources}, but the stock loader runs a chain",
            "run it alone",
        )
    if flatten and len(before) != 3:
        raise refusal(group, number, f"flatten takes (x, y, channel), not {before}", "leave the flatten layer out")
    if ((int(np.prod(before)),) if flatten else before) != expected:
        remedy = "correct its weight" if flatten or len(before) == 1 else "put a flatten layer before it"
        raise refusal(group, number, f"it expects {expected} spikes, but {before} arrive", remedy)
