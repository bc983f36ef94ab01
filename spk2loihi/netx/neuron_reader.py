"""netx ``neuron`` groups to neuron models, as ``Network.get_neuron_params`` of lava/lib/dl/netx/hdf5.py reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spk2loihi.hdf5 import Dataset, Group
from spk2loihi.netx.arrays import INT32_MAX, Array, largest_magnitude
from spk2loihi.netx.hdf5_access import Shape, number_of, numbers_of, refusal, text_of, type_of
from spk2loihi.netx.lif import HardResetLif
from spk2loihi.netx.neuron_model import Neuron
from spk2loihi.netx.resonator import Resonator, lava_decays
from spk2loihi.netx.sigma_delta import Delta, Sigma, SigmaDelta

# What a dense layer without a neuron gets: `Network.create_dense` of lava/lib/dl/netx/hdf5.py. It is called a non-leaky
# integrator there, but the decays are swapped: u integrates, v follows it, and never passes 2**17 << 6.
_DEFAULT_CURRENT_DECAY, _DEFAULT_VOLTAGE_DECAY, _DEFAULT_THRESHOLD = 0, 4096, 1 << 17

#: Types that lava-dl writes. Stock netx takes any other name with RF in it for resonators, which it need not be.
_KINDS = ("CUBA", "LOIHI", "SDNN", "RF", "RF_PHASE", "RF_IZ")
_RESONATORS = ("RF", "RF_PHASE", "RF_IZ")

_SDNN_STATE_BITS = 6  # state_exp: SDNN thresholds and biases are shifted by it and by spike_exp, in 32 bits


def read_neuron(group: Group, number: int, shape: Shape, spike_exp: int, complex_drive: bool = False) -> Neuron:
    """The neurons of a dense, dense_rec or conv layer.

    Raises:
        UserError: stock netx cannot load them, or takes them for something else.
    """
    if "neuron" not in group:
        if type_of(group) == "conv":
            raise refusal(group, number, "it has no neuron, which stock netx cannot load", "export it again")
        if complex_drive:
            raise refusal(group, number, "it has complex weights but no neuron", "give it an RF neuron")
        return HardResetLif(
            shape,
            current_decay=np.array(_DEFAULT_CURRENT_DECAY),
            voltage_decay=np.array(_DEFAULT_VOLTAGE_DECAY),
            threshold=np.array(_DEFAULT_THRESHOLD),
            bias=_lif_bias(group, number, shape),
        )
    kind = _kind(group, number)
    if (kind in _RESONATORS) != complex_drive:
        needs = "weights of two parts, weight/real and weight/imag" if kind in _RESONATORS else "real weights"
        raise refusal(group, number, f"neurons of type {kind} need {needs}", "export it again")
    if kind in _RESONATORS:
        return _read_resonator(group, number, shape)
    if kind == "SDNN":
        return _read_sigma_delta(group, number, shape, spike_exp)
    return _read_lif(_neuron(group, number), number, shape, _lif_bias(group, number, shape))


def read_input_neuron(group: Group, number: int, shape: Shape, spike_exp: int) -> Neuron:
    """The neurons of an input layer."""
    kind, neuron = _kind(group, number), _neuron(group, number)
    if kind == "SDNN":
        return Delta(shape, _sdnn_number(neuron, number, number_of(neuron, number, "vThMant"), spike_exp), spike_exp)
    if kind not in ("CUBA", "LOIHI"):
        raise refusal(group, number, f"stock netx has no input neurons of type {kind}", "use CUBA, LOIHI or SDNN")
    lif = _read_lif(neuron, number, shape, np.zeros(shape, np.int16))
    return HardResetLif(shape, lif.current_decay, lif.voltage_decay, lif.threshold, lif.bias, bias_driven=True)


def _neuron(group: Group, number: int) -> Group:
    neuron = group.get("neuron")
    if not isinstance(neuron, Group):
        raise refusal(group, number, "its neuron is no group", "export it again")
    return neuron


def _kind(group: Group, number: int) -> str:
    neuron = _neuron(group, number)
    kind = type_of(neuron)
    if kind not in _KINDS:
        raise refusal(
            group,
            number,
            f"neurons of type {kind[:40]} are unknown to stock netx, or would run as others in silence",
            f"use {', '.join(_KINDS)}",
        )
    if "messageBits" in neuron:
        raise refusal(group, number, "its neurons have messageBits, which stock netx cannot run", "leave them out")
    if kind != "SDNN" and "gradedSpike" in neuron and np.any(_flag(neuron, number, "gradedSpike")):
        raise refusal(
            group, number, f"stock netx takes graded spikes of {kind} for spikes of 1", "set gradedSpike to 0"
        )
    return kind


def _read_lif(neuron: Group, number: int, shape: Shape, bias: NDArray[np.int16]) -> HardResetLif:
    i_decay, v_decay, threshold = (_each(neuron, number, name, shape) for name in ("iDecay", "vDecay", "vThMant"))
    return HardResetLif(shape, i_decay, v_decay, threshold, bias)


def _each(neuron: Group, number: int, name: str, shape: Shape) -> Array:
    """One integer for the layer, for each channel or for each neuron: Lava broadcasts what netx hands it."""
    values = numbers_of(neuron, number, name)
    if values.size != 1 and values.shape not in (shape[-1:], shape):
        raise refusal(neuron, number, f"{name} of shape {values.shape} does not fit neurons {shape}", "give one number")
    if largest_magnitude(values) > INT32_MAX:
        raise refusal(neuron, number, f"{name} is {values.reshape(-1)[:3].tolist()}", "give numbers of at most 32 bits")
    return values.reshape(()) if values.size == 1 else values


def _read_sigma_delta(group: Group, number: int, shape: Shape, spike_exp: int) -> Neuron:
    neuron = _neuron(group, number)
    if "sigma_output" in neuron:
        if not np.any(_flag(neuron, number, "sigma_output")):
            raise refusal(group, number, "stock netx takes sigma_output 0 for 1", "leave sigma_output out")
        if "bias" in group:
            raise refusal(group, number, "stock netx cannot load a bias with sigma_output", "leave the bias out")
        return Sigma(shape)
    activation = neuron.get("activation")
    if activation is not None and (name := _text(activation)) != "relu":
        raise refusal(group, number, f"stock netx takes activation {name} for relu", "use relu")
    bias = read_bias(group, number, shape)
    _sdnn_number(neuron, number, largest_magnitude(bias), spike_exp, "bias")
    threshold = _sdnn_number(neuron, number, number_of(neuron, number, "vThMant"), spike_exp)
    return SigmaDelta(shape, threshold, bias, spike_exp)


def _sdnn_number(neuron: Group, number: int, value: int, spike_exp: int, name: str = "vThMant") -> int:
    limit = INT32_MAX >> (spike_exp + _SDNN_STATE_BITS)
    if abs(value) > limit:
        raise refusal(neuron, number, f"{name} {value} passes 32 bits in Lava's units", f"stay within {limit}")
    return value


def _read_resonator(group: Group, number: int, shape: Shape) -> Resonator:
    neuron = _neuron(group, number)
    kind = type_of(neuron)
    if "bias" in group:
        raise refusal(group, number, "stock netx ignores the bias of complex layers", "leave the bias out")
    sine, cosine = lava_decays(*(_each(neuron, number, name, shape) for name in ("sinDecay", "cosDecay")))
    return Resonator(shape, sine, cosine, number_of(neuron, number, "vThMant"), izhikevich=kind != "RF_PHASE")


def _lif_bias(group: Group, number: int, shape: Shape) -> NDArray[np.int16]:
    """Lava keeps the low 16 bits of each bias."""
    return read_bias(group, number, shape).astype(np.int16)


def read_bias(group: Group, number: int, shape: Shape) -> Array:
    """One bias a layer (dense), a channel (conv) or a neuron."""
    if "bias" not in group:
        return np.zeros(shape, np.int64)
    bias = numbers_of(group, number, "bias", cast=True)
    if bias.shape not in ([(), (1,), shape] if len(shape) == 1 else [shape[-1:], shape]):
        raise refusal(group, number, f"bias {bias.shape} does not fit neurons {shape}", "give one a channel")
    if (largest := largest_magnitude(bias)) > INT32_MAX:
        raise refusal(group, number, f"a bias of {largest} passes 32 bits", "stay within -4096 to 4095")
    return np.broadcast_to(bias, shape)


def _flag(neuron: Group, number: int, name: str) -> Array:
    dataset = neuron.get(name)
    if not isinstance(dataset, Dataset) or dataset.kind not in "iufb":
        raise refusal(neuron, number, f"{name} is no number", "set it to 0 or 1")
    if dataset.value.size != 1:
        raise refusal(neuron, number, f"{name} is not one number", "set it to 0 or 1")
    return dataset.value


def _text(item: Dataset | Group) -> str:
    return text_of(item) if isinstance(item, Dataset) and item.kind == "S" and item.value.size else "of another type"
