"""NIR files as one flat graph of nodes, whichever tool and version of NIR wrote them.

The files are read as they are, not through the classes of the package ``nir``: its checks refuse files that older
versions of it wrote, and those of tools that declare shapes with more axes than they have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.hdf5 import Dataset, Group
from spk2loihi.netx.hdf5_access import text_of

Values = NDArray[np.float64]

NEURONS = ("IF", "LIF", "CubaLIF", "Threshold")
"""Nodes that send spikes."""
READOUTS = ("I", "LI", "CubaLI")
"""Nodes that send their potential."""
LINEAR = (
    "Linear", "Affine", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Scale", "Delay", "Pass",
)  # fmt: skip
"""Nodes without a state; ``Pass`` is the input or output of a subgraph."""

_REQUIRED = {
    "Linear": ("weight",),
    "Affine": ("weight", "bias"),
    "Conv1d": ("weight", "stride", "padding", "dilation", "groups"),
    "Conv2d": ("weight", "stride", "padding", "dilation", "groups"),
    "SumPool2d": ("kernel_size", "stride", "padding"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "Flatten": (),
    "Scale": ("scale",),
    "Delay": ("delay",),
    "IF": ("r", "v_threshold"),
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
    "Threshold": ("threshold",),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak"),
    "Input": ("shape",),
    "Output": (),
    "Pass": (),
}
_NODES_MAX = 10_000
_DEPTH_MAX = 16  # subgraphs in subgraphs


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        name: subgraphs and nodes, separated by dots.
        kind: its NIR type, or ``Pass``.
        values: parameters by NIR's names.
        texts: parameters that are words, as the padding ``same``.
    """

    name: str
    kind: str
    values: dict[str, Values] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Values:
        return self.values[name]

    def refusal(self, what: str, remedy: str) -> UserError:
        """The one sentence that names the node and its type."""
        return UserError(f"NIR node {self.name} ({self.kind}) {what}: {remedy}")


@dataclass(frozen=True)
class NirGraph:
    """Nodes and edges, subgraphs dissolved.

    Attributes:
        nodes: by name, in the order of the file.
        sources: of each node, in the order of the edges.
    """

    nodes: dict[str, Node]
    sources: dict[str, list[str]]

    def of_kind(self, *kinds: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.kind in kinds]


def read_graph(tree: Group) -> NirGraph:
    """The graph in a NIR file.

    Raises:
        UserError: it holds no graph, a node is of a type unknown to NIR 1.0 or lacks a parameter, or an edge leads
            nowhere.
    """
    root = tree.get("node")
    if not isinstance(root, Group):
        raise UserError(f"NIR file {tree.file} has no graph (/node): write it with nir.write")
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    _read_group(root, "", nodes, edges)
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        if source in sources[target]:
            raise UserError(f"NIR edge from {source} to {target} is there twice: leave one out")
        sources[target].append(source)
    return NirGraph(nodes, sources)


def _read_group(group: Group, prefix: str, nodes: dict[str, Node], edges: list[tuple[str, str]]) -> None:
    """A graph: its nodes, and those of subgraphs, are added to ``nodes``."""
    if prefix.count(".") > _DEPTH_MAX or len(nodes) > _NODES_MAX:
        raise UserError(
            f"NIR file {group.file} has more than {_NODES_MAX:,} nodes, or {_DEPTH_MAX} subgraphs in one another: "
            "choose a smaller network"
        )
    held = group.get("nodes")
    items = held.items if isinstance(held, Group) else {}
    found = {name: item for name, item in items.items() if isinstance(item, Group)}
    if not found:
        raise UserError(f"NIR graph {prefix[:-1] or group.name} of {group.file} has no nodes: write it with nir.write")
    inputs: dict[str, list[str]] = {}
    outputs: dict[str, list[str]] = {}
    for name, item in found.items():
        full = prefix + name
        kind = _text(item.get("type"))
        if kind == "NIRGraph":
            _read_group(item, f"{full}.", nodes, edges)
            inside = [n for n in nodes.values() if n.name.rpartition(".")[0] == full]
            inputs[name] = [n.name for n in inside if n.texts.get("port") == "input"]
            outputs[name] = [n.name for n in inside if n.texts.get("port") == "output"]
        else:
            nodes[full] = _read_node(item, full, kind, nested=bool(prefix))
    for source, target in _edges(group):
        for name in (source, target):
            if name not in found:
                raise UserError(
                    f"NIR edge from {source} to {target}{f' in {prefix[:-1]}' if prefix else ''} leads to no node: the "
                    f"nodes there are {', '.join(list(found)[:8])}; write the file again with a nir of version 1"
                )
        ends = [outputs.get(source, [prefix + source]), inputs.get(target, [prefix + target])]
        for name, ports, what in ((source, ends[0], "output"), (target, ends[1], "input")):
            if len(ports) != 1:
                raise UserError(
                    f"NIR subgraph {prefix}{name} has {len(ports)} {what}s, and an edge does not say which: give it one"
                )
        edges.append((ends[0][0], ends[1][0]))


def _read_node(item: Group, name: str, kind: str, nested: bool) -> Node:
    values: dict[str, Values] = {}
    texts: dict[str, str] = {}
    for key, dataset in item.items.items():
        if not isinstance(dataset, Dataset) or key == "type":
            continue
        if dataset.kind == "S":
            texts[key] = _text(dataset)
        elif dataset.kind in "iufb":
            values[key] = dataset.value.astype(np.float64)
    if nested and kind in ("Input", "Output"):
        return Node(name, "Pass", texts={"port": kind.lower()})
    node = Node(name, kind, values, texts)
    if kind not in _REQUIRED:
        raise node.refusal("is of a type that NIR 1.0 does not know", f"use {', '.join(sorted(_REQUIRED)[:-1])}")
    for key in _REQUIRED[kind]:
        if key not in values and key not in texts:
            raise node.refusal(f"has no {key}", "write the file with nir.write")
    for key, value in values.items():
        if not value.size and key != "shape":
            raise node.refusal(f"has an empty {key}", "write the file with nir.write")
        if not np.isfinite(value).all():
            raise node.refusal(f"has a {key} that is infinite or no number", "train it again, or correct the file")
    return node


def _edges(group: Group) -> Iterator[tuple[str, str]]:
    item = group.get("edges")
    if not isinstance(item, Dataset) or not item.value.size:
        return
    if item.kind != "S" or item.value.ndim != 2 or item.value.shape[1] != 2:
        raise UserError(f"NIR file {group.file} has edges that are no pairs of names: write it with nir.write")
    for source, target in item.value:
        yield _decoded(source), _decoded(target)


def _text(item: Any) -> str:
    return text_of(item)[:100] if isinstance(item, Dataset) and item.kind == "S" and item.value.size else ""


def _decoded(name: Any) -> str:
    return bytes(name).decode("utf-8", "replace")
