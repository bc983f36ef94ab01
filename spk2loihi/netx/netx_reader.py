"""Stock netx files to layers, as ``Network._create`` of lava/lib/dl/netx/hdf5.py reads them.

What the stock loader would refuse, ignore in silence, or do only by accident is refused here by name.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from spk2loihi.errors import UserError, first_line
from spk2loihi.hdf5 import Group
from spk2loihi.limits import DELAY_MAX
from spk2loihi.netx.dense import fitted_weights
from spk2loihi.netx.hdf5_access import (
    IntArray,
    Shape,
    dense_matrix,
    number_of,
    numbers_of,
    pair_of,
    refusal,
    shape_of,
    type_of,
    weight_of,
)
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.neuron_reader import read_input_neuron, read_neuron
from spk2loihi.netx.synapse import (
    ComplexDenseSynapse,
    ConvSynapse,
    DelayedDenseSynapse,
    DenseSynapse,
    Synapse,
)
from spk2loihi.ranges import check_numbers

__all__ = ["ReaderOptions", "StockLayer", "read_layers"]

_INT8_MAX = 127  # PyConvModelFixed keeps kernel size, stride, padding, dilation and groups in 8 bits
_CONV_SYNAPSES_MAX = 1 << 40  # shared weights counted for every output
_INPUT_WEIGHT, _INPUT_BIAS = 64, 0  # transform of an input layer that has none: `Network.create_input`
_DENSE_KINDS = ("dense", "dense_rec")
# Documented by netx but not loadable, and why each is no chain of exact integer layers.
_UNSUPPORTED = {
    "pool": "stock netx cannot load it, and its README does not say how its sums are scaled",
    "average": "stock netx cannot load it: average the recorded spikes of the layer before",
    "concat": "stock netx cannot load it: it runs a chain",
    "convT": "stock netx cannot load it",
    "unpool": "stock netx cannot load it",
    "dense_comp": "stock netx cannot load it: complex weights go into a dense layer",
}


@dataclass(frozen=True)
class ReaderOptions:
    """Options of ``hdf5.Network`` that a file does not hold. See `StockNetwork.from_file`."""

    input_shape: Shape | None = None
    input_message_bits: int = 0
    reset_interval: int | None = None
    spike_exp: int = 6

    def __post_init__(self) -> None:
        check_numbers(
            {
                "input_message_bits": self.input_message_bits,
                "reset_interval": self.reset_interval,
                "spike_exp": self.spike_exp,
            },
            {"input_message_bits": "message_bits"},
        )


def read_layers(groups: list[Group], first: int, count: int, options: ReaderOptions) -> tuple[StockLayer, ...]:
    """Layers ``first`` to ``first + count`` of a file, as a chain. ``groups`` are all layers of the file.

    Raises:
        UserError: a layer is not one that stock netx loads, or is damaged; names it.
    """
    at = [first]
    try:
        return _read_layers(groups, first, count, options, at)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(
            f"layer {at[0]} of {groups[0].file} is damaged ({first_line(error)}): export it again"
        ) from None


def _read_layers(
    groups: list[Group], first: int, count: int, options: ReaderOptions, at: list[int]
) -> tuple[StockLayer, ...]:
    """Keeps the number of the layer it reads in ``at``."""
    shape = options.input_shape
    if shape is None and first and type_of(groups[first]) == "conv":
        shape = shape_of(groups[first - 1], first - 1)
    graded = options.input_message_bits > 0
    layers: list[StockLayer] = []
    flatten = False
    for number in range(first, first + count):
        at[0] = number
        group, kind = groups[number], type_of(groups[number])
        if kind == "input":
            if layers:
                raise refusal(group, number, "it follows other layers, where netx takes no spikes from", "leave it out")
            shape = _input_shape(group, number, shape)
            if "neuron" in group:
                layers.append(_read_input(group, number, options.spike_exp))
        elif kind == "flatten":
            flatten = True
        elif kind in (*_DENSE_KINDS, "conv"):
            join = bool(layers) and flatten and kind != "conv"  # netx keeps a flatten until the next dense layer
            read = _read_conv if kind == "conv" else _read_dense
            layer = read(group, number, layers[-1].shape if layers else shape, options, graded, join)
            if layers:
                _check_connection(group, number, layers[-1].shape, layer.input_shape, join)
            layers.append(layer)
            flatten = flatten and kind == "conv"
        elif kind in _UNSUPPORTED:
            raise refusal(group, number, _UNSUPPORTED[kind], "choose other layers with first_layer and num_layers")
        else:
            known = ", ".join(["input", "flatten", *_DENSE_KINDS, "conv"])
            raise refusal(
                group,
                number,
                "this type is unknown to stock netx",
                f"choose {known} layers with first_layer and num_layers",
            )
        graded = layers[-1].neuron.graded if layers else graded
    if not layers:
        raise UserError(f"layers {first} to {first + count - 1} hold no neurons: include a dense or conv layer")
    return tuple(layers)


def _input_shape(group: Group, number: int, asked: Shape | None) -> Shape | None:
    shape = shape_of(group, number) if "shape" in group else asked
    if asked is not None and asked != shape:
        raise refusal(group, number, f"its shape is {shape}, not {asked}", "leave input_shape out")
    return shape


def _read_input(group: Group, number: int, spike_exp: int) -> StockLayer:
    """``Network.create_input``."""
    neuron = read_input_neuron(group, number, shape_of(group, number), spike_exp)
    weight, bias = (
        number_of(group, number, name, cast=True) if name in group else default
        for name, default in (("weight", _INPUT_WEIGHT), ("bias", _INPUT_BIAS))
    )
    return StockLayer(number, "input", None, neuron, graded=True, transform=(weight, bias))


def _read_dense(
    group: Group, number: int, arriving: Shape | None, options: ReaderOptions, graded: bool, flatten: bool
) -> StockLayer:
    """``Network.create_dense``. At the start of a chain it takes a row of spikes, whatever the input layer says."""
    kind = type_of(group)
    label, recurrent = f"layer {number} ({kind})", None
    is_complex = isinstance(group.get("weight"), Group)
    synapse: Synapse
    if is_complex:
        for extra in ("delay", "weight_rec"):
            if extra in group or kind == "dense_rec":
                raise refusal(group, number, f"stock netx ignores the {extra} of complex layers", "leave it out")
        real, imag = (
            _dense_synapses([dense_matrix(group, number, f"weight/{part}")], label)[0] for part in ("real", "imag")
        )
        if real.mantissa.shape != imag.mantissa.shape:
            raise refusal(group, number, "weight/real and weight/imag differ in shape", "export it again")
        synapse = ComplexDenseSynapse(real, imag)
    elif kind == "dense_rec":
        if "delay" in group:
            raise refusal(
                group, number, "stock netx loses the weight exponent of delayed recurrent layers", "leave it out"
            )
        weight, back = dense_matrix(group, number, "weight"), dense_matrix(group, number, "weight_rec")
        if len(set(back.shape)) != 1:
            raise refusal(group, number, f"weight_rec {back.shape} is not square", "export it again")
        synapse, recurrent = _dense_synapses([weight, back], label)
    else:
        weight = dense_matrix(group, number, "weight")
        (synapse,) = _dense_synapses([weight], label)
        if "delay" in group:
            delays = _read_delays(group, number, weight.shape)
            synapse = DelayedDenseSynapse(synapse.mantissa, synapse.shift, delays, label)
    neuron = read_neuron(group, number, synapse.output_shape, options.spike_exp, is_complex)
    return StockLayer(number, kind, synapse, neuron, graded, flatten, recurrent)


def _dense_synapses(blocks: list[IntArray], label: str) -> list[DenseSynapse]:
    mantissas, shift = fitted_weights(blocks, label)
    return [DenseSynapse(mantissa, shift) for mantissa in mantissas]


def _read_delays(group: Group, number: int, shape: tuple[int, ...]) -> IntArray:
    """One delay, one for each neuron (first choice where the matrix is square), for each input, or for each synapse."""
    delays = numbers_of(group, number, "delay", cast=True)
    if not delays.size:
        raise refusal(group, number, "delay is empty", "leave it out")
    if delays.min() < 0:
        raise refusal(group, number, f"a delay is {delays.min()}", f"stay within 0 to {DELAY_MAX}")
    if delays.max(initial=0) > DELAY_MAX:
        warnings.warn(
            f"layer {number} ({type_of(group)}): stock netx cuts a delay of {delays.max()} to {DELAY_MAX} steps",
            stacklevel=2,
        )
        delays = np.minimum(delays, DELAY_MAX)
    if delays.ndim == 1 and delays.shape[0] == shape[0]:
        delays = delays[:, None]
    elif delays.ndim != 0 and delays.shape not in (shape, shape[1:]):
        raise refusal(group, number, f"delay {delays.shape} does not fit weight {shape}", "give one a neuron")
    return np.ascontiguousarray(np.broadcast_to(delays, shape))


def _read_conv(
    group: Group, number: int, arriving: Shape | None, options: ReaderOptions, graded: bool, flatten: bool
) -> StockLayer:
    """``Network.create_conv``: kernel (out, in, y, x) and pairs (y, x) in the file, all reversed."""
    if arriving is None or len(arriving) != 3:
        have = "unknown" if arriving is None else arriving
        raise refusal(group, number, f"its input shape is {have}", "give (x, y, channel)")
    if "delay" in group:
        raise refusal(group, number, "stock netx ignores the delays of convolutions", "leave delay out")
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
    if channels * taps_x * taps_y * shape[0] * shape[1] * out_channels > _CONV_SYNAPSES_MAX:
        raise refusal(
            group, number, f"it has more than {_CONV_SYNAPSES_MAX:,} synapses", "choose a smaller input or kernel"
        )
    kernel = weight.reshape(weight.shape[:4]).transpose(0, 1, 3, 2)
    label = f"layer {number} (conv)"
    synapse = ConvSynapse(kernel, arriving, shape, stride, padding, dilation, blocks, label)
    return StockLayer(number, "conv", synapse, read_neuron(group, number, shape, options.spike_exp), graded)


def _check_connection(group: Group, number: int, before: Shape, expected: Shape, flatten: bool) -> None:
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
