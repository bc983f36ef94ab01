"""Networks of other frameworks, through NIR files, as netx files.

NIR (https://neuroir.org) describes neurons by differential equations of real numbers; netx by integers. A node is taken
where the forward Euler step ``dt`` of its equation is a step of the netx neuron with whole parameters, else refused by
name. What is exact and what is not:

- ``Linear``, ``Affine``, ``Conv2d``, ``Flatten``, ``Input``, ``Output``, ``Delay``: exact.
- ``IF``, and ``Threshold``: exact, as long as no sum leaves 24 bits.
- ``LIF`` and ``CubaLIF``: each step of the leak is rounded towards zero to 1/64 of a unit, which is Loihi's leak and
  not that of real numbers. All else is exact.
- Each synapse takes one step more than in NIR.
- All other nodes (``I``, ``LI``, ``CubaLI``, ``Scale``, ``Conv1d``, pooling, subgraphs), branches and cycles are
  refused.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import write_atomically
from spk2loihi.hdf5 import Group, hdf5_writer, read_hdf5, write_tree
from spk2loihi.limits import DELAY_MAX
from spk2loihi.netx.stock_network import DEFAULT_DT

Values = NDArray[Any]
Layer = dict[str, Any]

_LARGEST = 2**31 - 1
_UNITY = 4096  # a decay of 1 in netx
_WHOLE = 1e-6  # a number within this part of itself of a whole one is taken for it: products in single precision

_SYNAPSES = (nir.Linear, nir.Affine, nir.Conv2d)
_NEURONS = (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold)


def nir_to_netx(nir_file: Path | Group, netx_file: Path, dt: float = DEFAULT_DT) -> None:
    """Write a NIR network as a netx file, which runs on every backend and in the stock loader.

    Shapes of NIR, (channel, y, x), are those of netx files; `StockNetwork` and Lava reverse them.

    Args:
        dt: seconds a step.

    Raises:
        UserError: the file cannot be read, a node has no exact integer meaning, or its parameters are not whole.
    """
    tree = nir_file if isinstance(nir_file, Group) else read_hdf5(nir_file, "NIR file", "write it with nir.write")
    try:
        graph = _graph(tree)
    except Exception as error:  # the reader raises whatever its data classes and h5py raise
        raise UserError(
            f"{tree.file} cannot be read as a NIR graph ({first_line(error)}): write it with nir.write"
        ) from None
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused
            layers = _layers(_chain(graph), dt)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"NIR file {tree.file} is damaged ({first_line(error)}): write it with nir.write") from None

    def fill(file: h5py.File) -> None:
        for number, layer in enumerate(layers):
            for name, value in layer.items():
                if isinstance(value, dict):
                    for key, each in value.items():
                        file[f"layer/{number}/{name}/{key}"] = each
                else:
                    file[f"layer/{number}/{name}"] = value

    write_atomically(netx_file, hdf5_writer(fill))


def _graph(tree: Group) -> nir.NIRGraph:
    """nir reads a copy in memory that holds nothing but the arrays of the file."""
    with io.BytesIO() as memory:
        with h5py.File(memory, "w") as copy:
            write_tree(tree, copy)
        return nir.read(memory)


def _chain(graph: nir.NIRGraph) -> list[tuple[str, Any]]:
    """Nodes in the order of the edges."""
    after: dict[str, str] = {}
    reached: set[str] = set()
    for source, target in graph.edges:
        if source in after or target in reached:
            raise UserError(f"NIR node {source if source in after else target} branches or joins: give a plain chain")
        if source not in graph.nodes or target not in graph.nodes:
            raise UserError(f"NIR edge from {source} to {target} leads to no node: write the file again with nir.write")
        after[source] = target
        reached.add(target)
    starts = [name for name in graph.nodes if name not in reached]
    names = starts[:1]
    while names and names[-1] in after:
        names.append(after[names[-1]])
    if len(names) != len(graph.nodes):
        raise UserError(
            f"NIR graph of {len(graph.nodes)} nodes is not one chain ({len(names)} follow): give a plain chain"
        )
    return [(name, graph.nodes[name]) for name in names]


def _layers(chain: list[tuple[str, Any]], dt: float) -> list[Layer]:
    layers: list[Layer] = []
    synapse: tuple[str, Any] | None = None
    delay: Values | None = None
    for name, node in chain:
        if isinstance(node, nir.Input):
            layers.append({"type": _text("input"), "shape": np.array(node.input_type["input"], np.int64)})
        elif isinstance(node, nir.Output):
            continue
        elif isinstance(node, nir.Flatten):
            if synapse is not None:
                raise _refusal(name, node, "stands between weights and neurons", "flatten before the weights")
            size, output = int(np.prod(node.input_type["input"])), node.output_type["output"]
            if max(output) != size:
                raise _refusal(
                    name, node, f"flattens to {tuple(output)}, but netx to a row of {size}", "flatten all axes"
                )
            layers.append({"type": _text("flatten"), "shape": np.array([size])})
        elif isinstance(node, nir.Delay):
            if synapse is not None:
                raise _refusal(name, node, "stands between weights and neurons", "delay before the weights")
            delay = _whole(name, node, "delay", np.asarray(node.delay) / dt).reshape(-1)
            if delay.min() < 0 or delay.max() > DELAY_MAX:
                raise _refusal(name, node, f"delays by up to {delay.max()} steps", f"stay within 0 to {DELAY_MAX}")
        elif isinstance(node, _SYNAPSES):
            if synapse is not None:
                raise _refusal(name, node, "follows other weights without neurons between", "multiply them")
            synapse = name, node
        elif isinstance(node, _NEURONS):
            if synapse is None:
                raise _refusal(name, node, "follows no weights", "give every population weights of its own")
            layers.append(_layer(*synapse, name, node, delay, dt))
            synapse, delay = None, None
        else:
            raise _refusal(name, node, "has no exact integer meaning on Loihi neurons", "leave it out")
    if synapse is not None:
        raise _refusal(*synapse, "drives no neurons", "end the network in spiking neurons")
    if delay is not None:
        raise UserError("the last NIR delay drives no weights: leave it out")
    return layers


def _layer(weights: str, synapse: Any, name: str, node: Any, delay: Values | None, dt: float) -> Layer:
    """Weights and the neurons they drive as one netx layer."""
    neuron, gain = _neuron(name, node, dt)
    weight = np.asarray(synapse.weight, np.float64)
    scaled = weight * _per_row(gain, weight)
    layer: Layer = {
        "type": _text("conv" if isinstance(synapse, nir.Conv2d) else "dense"),
        "shape": np.array(np.shape(node.threshold if isinstance(node, nir.Threshold) else node.v_threshold), np.int64),
        "weight": _whole(weights, synapse, f"weight times the gain of {name}", scaled),
        "neuron": neuron,
    }
    if isinstance(synapse, nir.Conv2d):
        if isinstance(synapse.padding, str):
            raise _refusal(weights, synapse, f"has padding {synapse.padding!r}", "give it as numbers")
        if delay is not None:
            raise _refusal(weights, synapse, "follows a delay, which netx ignores before a convolution", "leave it out")
        pairs = {
            key: np.broadcast_to(np.asarray(getattr(synapse, key)), 2) for key in ("stride", "padding", "dilation")
        }
        layer |= {**pairs, "groups": int(synapse.groups), "inChannels": weight.shape[1] * int(synapse.groups)}
    elif delay is not None:
        layer["delay"] = np.broadcast_to(delay, weight.shape)  # a delay of each input
    bias = getattr(synapse, "bias", None)
    if bias is not None and np.any(bias):
        if np.any(neuron["iDecay"] != _UNITY):
            raise _refusal(weights, synapse, f"has a bias, which the current of {name} would decay", "leave it out")
        scaled = np.asarray(bias, np.float64) * _per_row(gain, np.asarray(bias, np.float64))
        layer["bias"] = _whole(weights, synapse, f"bias times the gain of {name}", scaled)
    return layer


def _neuron(name: str, node: Any, dt: float) -> tuple[dict[str, Any], Values]:
    """netx parameters, and what the weights have to be multiplied by."""
    if isinstance(node, nir.Threshold):
        return _lif(name, node, np.float64(1), np.float64(1), node.threshold), np.ones(np.shape(node.threshold))
    for zero in ("v_reset", "v_leak"):
        if np.any(getattr(node, zero, 0)):
            raise _refusal(name, node, f"has {zero} other than 0", "shift its potentials")
    if isinstance(node, nir.IF):
        return _lif(name, node, np.float64(1), np.float64(0), node.v_threshold), np.asarray(node.r) * dt
    if isinstance(node, nir.LIF):
        leak = dt / np.asarray(node.tau, np.float64)
        return _lif(name, node, np.float64(1), leak, node.v_threshold), leak * node.r
    decay, leak = dt / np.asarray(node.tau_syn, np.float64), dt / np.asarray(node.tau_mem, np.float64)
    return _lif(name, node, decay, leak, node.v_threshold), decay * node.w_in * leak * node.r


def _lif(name: str, node: Any, current_decay: Any, voltage_decay: Any, threshold: Any) -> dict[str, Any]:
    decays = {"iDecay": current_decay, "vDecay": voltage_decay}
    for key, decay in decays.items():
        if np.min(decay) < 0 or np.max(decay) > 1 + _WHOLE:
            raise _refusal(name, node, f"loses {np.max(decay):.3g} of its state in a step", "choose a smaller dt")
        decays[key] = _whole(name, node, f"4096 dt / tau ({key})", np.asarray(decay) * _UNITY)
    values = {**decays, "vThMant": _whole(name, node, "threshold", np.asarray(threshold))}
    return {"type": np.array(b"CUBA"), **{key: _lava_order(value) for key, value in values.items()}, "refDelay": 1}


def _lava_order(values: Values) -> Values:
    """One number if all are the same, else (x, y, channel) or (neurons,), to which Lava broadcasts them."""
    return values.reshape(-1)[0] if (values == values.reshape(-1)[0]).all() else values.T


def _per_row(gain: Values, weight: Values) -> Values:
    """A gain for each output of a weight (out, ...): that of its neurons, which have to share it."""
    gain = np.asarray(gain, np.float64)
    if gain.ndim == 0:
        return gain
    rows = gain.reshape(gain.shape[0], -1)
    if not np.allclose(rows, rows[:, :1], rtol=1e-6, atol=0):
        raise UserError(
            "NIR neurons of one channel differ in their gain, but share its weights: give them one r and tau"
        )
    return rows[:, 0].reshape(-1, *[1] * (weight.ndim - 1))


def _whole(name: str, node: Any, what: str, values: Values) -> NDArray[np.int64]:
    values = np.asarray(values, np.float64)
    if not values.size or not (np.abs(values) <= _LARGEST).all():  # also where it is not a number
        raise _refusal(name, node, f"{what} is empty, not finite or beyond 32 bits", "write it again with nir.write")
    nearest = np.rint(values)
    if not (np.abs(values - nearest) <= _WHOLE * np.abs(values)).all():
        worst = float(values.reshape(-1)[np.abs(values - nearest).argmax()])
        raise _refusal(
            name, node, f"{what} is {worst:.6g}, not a whole number", "quantise the network, or choose another dt"
        )
    return nearest.astype(np.int64)


def _refusal(name: str, node: Any, what: str, remedy: str) -> UserError:
    return UserError(f"NIR node {name} ({type(node).__name__}) {what}: {remedy}")


def _text(kind: str) -> Values:
    return np.array([kind.encode()], dtype="S10")
