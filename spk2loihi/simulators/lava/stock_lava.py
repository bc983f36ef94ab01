"""Stock Lava running a netx file: what `StockNetwork` has to equal."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.neuron_model import Int32Array
from spk2loihi.netx.stock_network import StockNetwork
from spk2loihi.netx.stock_run import LayerRecord
from spk2loihi.simulators.lava.importing import import_lava


def run_in_lava(
    path: Path,
    network: StockNetwork,
    inputs: NDArray[Any],
    record: Collection[int] = (),
    states: bool = True,
    **loader_options: Any,
) -> tuple[Int32Array, dict[int, LayerRecord]]:
    """Run one sample through ``hdf5.Network`` on Lava's CPU simulator.

    Args:
        path: the file.
        network: the same file and options as read by `StockNetwork`; names the layers.
        inputs: (*input_shape, steps); they go where `StockNetwork.run` says.
        record: numbers of layers to record.
        states: record the state variables too: Lava then stops after every step.
        loader_options: of ``hdf5.Network``.

    Returns:
        What the last layer sends, (*output_shape, steps), and the records, without a batch axis.

    Raises:
        UserError: Lava is missing, or its loader refuses the file.
    """
    import_lava()
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    from spk2loihi.simulators.lava.lava_processes import LavaProcesses

    server = ProcessServer()
    known = len(server.processes)
    with contextlib.redirect_stdout(io.StringIO()):
        lava = hdf5.Network(net_config=str(path), **loader_options)
    steps = inputs.shape[-1]
    biases = None
    first = network.layers[0]
    if first.synapse is None and first.neuron.resets:  # CUBA or LOIHI input neurons, which take a bias, not spikes
        biases = np.ascontiguousarray(np.moveaxis(inputs, -1, 0)).astype(np.int32)
        lava.layers[0].neuron.bias_mant.init = biases[0]
    else:
        source = Source(data=inputs.astype(np.int32))
        # An Input block does not connect its port to its neurons.
        source.s_out.connect(lava.layers[0].neuron.a_in if first.synapse is None else lava.inp)
    blocks = {layer.number: block for layer, block in zip(network.layers, lava.layers, strict=True)}
    kept = {network.layers[-1].number, *record}
    sinks = {number: Sink(shape=blocks[number].out.shape, buffer=steps) for number in kept}
    for number, sink in sinks.items():
        blocks[number].out.connect(sink.a_in)
    names = {layer.number: layer.neuron.states if states else () for layer in network.layers if layer.number in record}
    tapes: dict[int, dict[str, list[Any]]] = {n: {name: [] for name in names[n]} for n in names}
    at_once = biases is None and not any(names.values())
    config = Loihi2SimCfg(select_tag="fixed_pt")
    with LavaProcesses(lava, config, server.processes[known:], direct=False) as processes:
        for step in range(1 if at_once else steps):
            processes.run(steps if at_once else 1)
            for number, tape in tapes.items():
                for name, values in tape.items():
                    values.append(np.asarray(getattr(blocks[number].neuron, name).get()).copy())
            if biases is not None and step + 1 < steps:
                lava.layers[0].neuron.bias_mant.set(biases[step + 1])
        sent = {number: np.asarray(sink.data.get()).astype(np.int32) for number, sink in sinks.items()}
    records = {
        number: LayerRecord(
            sent[number], {name: np.stack(values, -1).astype(np.int32) for name, values in tapes[number].items()}
        )
        for number in names
    }
    return sent[network.layers[-1].number], records
