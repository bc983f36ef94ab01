"""Runs the network in this folder on Lava: on a Loihi 2 board where there is one, else on Lava's CPU simulator.

    python run.py             the CPU, or the board that lava.utils.loihi is set up for
    python run.py slurm       a board that SLURM lends
    python run.py ADDRESS     a board in the network

Needs lava-nc, and on a machine with a board Intel's lava-loihi; nothing else. Prints what the network says of the
example sentences and compares it with what it should say. Exit code 0: all are equal; 1: not.

graph.json      the processes: neurons, synapses, how they are connected
weights.npz     the weights of the synapses
sentences.npz   what the host sends, step by step; the steps in which the answers are read; the answers
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sparse.process import Sparse
from lava.utils import loihi
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

FOLDER = Path(__file__).resolve().parent
NEURONS = {"GradedVec": GradedVec, "GradedReluVec": GradedReluVec, "ProdNeuron": ProdNeuron}
MESSAGE_BITS = 24


def weights_of(connection: dict[str, Any], weights: Any) -> Any:
    """(targets, sources), dense or sparse."""
    key = connection["weights"]
    if connection["kind"] == "Dense":
        return weights[f"{key}.values"].astype(np.int32)
    at = weights[f"{key}.rows"], weights[f"{key}.columns"]
    return csr_matrix((weights[f"{key}.values"].astype(np.int32), at), shape=connection["shape"])


def build(graph: dict[str, Any], weights: Any, sentences: Any, arithmetic: str, board: bool) -> tuple[Any, Any]:
    """The readout and its sink; all other processes hang on them."""
    if board:
        from lava.proc import embedded_io
    neurons, ports = {}, {}
    for each in graph["populations"]:
        name, shape = each["name"], (each["size"],)
        if each["kind"] == "RingBuffer":  # what the host sends, (steps, neurons)
            ports[name] = Source(data=np.ascontiguousarray(sentences[name].T).astype(np.int32)).s_out
            if board:
                adapter = embedded_io.spike.PyToNxAdapter(shape=shape, num_message_bits=MESSAGE_BITS)
                ports[name].connect(adapter.inp)
                ports[name] = adapter.out
        else:
            neurons[name] = NEURONS[each["kind"]](shape=shape, vth=each["threshold"], exp=0)
            ports[name] = neurons[name].s_out
    for each in graph["connections"]:
        if each["arithmetic"] not in (None, arithmetic):
            continue
        synapses = {"Dense": Dense, "Sparse": Sparse}[each["kind"]](
            weights=weights_of(each, weights),
            weight_exp=each["exponent"],
            sign_mode=SignMode[each["sign"]],
            num_weight_bits=8,
            num_message_bits=MESSAGE_BITS,
            name=each["name"],
        )
        ports[each["source"]].connect(synapses.s_in)
        synapses.a_out.connect(getattr(neurons[each["target"]], each["port"]))
    readout = neurons[graph["readout"]]
    sink, out = Sink(shape=readout.shape, buffer=len(sentences[graph["tokens"]])), readout.s_out
    if board:
        adapter = embedded_io.spike.NxToPyAdapter(shape=readout.shape, num_message_bits=MESSAGE_BITS)
        out.connect(adapter.inp)
        out = adapter.out
    out.connect(sink.a_in)
    return readout, sink


def main() -> int:
    graph = json.loads((FOLDER / "graph.json").read_text(encoding="utf-8"))
    weights, sentences = (np.load(FOLDER / name, allow_pickle=False) for name in ("weights.npz", "sentences.npz"))
    if sys.argv[1:] == ["slurm"]:
        loihi.use_slurm_host()
    elif sys.argv[1:]:
        loihi.use_ethernet_host(sys.argv[1])
    board = loihi.is_installed()
    arithmetic = "chip" if board else "lava"  # they round differently
    readout, sink = build(graph, weights, sentences, arithmetic, board)
    steps = len(sentences[graph["tokens"]])
    # On the CPU every process is one of the system's, and every connection has open files.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    run_cfg = (Loihi2HwCfg if board else Loihi2SimCfg)(select_tag="fixed_pt")
    print(f"{len(sentences['read'])} sentences, {steps} steps, on {'a Loihi 2' if board else 'the CPU'}", flush=True)
    try:
        # A channel of the CPU simulator holds 64 messages unless told otherwise, which takes as many times the memory.
        readout.run(RunSteps(num_steps=steps), run_cfg, compile_config={"pypy_channel_size": 2})
        messages = sink.data.get().astype(np.int32) << 8 >> 8  # 24 bits and their sign, (labels, steps)
    finally:
        readout.stop()
    found, expected = messages.T[sentences["read"]], sentences[arithmetic]
    for text, logits, right in zip(graph["texts"], found.tolist(), expected.tolist(), strict=True):
        says = graph["labels"][int(np.argmax(logits))] if len(logits) > 1 else ""
        print(f"{logits} {says} {'' if logits == right else f'but expected {right} '}{text}".rstrip())
    different = int((found != expected).any(1).sum())
    print("all as expected" if not different else f"{different} sentences differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
