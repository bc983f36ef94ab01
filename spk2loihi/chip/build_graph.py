"""From a streamed network to the graph of stock processes that computes it, one token a step.

A stage whose payload has the delay D (`spk2loihi.network.stream`) is four populations::

    sources' payloads   D - 3
    stage.drive         D - 2   GradedVec, or GradedReluVec where negative drives count as 0
    stage.value         D - 1   GradedVec: drive times weight, shifted
    stage.outlier       D - 1   the same with the largest payload as threshold: silent unless the value is beyond it
    stage               D       GradedVec: value minus outlier

Attention is in `spk2loihi.chip.build_attention`.
"""

from __future__ import annotations

import numpy as np

from spk2loihi.chip.build_attention import build_context, build_scores
from spk2loihi.chip.graph_builder import GraphBuilder
from spk2loihi.chip.process_graph import PRESENCE, TOKENS, Graph
from spk2loihi.chip.synapse_patterns import into_first, one_to_one, sparse
from spk2loihi.choices import Arithmetic
from spk2loihi.network.network import Network, Stage, SynapseGroup


def build_graph(network: Network, slots: int, arithmetic: Arithmetic) -> Graph:
    """The graph of a streamed network.

    Args:
        slots: tokens of the longest sentence there is room for; delays grow with it, results do not depend on it.
        arithmetic: ``lava`` adds half a unit to the drives, which Lava's CPU models then round down; ``chip`` does not.

    Raises:
        UserError: a bias is too large for the synapses that carry it.
        ValueError: a network that is not streamed, or not wired as an encoder.
    """
    if not network.streamed:
        raise ValueError("only a streamed network is made of stock processes")
    builder = GraphBuilder(network, slots, arithmetic)
    _sources(builder)
    for stage in network.stages[1:]:
        if stage.attention is None:
            _linear(builder, stage)
        elif stage.is_scores:
            build_scores(builder, stage)
        else:
            build_context(builder, stage)
    return builder.graph()


def _sources(builder: GraphBuilder) -> None:
    """Tokens as the host computes them, and the presence of tokens, which waits for all who need it."""
    width = builder.network.input.channels
    builder.population(TOKENS, "RingBuffer", width, 0)
    builder.population(builder.network.input.name, "GradedVec", width, 1)
    builder.connect(TOKENS, builder.network.input.name, one_to_one(np.ones(width)))
    presence = builder.presence
    builder.population(PRESENCE, "RingBuffer", presence.width, 0)
    builder.line(presence.name, presence.width, presence.places, 1)
    builder.connect(PRESENCE, presence.name, into_first(presence.width, presence.places))


def _linear(builder: GraphBuilder, stage: Stage) -> None:
    """Synapses from other stages, a residual where there is one, and a bias."""
    delay = builder.delays[stage.name] - (2 if stage.fires else 0)
    drive = builder.drive(stage, stage.channels, delay)
    for group in stage.synapses:
        if group.one_to_one:
            _residual(builder, stage, group, drive, delay)
            continue
        if group.exponent.any():
            raise ValueError(f"{stage.name}: the synapses from {group.source} have exponents")
        source = _query_input(builder, stage, group.source) if stage.name in builder.queries else group.source
        builder.connect(source, drive, group.weight.astype(np.int16), "MIXED")
    builder.bias(stage, drive, delay)
    if stage.fires:
        builder.requantise(stage, drive)


def _query_input(builder: GraphBuilder, stage: Stage, source: str) -> str:
    """The input of a layer again, when the keys of all tokens are there; in the last layer that of [CLS] alone."""
    width, first = builder.network[source].channels, stage.tokens == "first"
    line, place = builder.waiting(f"{stage.name}.line", source, builder.slots - 1)
    name = f"{stage.name}.input"
    delay = builder.delays[source] + builder.slots
    builder.population(name, "ProdNeuron" if first else "GradedVec", width, delay)
    builder.connect(line, name, builder.from_place(line, place, np.ones(width)), port="a_in1" if first else "a_in")
    if first:
        there = builder.presence.channel(delay - 1, first=True)
        gate = sparse(np.arange(width), there, 1, (width, builder.presence.size))
        builder.connect(builder.presence.name, name, gate, port="a_in2")
    builder.late[source] = name
    return name


def _residual(builder: GraphBuilder, stage: Stage, group: SynapseGroup, drive: str, delay: int) -> None:
    """One-to-one synapses from a payload that has waited until the others of the drive are there."""
    source = builder.late.get(group.source, group.source)
    if stage.tokens == "first" and source == group.source and builder.network[source].tokens == "all":
        raise ValueError(f"{stage.name}: only [CLS] exists there, but all tokens of {group.source} go on to it")
    line, place = builder.waiting(f"{stage.name}.line", source, delay - 1 - builder.delay(source))
    for exponent in np.unique(group.exponent).tolist():
        weight = np.where(group.exponent == exponent, group.weight, 0)
        if weight.any():
            synapses = builder.from_place(line, place, weight)
            builder.connect(line, drive, synapses, "MIXED", exponent=exponent, what=f"times 2**{exponent}")
