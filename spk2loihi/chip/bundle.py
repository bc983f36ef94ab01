"""A network for a machine that has a board and not this package: arrays, and one program that needs Lava alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.build_graph import build_graph
from spk2loihi.chip.process_graph import TOKENS, Connection, Graph, SparseWeight
from spk2loihi.chip.sentence_stream import SentenceStream, host_payloads
from spk2loihi.chip.stepper import Stepper
from spk2loihi.choices import ARITHMETICS
from spk2loihi.data import TokenBatch
from spk2loihi.files import sha256, write_folder
from spk2loihi.network.network import Network
from spk2loihi.outputs import Output, check_outputs
from spk2loihi.results import BUNDLE_FORMAT

PROGRAM = Path(__file__).with_name("bundle_program.py")


def bundle_output(folder: Path) -> Output:
    """Of ``--bundle``."""
    return Output(folder, "bundle", "bundle", "bundle")


def write_bundle(
    network: Network, folder: Path, batch: TokenBatch, texts: Sequence[str] = (), *, force: bool = False
) -> None:
    """Write a folder with the graph in both arithmetics, example sentences, what it says of them, and `run.py`.

    Args:
        batch: the examples; their payloads are computed here, as a host does.
        texts: of the examples.
        force: a folder that is no bundle may be replaced.

    Raises:
        UserError: ``folder`` cannot be written, or is something that is no bundle; the network does not fit a graph.
    """
    check_outputs([bundle_output(folder)], force=force)
    graphs = {name: build_graph(network, network.max_tokens, name) for name in ARITHMETICS}
    weights = _Weights()
    record = _record(network, graphs, weights, list(texts) or [""] * len(batch.lengths))
    sentences = _sentences(network, graphs, batch)

    def write(made: Path) -> None:
        (made / "graph.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        np.savez_compressed(made / "weights.npz", **weights.arrays)
        np.savez_compressed(made / "sentences.npz", **sentences)
        (made / "run.py").write_bytes(PROGRAM.read_bytes())

    write_folder(folder, write, parameter="bundle")


class _Weights:
    """Arrays by key, equal ones once: the arithmetics share all but the biases, a value and its gate one matrix."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self._keys: dict[bytes, int] = {}

    def add(self, connection: Connection) -> int:
        weight, parts = connection.weight, dict[str, NDArray[Any]]()
        if isinstance(weight, SparseWeight):
            parts = {"rows": weight.rows, "columns": weight.columns, "values": weight.values}
        else:
            parts = {"values": weight}
        digest = hashlib.sha256(repr(weight.shape).encode())
        for name, part in parts.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(part).data)
        key = self._keys.setdefault(digest.digest(), len(self._keys))
        self.arrays |= {f"{key}.{name}": part for name, part in parts.items()}
        return key


def _record(network: Network, graphs: dict[Any, Graph], weights: _Weights, texts: list[str]) -> dict[str, Any]:
    """What `graph.json` holds."""
    graph = graphs["lava"]
    connections: dict[tuple[Any, ...], dict[str, Any]] = {}
    for arithmetic, each in graphs.items():
        for c in each.connections:
            key = weights.add(c)
            entry = {
                "name": c.name,
                "kind": c.kind,
                "source": c.source,
                "target": c.target,
                "port": c.port,
                "shape": list(c.weight.shape),
                "exponent": c.exponent,
                "sign": c.sign,
                "weights": key,
                "arithmetic": arithmetic,
            }
            if (c.name, key) in connections:
                connections[c.name, key]["arithmetic"] = None  # of both
            else:
                connections[c.name, key] = entry
    return {
        "format": BUNDLE_FORMAT,
        "about": "made by spk2loihi, which may replace this folder unless run.py has been edited",
        "program": sha256(PROGRAM),
        "slots": graph.slots,
        "delay": graph[graph.readout].delay,
        "tokens": TOKENS,
        "readout": graph.readout,
        "labels": network.task["labels"],
        "texts": texts,
        "populations": [
            {"name": p.name, "kind": p.kind, "size": p.size, "threshold": p.threshold} for p in graph.populations
        ],
        "connections": list(connections.values()),
    }


def _sentences(network: Network, graphs: dict[Any, Graph], batch: TokenBatch) -> dict[str, NDArray[Any]]:
    """Messages of the sources, (steps, size); steps in which the answers are read, (B,); and those, (B, labels)."""
    payloads = host_payloads(network, batch)
    arrays: dict[str, NDArray[Any]] = {}
    for arithmetic, graph in graphs.items():
        stream = SentenceStream.of(graph, payloads)
        sent = Stepper(graph).run(stream.sources, [graph.readout])
        arrays[arithmetic] = stream.logits(sent[graph.readout])
        arrays["read"] = stream.starts + graph[graph.readout].delay
        arrays |= {name: messages.astype(np.int16) for name, messages in stream.sources.items()}
    return arrays
