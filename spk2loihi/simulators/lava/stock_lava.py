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
    state_steps: Collection[int] | None = None,
    **loader_options: Any,
) -> tuple[Int32Array, dict[int, LayerRecord]]:
    """Run one sample through ``hdf5.Network`` on Lava's CPU simulator.

    Args:
        path: the file.
        network: the same file and options as read by `StockNetwork`; names the layers.
        inputs: (*input_shape, steps); they go where `StockNetwork.run` says.
        record: numbers of layers to record.
        states: record the state variables too: Lava then stops to read them, neuron by neuron.
        state_steps: steps after which to record them, counted from 0; None for all.
        loader_options: of ``hdf5.Network``.

    Returns:
        What the last layer sends, (*output_shape, steps), and the records, without a batch axis: messages of all steps,
        states of ``state_steps``.

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
    rows = [step for step in range(steps) if state_steps is None or step in state_steps] if any(names.values()) else []
    config = Loihi2SimCfg(select_tag="fixed_pt")
    with LavaProcesses(lava, config, server.processes[known:], direct=False) as processes:
        done = 0
        for stop in _stops(steps, rows, biases):
            if biases is not None and done and (biases[done] != biases[done - 1]).any():
                lava.layers[0].neuron.bias_mant.set(biases[done])
            processes.run(stop - done)
            done = stop
            for number, tape in tapes.items() if done - 1 in rows else ():
                for name, values in tape.items():
                    values.append(np.asarray(getattr(blocks[number].neuron, name).get()).copy())
        sent = {number: np.asarray(sink.data.get()).astype(np.int32) for number, sink in sinks.items()}
    records = {
        number: LayerRecord(
            sent[number], {name: np.stack(values, -1).astype(np.int32) for name, values in tapes[number].items()}
        )
        for number in names
    }
    return sent[network.layers[-1].number], records


def _stops(steps: int, rows: list[int], biases: NDArray[Any] | None) -> list[int]:
    """Steps done when Lava stops: to have states read, or biases changed. Both take a message a neuron."""
    changes = [] if biases is None else [step for step in range(1, steps) if (biases[step] != biases[step - 1]).any()]
    return sorted({*(row + 1 for row in rows), *changes, steps})
