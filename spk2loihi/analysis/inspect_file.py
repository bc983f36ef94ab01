"""What a netx or NIR file holds: types, shapes, parameters, weights, bits and delays of every layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spk2loihi.hdf5 import Dataset, Group
from spk2loihi.netx.dense import stored_bits
from spk2loihi.netx.hdf5_access import text_of, type_of, weights_in
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.synapse import DelayedDenseSynapse

_SHOWN = 40  # characters of a text in a file


def inspect_file(file: NetworkFile, num_layers: int | None = None) -> dict[str, Any]:
    """The numbers of ``inspect --json``, but what the chip would not take.

    In ``layers``, shapes are (x, y, channel) or (neurons,); ``neurons`` is null of a layer without any;
    ``synapses`` are weights that are not 0, counted for every output; ``weights`` their range in the file and ``bits``
    what the widest takes; ``parameters`` are those of the file, by netx's names.

    Args:
        num_layers: only the first layers of the file.

    Raises:
        UserError: stock netx cannot load a layer, or takes it for something else.
    """
    network = file.network(num_layers=num_layers)
    layers = {layer.number: layer for layer in network.layers}
    return {
        "network": str(file.path),
        "format": file.format,
        "reading": file.summary,
        "input_shape": list(network.input_shape),
        "input_shape_known": not file.needs_input_shape,
        "output_shape": list(network.output_shape),
        "neurons": sum(math.prod(layer.shape) for layer in layers.values()),
        "synapses": sum(layer.existing for layer in layers.values()),
        "layers": [_row(number, group, layers.get(number)) for number, group in enumerate(file.groups[:num_layers])],
    }


def _row(number: int, group: Group, layer: StockLayer | None) -> dict[str, Any]:
    row = {"number": number, "type": type_of(group), "neuron": None, "parameters": {}, "shape": None, "neurons": None}
    if layer is None:
        return {**row, "synapses": 0, "weights": None, "bits": None, "bias": None, "delay": None, "graded": False}
    neuron, bias = group.get("neuron"), group.get("bias")
    held = neuron if isinstance(neuron, Group) else None
    weights = weights_in(group, number) if layer.synapses else []
    delays = layer.synapse.delays if isinstance(layer.synapse, DelayedDenseSynapse) else None
    return {
        **row,
        "neuron": None if held is None else type_of(held),
        "parameters": {} if held is None else _parameters(held),
        "shape": list(layer.shape),
        "neurons": math.prod(layer.shape),
        "synapses": layer.existing,
        "weights": [min(int(w.min()) for w in weights), max(int(w.max()) for w in weights)] if weights else None,
        "bits": max((stored_bits(weight) for weight in weights), default=None),
        "bias": _value(bias) if isinstance(bias, Dataset) and layer.synapses else None,
        "delay": None if delays is None else _range(delays),
        "graded": layer.neuron.graded,
    }


def _parameters(neuron: Group) -> dict[str, Any]:
    return {name: _value(item) for name, item in neuron.items.items() if name != "type" and isinstance(item, Dataset)}


def _value(item: Dataset) -> Any:
    """A number or text; of an array its range."""
    if item.kind == "S":
        return text_of(item)[:_SHOWN] if item.value.size else ""
    if item.kind not in "iufb" or not item.value.size:
        return None
    values = item.value
    if values.dtype.kind == "f" and (values == np.trunc(values)).all():
        values = values.astype(np.int64)  # as Lava takes it
    return values.reshape(-1)[0].item() if values.size == 1 else _range(values)


def _range(values: Any) -> list[Any]:
    return [np.min(values).item(), np.max(values).item()]
