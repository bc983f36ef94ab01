"""Populations of a plan as layers of a netx chain, in real numbers: which weights stand in which layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spk2loihi.netx.linear_map import LinearMap
from spk2loihi.netx.nir_file import Values
from spk2loihi.netx.nir_populations import INPUT, Plan, Population


@dataclass(frozen=True)
class Block:
    """Neurons of a layer that share a scale.

    Attributes:
        name: of the population, or of the source that is relayed.
        population: None of relays.
        first: of its neurons in the layer, flat.
        size: neurons.
    """

    name: str
    population: Population | None
    first: int
    size: int

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + self.size)


@dataclass(frozen=True)
class ChainLayer:
    """Weights, multiplied by the gain of the neurons, and the neurons.

    Attributes:
        number: in the netx file.
        map: from the layer before; of relays its rows are 0 but for a 1.
        recurrent: from the layer itself, (neurons, neurons); None where it is not.
        after_flatten: netx has to flatten what arrives.
    """

    number: int
    blocks: tuple[Block, ...]
    map: LinearMap
    recurrent: Values | None
    after_flatten: bool

    @property
    def neurons(self) -> int:
        return sum(block.size for block in self.blocks)


def chain_layers(plan: Plan) -> list[ChainLayer]:
    """Args:
        plan: whose layers stand after an input layer, number 0.

    Raises:
        UserError: a delay, a convolution or a recurrent connection is where netx has none.
    """
    layers: list[ChainLayer] = []
    before: tuple[Block, ...] = (Block(INPUT, None, 0, math.prod(plan.input_shape)),)
    flat = len(plan.input_shape) == 1  # what arrives is a row
    number = 1
    for level in range(1, plan.depth + 1):
        populations, relays = plan.at(level), plan.relayed(level)
        blocks = _blocks(populations, relays, plan)
        alone = len(blocks) == len(before) == 1 and list(populations[0].drive) == [before[0].name]
        if alone:
            (population,) = populations
            drive = population.drive[before[0].name].scaled(population.equations.gain)
            dense = not drive.is_kernel or population.is_recurrent or flat
            drive = drive.as_matrix() if dense else drive
        else:
            dense, drive = True, _merged(plan, before, blocks)
        recurrent = _recurrent(blocks) if any(each.is_recurrent for each in populations) else None
        if recurrent is not None and drive.delay is not None:
            raise populations[0].node.refusal("is recurrent, and netx has no delays there", "leave the Delay out")
        after_flatten = dense and not flat
        number += after_flatten
        layers.append(ChainLayer(number, blocks, drive, recurrent, after_flatten))
        before, flat, number = blocks, dense, number + 1
    return layers


def _blocks(populations: list[Population], relays: list[str], plan: Plan) -> tuple[Block, ...]:
    blocks: list[Block] = []
    first = 0
    for name, population in [*((each.name, each) for each in populations), *((name, None) for name in relays)]:
        size = math.prod(plan.shape_of(name))
        blocks.append(Block(name, population, first, size))
        first += size
    return tuple(blocks)


def _merged(plan: Plan, before: tuple[Block, ...], blocks: tuple[Block, ...]) -> LinearMap:
    """One matrix from all neurons of the layer before to all of a layer."""
    inputs, outputs = (sum(block.size for block in part) for part in (before, blocks))
    weight = np.zeros((outputs, inputs))
    for block in blocks:
        for source in before:
            part = weight[block.rows, source.rows]
            if block.population is None:
                if source.name == block.name:
                    part[...] = np.eye(block.size)
            elif source.name in block.population.drive:
                each = block.population.drive[source.name]
                if each.delay is not None:
                    raise block.population.node.refusal(
                        "is driven through a Delay in a network of branches", "leave the Delay out"
                    )
                part[...] = each.scaled(block.population.equations.gain).as_matrix().filled
    return LinearMap(weight, (inputs,), (outputs,))


def _recurrent(blocks: tuple[Block, ...]) -> Values:
    size = sum(block.size for block in blocks)
    weight = np.zeros((size, size))
    for block in blocks:
        if block.population is None:
            continue
        for source in blocks:
            each = block.population.back.get(source.name)
            if each is None:
                continue
            if each.delay is not None:
                raise block.population.node.refusal(
                    f"is in a loop ({', '.join(block.population.loop)}) through a Delay, and netx has none there",
                    "leave the Delay out",
                )
            weight[block.rows, source.rows] = each.scaled(block.population.equations.gain).as_matrix().filled
    return weight
