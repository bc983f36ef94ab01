"""Check a trained student and its network against code that shares no engine with the emulator.

    uv run python benchmarks/check_student.py model.pt model.net [--sentences 64] [--segments] [--lava]

* The torch model's own sweep (`spk2loihi.export.trace`) gives the emulator's spikes and SynOps.
* With --segments, every conv layer of the network loads in lava-dl's `hdf5.Network` and, its neuron being there a
  hard-reset LIF, spikes exactly as this project's emulation of stock Lava (a minute a dozen layers).
* With --lava, SynOps recounted from the spike trains recorded in a Lava run are those the emulator reports.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TaskSpec, collate, load_held_out
from spk2loihi.export.trace import integer_trace
from spk2loihi.network import read_network
from spk2loihi.network.network import Network
from spk2loihi.netx import StockNetwork, segment_file, segments
from spk2loihi.simulators import create_backend, encode
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.operation_counter import count_operations
from spk2loihi.simulators.simulate import pad_id
from spk2loihi.training.checkpoint import load_checkpoint

_SEGMENT_STEPS = 4
_LAVA_SENTENCES = 4


def synops(operations: list[StageOps]) -> int:
    return sum(o.synops + o.attention_synops for o in operations)


def check_trace(model_file: Path, network: Network, sentences: int) -> None:
    """Raises AssertionError at the first stage whose spikes differ."""
    model = load_checkpoint(model_file).model.eval()
    encoded, _ = encode(network, load_held_out(TaskSpec.from_dict(network.task)).take(sentences))
    emulator, total, neurons = create_backend("emulator", network), 0, 0
    for start in range(0, len(encoded), 16):
        batch = collate(encoded[start : start + 16], pad_id(network))
        counts, readout = integer_trace(model, network, batch)
        run = emulator.run(batch)
        assert np.array_equal(readout, run.logits), "readout"
        for name, n in counts.items():
            assert np.array_equal(n, run.counts[name]), name
            neurons += n.size
        events = {name: np.abs(n) for name, n in counts.items()}
        own = synops(count_operations(emulator.timeline, events, batch.lengths))
        assert own == synops(count_operations(emulator.timeline, run.events, batch.lengths))
        total += own
    print(f"torch trace: {neurons:,} counts and {total:,} SynOps of {len(encoded)} sentences equal the emulator's")


def check_lava_synops(network: Network) -> None:
    encoded, _ = encode(network, load_held_out(TaskSpec.from_dict(network.task)).take(_LAVA_SENTENCES))
    batch = collate(encoded, pad_id(network))
    lava = create_backend("cpu", network)
    try:
        run = lava.run(batch, record=True)
    finally:
        lava.close()
    assert run.trains is not None
    events = {name: np.abs(train.astype(np.int64)).sum(0) for name, train in run.trains.items()}
    recorded = synops(count_operations(lava.timeline, events, batch.lengths))
    emulated = create_backend("emulator", network).run(batch)
    assert recorded == synops(count_operations(lava.timeline, emulated.events, batch.lengths))
    print(f"Lava: {recorded:,} SynOps recounted from recorded spikes of {len(encoded)} sentences equal the emulator's")


def check_segments(network_file: Path) -> None:
    rng = np.random.default_rng(0)
    found = segments(network_file)
    fired = 0
    with tempfile.TemporaryDirectory() as folder:
        for segment in found:
            path = Path(folder) / "segment.net"
            segment_file(network_file, segment.number, path)
            train = (rng.random((*segment.input_shape, _SEGMENT_STEPS)) < 0.2).astype(np.int64)
            expected = stock_lava(path, train)
            own = StockNetwork.from_file(path).run(train[None]).output[0]
            assert np.array_equal(own, expected), segment.name
            fired += int(expected.any())
    print(f"stock hdf5.Network: {len(found)} segments load and spike as emulated, {fired} of them did spike")


def stock_lava(path: Path, train: NDArray[np.int64]) -> NDArray[Any]:
    """Spikes (x, y, channels, steps) of a one-layer netx file in stock Lava."""
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    network = hdf5.Network(net_config=str(path))
    source = Source(data=train.astype(np.int32))
    source.s_out.connect(network.inp)
    sink = Sink(shape=network.out.shape, buffer=train.shape[-1])
    network.out.connect(sink.a_in)
    try:
        network.run(condition=RunSteps(num_steps=train.shape[-1]), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        return np.asarray(sink.data.get())
    finally:
        network.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--segments", action="store_true")
    parser.add_argument("--lava", action="store_true")
    arguments = parser.parse_args()
    network = read_network(arguments.network)
    check_trace(arguments.model, network, arguments.sentences)
    if arguments.lava:
        check_lava_synops(network)
    if arguments.segments:
        check_segments(arguments.network)


if __name__ == "__main__":
    main()
