"""The equations of NIR in real numbers: what a graph does on no chip, to compare integers with.

Every node is computed by itself, in double precision and in the order of the edges: no weights are multiplied together,
no equation is solved beforehand. Linear nodes are those of torch. Neurons take a step ``dt`` of forward Euler; a
current-based neuron steps its current first, then its potential with the new current, as snnTorch and Lava do it. What
comes back to a population comes one step later, and neurons start at their reset potential. In a loop of several the
first in the graph hears the others one step later; with Loihi's latency each hears each so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.linear_map import Shape
from spk2loihi.netx.nir_file import LINEAR, READOUTS, Node, Values
from spk2loihi.netx.nir_populations import INPUT, Plan, Population

Arrays = dict[str, NDArray[Any]]

_AXES = (("start", 1.0), ("end", -1.0))  # that a Flatten without numbers flattens


def run_equations(plan: Plan, inputs: NDArray[Any], dt: float, latency: bool = False) -> Arrays:
    """What every population sends in every step: spikes of 0 and 1; potentials of readouts.

    Args:
        plan: of the graph: its order of populations, and the levels they stand at.
        inputs: (B, steps, *input shape of the graph).
        dt: seconds a step.
        latency: every level takes a step, as on Loihi. In NIR none does.

    Returns:
        (B, steps, *shape) by the name of the population.
    """
    batch, steps = inputs.shape[:2]
    sent: dict[str, Values] = {INPUT: inputs.reshape(batch, steps, *plan.input_shape).astype(np.float64)}
    for population in plan.populations.values():
        if population.name in sent:
            continue
        members = [each for each in plan.populations.values() if each.name in population.loop]
        arriving = {
            each.name: {
                source: _late(sent[source], each.level - plan.level_of(source) if latency else 0)
                for source in each.drive
            }
            for each in members
        }
        out = {each.name: np.zeros((batch, steps, *each.shape)) for each in members}
        neurons = {each.name: _Neurons(each, dt, batch) for each in members}
        if population.is_recurrent:
            before = {each.name: np.zeros((batch, *each.shape)) for each in members}
            for step in range(steps):
                heard = dict(before)
                for each in members:
                    now = {source: values[:, step] for source, values in arriving[each.name].items()}
                    spikes = neurons[each.name].step(_Drive(plan, each, dt).of({**now, **heard}))
                    before[each.name] = out[each.name][:, step] = spikes
                    if not latency:
                        heard[each.name] = spikes
        else:
            here = arriving[population.name]
            flat = {source: each.reshape(-1, *each.shape[2:]) for source, each in here.items()}
            drive = _Drive(plan, population, dt).of(flat).reshape(batch, steps, *population.shape)
            drive = _delayed(plan, population, drive, here, dt)
            for step in range(steps):
                out[population.name][:, step] = neurons[population.name].step(drive[:, step])
        sent |= out
    del sent[INPUT]
    return sent


class _Drive:
    """What arrives at neurons in a step, of what their sources send."""

    def __init__(self, plan: Plan, population: Population, dt: float) -> None:
        self._graph, self._population, self._dt = plan.graph, population, dt

    def of(self, sent: Mapping[str, Values]) -> Values:
        """(N, *shape of the neurons), of arrays (N, *shape) by source."""
        node = self._graph.nodes[self._population.name]
        value = self._linear(node, sent) if node.kind in LINEAR else self._sum(node, sent)
        return value.reshape(len(value), *self._population.shape)

    def _sum(self, node: Node, sent: Mapping[str, Values]) -> Values:
        parts = []
        for name in self._graph.sources[node.name]:
            source = self._graph.nodes[name]
            key = INPUT if source.kind == INPUT else name
            parts.append(self._linear(source, sent) if source.kind in LINEAR else sent[key])
        total = parts[0]
        for part in parts[1:]:
            total = total + part.reshape(total.shape)
        return total

    def _linear(self, node: Node, sent: Mapping[str, Values]) -> Values:
        import torch
        from torch.nn import functional

        x = torch.from_numpy(np.ascontiguousarray(self._sum(node, sent)))
        if node.kind in ("Pass", "Delay"):  # delays: see `_delayed`
            return x.numpy()
        if node.kind == "Flatten":
            start, end = (
                int(node.values.get(name, np.array(d))) for name, d in (("start_dim", 1.0), ("end_dim", -1.0))
            )
            if x.ndim == 2:
                return x.numpy()
            return torch.flatten(x, start + 1 if start >= 0 else start, end + 1 if end >= 0 else end).numpy()
        if node.kind == "Scale":
            return (x * torch.from_numpy(node["scale"])).numpy()
        if node.kind in ("SumPool2d", "AvgPool2d"):
            size, stride, padding = (_ints(node, name, 2) for name in ("kernel_size", "stride", "padding"))
            mean = functional.avg_pool2d(x, size, stride, padding)
            return (mean * math.prod(size) if node.kind == "SumPool2d" else mean).numpy()
        weight = torch.from_numpy(node["weight"])
        bias = torch.from_numpy(node["bias"]) if "bias" in node.values else None
        if node.kind in ("Linear", "Affine"):
            return functional.linear(x, weight, bias if node.kind == "Affine" else None).numpy()
        axes = 1 if node.kind == "Conv1d" else 2
        convolve: Any = functional.conv1d if axes == 1 else functional.conv2d
        edge = node.texts.get("padding") or _ints(node, "padding", axes)
        strides, dilation = _ints(node, "stride", axes), _ints(node, "dilation", axes)
        groups = int(node["groups"].reshape(-1)[0])
        made: Values = convolve(x, weight, bias, strides, edge, dilation, groups).numpy()
        return made


class _Neurons:
    """The equations of a node, as NIR states them."""

    def __init__(self, population: Population, dt: float, batch: int) -> None:
        self._node, self._dt = population.node, dt
        self._v = np.zeros((batch, *population.shape)) + self._value("v_reset")
        self._i = np.zeros((batch, *population.shape))

    def _value(self, name: str, default: float = 0.0) -> Values:
        value = self._node.values.get(name, np.array(default))
        return value if value.size > 1 else value.reshape(())

    def step(self, drive: Values) -> Values:
        kind, dt = self._node.kind, self._dt
        if kind == "Threshold":
            return (drive > self._value("threshold")).astype(np.float64)
        current = drive
        if kind.startswith("Cuba"):
            self._i = self._i + dt / self._value("tau_syn") * (self._value("w_in", 1.0) * drive - self._i)
            current = self._i
        if kind in ("IF", "I"):
            self._v = self._v + dt * self._value("r") * current
        else:
            tau = self._value("tau_mem" if kind.startswith("Cuba") else "tau")
            self._v = self._v + dt / tau * (self._value("v_leak") - self._v + self._value("r") * current)
        if kind in READOUTS:
            return self._v
        fired = self._v > self._value("v_threshold")
        self._v = np.where(fired, self._value("v_reset"), self._v)
        return fired.astype(np.float64)


def _late(values: Values, steps: int) -> Values:
    """(B, steps, ...) so many steps later; nothing before."""
    if not steps:
        return values
    return np.concatenate([np.zeros_like(values[:, :steps]), values[:, : max(values.shape[1] - steps, 0)]], axis=1)


def _delayed(plan: Plan, population: Population, drive: Values, arriving: Mapping[str, Values], dt: float) -> Values:
    """Delays of inputs or outputs of the weights, each on its own; ``drive`` where there is none."""
    for source, each in population.drive.items():
        if each.delay is None:
            continue
        late = np.broadcast_to(each.delay, (math.prod(population.shape), math.prod(plan.shape_of(source))))
        total = np.zeros_like(drive)
        zero = {key: np.zeros((1, *value.shape[2:])) for key, value in arriving.items()}
        constant = _Drive(plan, population, dt).of(zero)  # what is there without inputs
        for delay in np.unique(late):
            meets = late == delay  # (outputs, inputs): by rows or by columns
            rows, columns = meets.any(1), meets.any(0)
            part = arriving[source] * columns.reshape(plan.shape_of(source))
            sums = _Drive(plan, population, dt).of({source: part.reshape(-1, *part.shape[2:])}) - constant
            sums = sums.reshape(drive.shape) * rows.reshape(population.shape)
            total += _late(sums, int(delay))
        return total + constant
    return drive


def _ints(node: Node, name: str, axes: int) -> tuple[int, ...]:
    values = [int(each) for each in node[name].reshape(-1)]
    return (values[0],) if axes == 1 else (values[0], values[-1])


def as_nir(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Arrays of `StockNetwork`, (B, x, y, channel, steps) or (B, neurons, steps), as (B, steps, *shape) of NIR."""
    first = np.moveaxis(values, -1, 1)
    if first.ndim == 5:
        first = first.transpose(0, 1, 4, 3, 2)
    return first.reshape(*first.shape[:2], *shape)
