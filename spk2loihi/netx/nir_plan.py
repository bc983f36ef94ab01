"""From a NIR graph to its populations: what drives each, through which weights, and at which level it stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spk2loihi.errors import UserError
from spk2loihi.netx.linear_map import LinearMap, Shape, node_bias, node_map
from spk2loihi.netx.nir_file import LINEAR, NEURONS, READOUTS, NirGraph, Node, Values
from spk2loihi.netx.nir_neurons import equations
from spk2loihi.netx.nir_populations import INPUT, Plan, Population

_Way = tuple[dict[str, LinearMap], Values, tuple[str, ...]]


def plan_graph(graph: NirGraph, dt: float, whole_delays: bool = False) -> Plan:
    """Args:
        dt: seconds a step.
        whole_delays: refuse delays that are no whole number of steps.

    Raises:
        UserError: the graph has a structure or a node that Loihi's neurons do not have.
    """
    (start,), (end,) = _ends(graph)
    shape = tuple(int(size) for size in start["shape"].reshape(-1))
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise start.refusal(f"has the shape {shape}", "give (neurons,), (channel, x) or (channel, y, x)")
    walk = _Walk(graph, dt, whole_delays, start.name)
    found: dict[str, Population] = {}
    order = walk.order(end.name)
    loops = _loops({node.name: walk.sources(node.name) for node in order})
    for node in order:
        found[node.name] = walk.population(node, shape, found, loops[node.name])
    last = walk.output(end)
    if last.kind in LINEAR:
        found[last.name] = walk.sums(last, shape, found)
    if not found:
        raise UserError("NIR graph has no neurons between its Input and its Output: give it some")
    leveled = _levels(found)
    _check_readouts(leveled)
    return Plan(graph, shape, leveled)


def _ends(graph: NirGraph) -> tuple[list[Node], list[Node]]:
    starts, ends = graph.of_kind(INPUT), graph.of_kind("Output")
    if not starts:  # NIR 0.2 did without
        raise UserError("NIR graph has no Input, so the shape of what arrives is unknown: write one with nir.Input")
    for nodes, what in ((starts, "inputs"), (ends, "outputs")):
        if len(nodes) != 1:
            names = ", ".join(node.name for node in nodes) or "none"
            raise UserError(f"NIR graph has {len(nodes)} {what} ({names}), and a netx chain has one: give it one")
    return starts, ends


class _Walk:
    """From neurons back to their sources, through weights."""

    def __init__(self, graph: NirGraph, dt: float, whole_delays: bool, start: str) -> None:
        self._graph, self._dt, self._whole, self._start = graph, dt, whole_delays, start
        self._done: dict[str, _Way] = {}  # linear nodes before the population at hand

    def output(self, end: Node) -> Node:
        """What the Output reads."""
        sources = self._graph.sources[end.name]
        if len(sources) != 1:
            raise end.refusal(f"reads {len(sources)} nodes", "give it one")
        node = self._graph.nodes[sources[0]]
        while node.kind == "Pass" or (node.kind == "Flatten" and len(self._graph.sources[node.name]) == 1):
            node = self._graph.nodes[self._graph.sources[node.name][0]]
        return node

    def order(self, end: str) -> list[Node]:
        """Neurons that lead to the output, sources first, except where loops come back."""
        nodes = self._graph.nodes
        done: dict[str, Node] = {}
        open_: set[str] = set()

        def visit(name: str) -> None:
            for source in self.sources(name):
                if source in open_ or source in done or source == self._start:
                    continue
                if nodes[source].kind not in (*NEURONS, *READOUTS):
                    raise nodes[source].refusal("leads on to other nodes", "leave that edge out")
                open_.add(source)
                visit(source)
                open_.remove(source)
                done[source] = nodes[source]

        visit(end)
        idle = [n for n in self._graph.of_kind(*NEURONS, *READOUTS) if n.name not in done]
        if idle:
            raise idle[0].refusal("leads to no output", "leave it out, or connect it")
        return list(done.values())

    def sources(self, name: str) -> list[str]:
        """Populations and the input, from which linear nodes lead to a node."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for source in self._graph.sources[waiting.pop(0)]:
                kind = self._graph.nodes[source].kind
                if kind in LINEAR and source not in seen:
                    seen.add(source)
                    waiting.append(source)
                elif kind not in LINEAR:
                    found[source] = None
        return list(found)

    def population(self, node: Node, start: Shape, known: dict[str, Population], loop: tuple[str, ...]) -> Population:
        own = self._own_shape(node)
        shapes = {self._start: start, **{name: each.shape for name, each in known.items()}}
        for name in loop:  # not known yet, where the loop comes back
            if name not in shapes and (ahead := self._shape_ahead(self._graph.nodes[name])) is not None:
                shapes[name] = ahead
        self._done.clear()
        maps, bias, through = self._arriving(node, shapes, ())
        arriving = {each.output_shape for each in maps.values()}
        if not arriving:
            raise node.refusal("is driven by nothing", "connect it to the Input, or leave it out")
        shape = next(iter(arriving))
        if own is not None and not _fits(own, shape):
            shape = own
        return self._made(node, shape, maps, bias, through, loop)

    def sums(self, last: Node, start: Shape, known: dict[str, Population]) -> Population:
        """A graph that ends in weights: neurons that keep nothing, whose potential is the sum."""
        shapes = {self._start: start, **{name: each.shape for name, each in known.items()}}
        self._done.clear()
        maps, bias, through = self._through(last, shapes, ())
        shape = next(iter(maps.values())).output_shape
        node = Node(last.name, "LI", {"tau": np.array(self._dt), "r": np.array(1.0), "v_leak": np.array(0.0)})
        return self._made(node, shape, maps, bias, through, (node.name,))

    def _made(
        self,
        node: Node,
        shape: Shape,
        maps: dict[str, LinearMap],
        bias: Values,
        through: tuple[str, ...],
        loop: tuple[str, ...],
    ) -> Population:
        for source, each in maps.items():
            if int(np.prod(each.output_shape)) != int(np.prod(shape)):
                raise node.refusal(f"has {shape} neurons, and {each.output_shape} arrive", "correct the shapes")
            maps[source] = each if each.output_shape == shape else each.then(LinearMap(None, each.output_shape, shape))
        inputs = {INPUT if source == self._start else source: each for source, each in maps.items()}
        made = equations(node, shape, self._dt)
        return Population(node, shape, made, inputs, bias.reshape(shape), through, loop)

    def _own_shape(self, node: Node) -> Shape | None:
        """Of the parameters; None where they are one number, for neurons of any shape."""
        shapes = [value.shape for name, value in node.values.items() if value.size > 1]
        return max(shapes, key=len) if shapes else None

    def _shape_ahead(self, node: Node) -> Shape | None:
        """Of a population that is not known yet: of its parameters, or of a matrix before it."""
        matrices = [self._graph.nodes[name] for name in self._graph.sources[node.name]]
        rows = next((each["weight"].shape[:1] for each in matrices if each.kind in ("Linear", "Affine")), None)
        return self._own_shape(node) or rows

    def _arriving(self, node: Node, shapes: dict[str, Shape], above: tuple[str, ...]) -> _Way:
        """Maps from each source to what arrives at a node, the constant part of that, and the nodes between."""
        total: dict[str, LinearMap] = {}
        bias: Values = np.zeros(())
        between: tuple[str, ...] = ()
        for name in self._graph.sources[node.name]:
            source = self._graph.nodes[name]
            if source.kind in LINEAR:
                maps, constant, through = self._through(source, shapes, above)
            else:
                if name not in shapes:
                    raise source.refusal("is in a loop, and has one number for all neurons", "give one a neuron")
                maps, constant, through = {name: LinearMap.identity(shapes[name])}, np.zeros(shapes[name]), ()
            for key, each in maps.items():
                total[key] = _sum(node, total[key], each) if key in total else each
            if bias.ndim and bias.size != constant.size:
                raise node.refusal(f"joins {bias.shape} and {constant.shape}", "give its branches one shape")
            bias = bias.reshape(constant.shape) + constant if bias.ndim else constant
            between += tuple(each for each in through if each not in between)
        return total, bias, between

    def _through(self, node: Node, shapes: dict[str, Shape], above: tuple[str, ...]) -> _Way:
        """As `_arriving`, after a linear node."""
        if node.name in above:
            raise node.refusal("is in a loop without neurons", "leave it out, or put neurons into the loop")
        if node.name in self._done:
            return self._done[node.name]
        maps, bias, between = self._arriving(node, shapes, (*above, node.name))
        made: dict[str, LinearMap] = {}
        constant: Values = np.zeros(())
        for source, each in maps.items():
            here = node_map(node, each.output_shape, self._dt, self._whole)
            made[source] = each.then(here)
            constant = here.apply(bias.reshape(1, *here.input_shape))[0] + node_bias(node, here.output_shape)
        named = () if node.kind in ("Pass", "Flatten") else (node.name,)
        self._done[node.name] = made, constant, between + named
        return self._done[node.name]


def _fits(parameters: Shape, neurons: Shape) -> bool:
    """Whether parameters are one a neuron, or broadcast to them."""
    try:
        return np.broadcast_shapes(parameters, neurons) == neurons
    except ValueError:
        return False


def _sum(node: Node, one: LinearMap, other: LinearMap) -> LinearMap:
    """Two ways from the same source: the same shapes, added."""
    first, second = one.as_matrix(), other.as_matrix()
    if first.filled.shape != second.filled.shape:
        raise node.refusal(f"joins {one.output_shape} and {other.output_shape}", "give its branches one shape")
    if first.delay is not None or second.delay is not None:
        raise node.refusal("joins branches from one source, and one has a Delay", "leave it out")
    return LinearMap(first.filled + second.filled, one.input_shape, one.output_shape)


def _loops(sources: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Of each population those that lead to it and that it leads to, itself among them (strong components).

    Args:
        sources: of each population; the input may be among them.
    """
    reached: dict[str, set[str]] = {}
    for name in sources:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = [source for source in sources[waiting.pop()] if source in sources and source not in seen]
            seen.update(new)
            waiting += new
        reached[name] = seen
    return {
        name: tuple(sorted({name, *(other for other in back if name in reached[other])}))
        for name, back in reached.items()
    }


def _levels(found: dict[str, Population]) -> dict[str, Population]:
    """Each population with its level, the same in a loop; sources stand first."""
    levels = {INPUT: 0}

    def level(name: str) -> int:
        if name not in levels:
            members = found[name].loop
            here = 1 + max((level(source) for member in members for source in found[member].drive), default=0)
            levels.update(dict.fromkeys(members, here))
        return levels[name]

    done = {name: replace(each, level=level(name)) for name, each in found.items()}
    return dict(sorted(done.items(), key=lambda item: item[1].level))


def _check_readouts(populations: dict[str, Population]) -> None:
    for each in populations.values():
        for source in each.inputs:
            if source != INPUT and not populations[source].equations.spikes:
                raise populations[source].node.refusal(
                    f"sends its potential to {each.name}, and neurons of Loihi send spikes",
                    "end the network in it, or make it a spiking neuron",
                )
