"""Operations of a streamed network: what is computed from payloads is what the stepper sends, message by message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spk2loihi.chip.build_graph import build_graph
from spk2loihi.chip.process_graph import Graph, SparseWeight
from spk2loihi.chip.sentence_stream import SentenceStream, host_payloads
from spk2loihi.chip.stepper import Stepper
from spk2loihi.choices import Arithmetic
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import Timeline
from spk2loihi.network.stream import presence_places, stream_period
from spk2loihi.simulators.emulator.count_engine import CountEngine
from spk2loihi.simulators.operation_counter import count_operations
from support.networks import random_batch, tiny_network


def sent(graph: Graph, stream: SentenceStream) -> tuple[int, int]:
    """Messages, and SynOps: messages at synapses that exist."""
    names = [population.name for population in graph.populations]
    recorded = Stepper(graph).run(stream.sources, names)
    messages = {name: np.count_nonzero(recorded[name], axis=0) for name in names}
    synops = 0
    for connection in graph.connections:
        weight = connection.weight
        if isinstance(weight, SparseWeight):
            synops += int(messages[connection.source][weight.columns].sum())
        else:
            synops += int(messages[connection.source] @ np.count_nonzero(weight, axis=0))
    return sum(int(m.sum()) for name, m in messages.items() if name != graph.readout), synops


def narrower(network: Network, limit: int) -> Network:
    """Range gates that stop some values."""
    return replace(
        network,
        timesteps=limit,
        stages=tuple(
            stage if stage.requantise is None else replace(stage, requantise=replace(stage.requantise, limit=limit))
            for stage in network.stages
        ),
    )


@pytest.mark.parametrize("arithmetic", ["lava", "chip"])
@pytest.mark.parametrize("limit", [127, 30])
def test_every_message_and_synop(limit: int, arithmetic: Arithmetic) -> None:
    network, batch = narrower(tiny_network(1, preset="stock", timesteps=127), limit), random_batch(1, (9, 3, 16, 5))
    timeline = Timeline(network, network.run_config(arithmetic=arithmetic))
    counted = CountEngine(network, True, arithmetic).run(batch, keep=False)
    assert limit == 127 or any(sums.inside.outliers for sums in counted.sums.values())
    operations = count_operations(timeline, counted.sums, batch.lengths)
    graph = build_graph(network, network.max_tokens, arithmetic)
    messages, synops = sent(graph, SentenceStream.of(graph, host_payloads(network, batch)))
    assert sum(ops.messages for ops in operations) == messages
    assert sum(ops.synops + ops.attention_synops for ops in operations) == synops


def test_every_neuron_is_updated_every_step() -> None:
    network, batch = tiny_network(preset="stock"), random_batch()
    counted = CountEngine(network, True).run(batch, keep=False)
    operations = count_operations(Timeline(network, network.run_config()), counted.sums, batch.lengths)
    graph = build_graph(network, network.max_tokens, "lava")
    steps = sum(stream_period(int(n), network.max_tokens) for n in batch.lengths)
    assert sum(ops.active_updates + ops.inactive_updates for ops in operations) == graph.neurons * steps
    assert graph["presence"].places == presence_places(network, network.max_tokens)
