"""Chains of a netx file as NIR graphs, which `nir_reader` reads back to the same integers.

A step is ``dt``. A unit of weights is a unit of potential:

- ``iDecay`` 4096 and ``vDecay`` 0: ``IF`` with r = 1 / dt.
- ``iDecay`` 4096: ``LIF`` with tau = dt 4096 / vDecay and r = tau / dt.
- any other: ``CubaLIF`` with tau_syn = dt 4096 / iDecay, w_in = tau_syn / dt, tau_mem and r likewise. Its bias, which
  acts on the potential in Lava, is v_leak; a decay of 0 is a time constant of 2**40 steps.

A recurrent layer is weights from the neurons back to themselves; a delay is a Delay before or after the weights.
"""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.files import Sink, Write
from spk2loihi.hdf5 import Group
from spk2loihi.netx.dense import fitted_weights
from spk2loihi.netx.hdf5_access import Shape, refusal, type_of, weights_in
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.lif import HardResetLif
from spk2loihi.netx.lif_arrays import UNITY
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.stock_network import StockNetwork
from spk2loihi.netx.synapse import ConvSynapse, DelayedDenseSynapse
from spk2loihi.results import CONVERTED_MARK

_NEVER = 2.0**40  # steps of a time constant in which nothing is lost: less than 2**-20 a step
Values = NDArray[Any]


def netx_to_nir(file: NetworkFile, dt: float) -> tuple[Write, StockNetwork]:
    """Args:
        dt: seconds a step.

    Returns:
        The writer of the NIR file, and the network it describes.

    Raises:
        UserError: a layer is not one of NIR: input neurons, sigma-delta or resonate-and-fire neurons, delays of single
            synapses; or Lava changes its weights when it loads them.
    """
    import nir

    network = file.network()
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(network.input_shape[::-1])})}
    edges: list[tuple[str, str]] = []
    last, shape = "input", network.input_shape
    for layer in network.layers:
        group = file.groups[layer.number]
        if layer.synapse is None or not isinstance(layer.neuron, HardResetLif):
            what = "the values of its input are biases" if layer.synapse is None else f"its neurons are {_kind(group)}"
            raise refusal(
                group, layer.number, f"{what}, for which NIR has no node", "run and verify the netx file as it is"
            )
        chain = _nodes(layer, layer.neuron, group, shape, dt)
        shape = layer.shape
        for name, node in chain:
            nodes[name] = node
            edges.append((last, name))
            last = name
        if layer.recurrent is not None:
            back = f"recurrent_{layer.number}"
            nodes[back] = nir.Linear(weights_in(group, layer.number)[1].astype(np.float64))
            edges += [(last, back), (back, last)]
    nodes["output"] = nir.Output({"output": np.array(network.output_shape[::-1])})
    edges.append((last, "output"))
    graph = nir.NIRGraph(nodes, edges, metadata={"generator": CONVERTED_MARK, "dt": dt})

    def write(sink: Sink) -> None:
        memory = io.BytesIO()
        nir.write(memory, graph)
        with h5py.File(memory, "r+") as made:
            made.attrs["generator"] = np.bytes_(CONVERTED_MARK)
        sink.write(memory.getbuffer())

    return write, network


def _nodes(
    layer: StockLayer, neuron: HardResetLif, group: Group, before_shape: Shape, dt: float
) -> list[tuple[str, Any]]:
    """A layer: what stands before its weights, weights, and neurons."""
    import nir

    number = layer.number
    found: list[tuple[str, Any]] = []
    before = after = None
    weight = weights_in(group, number)[0]
    bias = neuron.bias.T.astype(np.float64) * np.ones(layer.shape[::-1])
    cuba = bool(np.any(neuron.current_decay != UNITY))
    if layer.flatten:
        found.append((f"flatten_{number}", nir.Flatten({"input": np.array(before_shape[::-1])}, start_dim=0)))
    if isinstance(layer.synapse, ConvSynapse):
        synapse = layer.synapse
        each = bias.reshape(len(bias), -1)
        if not cuba and (each != each[:, :1]).any():
            raise refusal(group, number, "biases differ within a channel, and NIR has one a channel", "make them equal")
        node = nir.Conv2d(
            input_shape=synapse.input_shape[1::-1],
            weight=weight.reshape(weight.shape[:4]).astype(np.float64),
            stride=synapse.stride[::-1],
            padding=synapse.padding[::-1],
            dilation=synapse.dilation[::-1],
            groups=synapse.groups,
            bias=np.zeros(len(bias)) if cuba else each[:, 0],
        )
    else:
        matrix = weight.reshape(int(np.prod(layer.shape)), -1)
        parts = [matrix] if layer.recurrent is None else [matrix, weights_in(group, number)[1]]
        mantissas, shift = fitted_weights(parts, layer.label)
        if any((mantissa != part << shift).any() for mantissa, part in zip(mantissas, parts, strict=True)):
            raise refusal(
                group, number, "stock Lava changes its weights when it loads them", "write the weights it makes of them"
            )
        if isinstance(layer.synapse, DelayedDenseSynapse):
            before, after = _delays(layer.synapse.delays, group, number, dt)
        plain = cuba or not bias.any()
        values = matrix.astype(np.float64)
        node = nir.Linear(values) if plain else nir.Affine(values, bias)
    name = f"weight_{number}"
    found += [(f"delay_{number}", before)] * (before is not None) + [(name, node)]
    found += [(f"delay_{number}", after)] * (after is not None)
    return [*found, (f"neurons_{number}", _neurons(layer, neuron, bias, cuba, dt))]


def _neurons(layer: StockLayer, neuron: HardResetLif, bias: Values, cuba: bool, dt: float) -> Any:
    import nir

    shape = layer.shape[::-1]

    def each(values: Values) -> Values:
        whole = values.reshape(()) if values.size == 1 else values
        return np.broadcast_to(whole, layer.shape).T.astype(np.float64) * np.ones(shape)

    def steps(decay: Values) -> Values:
        return UNITY / np.maximum(each(decay), UNITY / _NEVER)

    threshold, zero = each(neuron.threshold), np.zeros(shape)
    membrane = steps(neuron.voltage_decay)
    if not cuba and not neuron.voltage_decay.any():
        return nir.IF(r=np.full(shape, 1 / dt), v_threshold=threshold)
    if not cuba:
        return nir.LIF(tau=membrane * dt, r=membrane, v_leak=zero, v_threshold=threshold)
    synapse = steps(neuron.current_decay)
    return nir.CubaLIF(
        tau_syn=synapse * dt, tau_mem=membrane * dt, r=membrane, v_leak=bias * membrane, v_threshold=threshold,
        w_in=synapse,
    )  # fmt: skip


def _delays(delays: Values, group: Group, number: int, dt: float) -> tuple[Any, Any]:
    """Before the weights, one an input, or after them, one a neuron."""
    import nir

    if (delays == delays[:1]).all():
        return nir.Delay(delays[0] * dt), None
    if (delays == delays[:, :1]).all():
        return None, nir.Delay(delays[:, 0] * dt)
    raise refusal(
        group, number, "its synapses have delays of their own, and NIR has none", "give one an input or neuron"
    )


def _kind(group: Group) -> str:
    neuron = group.get("neuron")
    return type_of(neuron) if isinstance(neuron, Group) else "unknown"
