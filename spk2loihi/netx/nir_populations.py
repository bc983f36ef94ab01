"""A NIR graph as populations in levels: which neurons run in which layer of a netx chain, and what drives them.

A layer of netx takes one step. A population stands at the level ``1 + max`` of its sources, and answers the input of
step t in step t + level. Where a source lies further back than one level, relays repeat its spikes, one step each, so
all ways to a population take as many steps as it has levels, and the network is that of NIR, some steps late.

Populations in a loop stand at one level, as one recurrent layer: what one sends another there arrives a step later, as
what it sends itself. So a loop of n populations takes n steps, where tools that step NIR graphs take one.
"""

from __future__ import annotations

from dataclasses import dataclass

from spk2loihi.netx.linear_map import LinearMap, Shape
from spk2loihi.netx.nir_file import NirGraph, Node, Values
from spk2loihi.netx.nir_neurons import Equations

INPUT = "Input"


@dataclass(frozen=True)
class Population:
    """Neurons of one node, and what drives them.

    Attributes:
        node: of the neurons; of the last weights, where a graph ends in weights: their sums are read.
        shape: (channel, y, x), (channel, x) or (neurons,).
        inputs: from each source population, or from `INPUT`; with itself among them where it drives itself.
        bias: constant input, of ``shape``.
        weights: names of the nodes between the sources and the neurons.
        loop: populations that it drives and that drive it, itself among them, over others or alone; sorted.
    """

    node: Node
    shape: Shape
    equations: Equations
    inputs: dict[str, LinearMap]
    bias: Values
    weights: tuple[str, ...]
    loop: tuple[str, ...]
    level: int = 0

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_recurrent(self) -> bool:
        return bool(self.back)

    @property
    def back(self) -> dict[str, LinearMap]:
        """From populations of its loop, one step later."""
        return {source: each for source, each in self.inputs.items() if source in self.loop}

    @property
    def drive(self) -> dict[str, LinearMap]:
        """From all others."""
        return {source: each for source, each in self.inputs.items() if source not in self.loop}


@dataclass(frozen=True)
class Plan:
    """Populations, in the order of their levels.

    Attributes:
        input_shape: of the graph.
        populations: by name.
        depth: levels.
    """

    graph: NirGraph
    input_shape: Shape
    populations: dict[str, Population]

    @property
    def depth(self) -> int:
        return max(each.level for each in self.populations.values())

    def level_of(self, name: str) -> int:
        return 0 if name == INPUT else self.populations[name].level

    def shape_of(self, name: str) -> Shape:
        return self.input_shape if name == INPUT else self.populations[name].shape

    def at(self, level: int) -> list[Population]:
        return [each for each in self.populations.values() if each.level == level]

    def relayed(self, level: int) -> list[str]:
        """Sources that stand before a level and are needed after it."""
        needed = {
            source: None
            for each in self.populations.values()
            if each.level > level
            for source in each.inputs
            if self.level_of(source) < level
        }
        return list(needed)
