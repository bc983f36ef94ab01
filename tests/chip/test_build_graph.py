"""The shape of the graph: delays, numbers of processes, ranges of weights, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spk2loihi.chip import SentenceStream, Stepper, build_graph, host_payloads
from spk2loihi.chip.arithmetic import stored_weights
from spk2loihi.chip.process_graph import SparseWeight
from spk2loihi.chip.synapse_patterns import DIGITS, digits
from spk2loihi.choices import ARITHMETICS
from spk2loihi.errors import UserError
from spk2loihi.limits import STREAM_BIAS_MAX
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.stream import stream_delays
from support.lava_networks import sentences
from support.networks import tiny_network
from support.streamed_networks import SLOTS, streamed_network


@pytest.mark.parametrize(("layers", "slots"), [(1, 3), (2, 8), (3, 5)])
def test_every_stage_sends_at_its_delay_and_at_no_other_time(layers: int, slots: int) -> None:
    """A sentence of one token is seen at each stage once, after as many steps as the schedule says."""
    network = streamed_network(layers, 2, slots, seed=3)
    graph, delays = build_graph(network, slots, "lava"), stream_delays(network, slots)
    stream = SentenceStream.of(graph, host_payloads(network, sentences(1)))
    sent = Stepper(graph).run(stream.sources, list(delays))
    for name, n in sent.items():
        assert graph[name].delay == delays[name], name
        steps = np.flatnonzero(n.any(1)).tolist()
        assert steps in ([delays[name]], []), name
    assert sum(n.any() for n in sent.values()) > len(sent) / 2


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_all_that_arrives_at_a_population_has_taken_as_long_as_it_says(arithmetic: str) -> None:
    """Along every connection, from every place of a line to every place: a step."""
    graph = build_graph(streamed_network(), SLOTS, arithmetic)
    for c in graph.connections:
        source, target = graph[c.source], graph[c.target]
        if not isinstance(c.weight, SparseWeight):
            assert source.places == target.places == 1 and target.delay == source.delay + 1, c.name
            continue
        left = source.delay + c.weight.columns // source.width
        arrives = target.delay + c.weight.rows // target.width
        if c.source.endswith((".register", "presence")) and target.name.endswith(".product"):
            continue  # of all tokens beside that of the query
        assert np.array_equal(left + 1, arrives), c.name


def test_weights_are_what_the_synapses_hold() -> None:
    for arithmetic in ARITHMETICS:
        for c in build_graph(streamed_network(), SLOTS, arithmetic).connections:
            values = c.weight.values if isinstance(c.weight, SparseWeight) else c.weight
            assert np.array_equal(stored_weights(values, c.sign), values), c.name
            assert values.any(), c.name


def test_names_are_unique_and_a_name_says_what_it_connects() -> None:
    graph = build_graph(streamed_network(3), SLOTS, "lava")
    for names in ([p.name for p in graph.populations], [c.name for c in graph.connections]):
        assert len(set(names)) == len(names)
    assert "layer.0.query.drive.a_in from layer.0.query.input" in {c.name for c in graph.connections}
    assert graph["layer.2.query.input"].kind == "ProdNeuron" and graph["layer.1.query.input"].kind == "GradedVec"


def test_the_arithmetics_differ_in_biases_alone() -> None:
    network = streamed_network()
    lava, chip = (build_graph(network, SLOTS, arithmetic) for arithmetic in ("lava", "chip"))
    assert lava.populations == chip.populations
    ours = {c.name: c for c in chip.connections}
    for c in lava.connections:
        other = ours.get(c.name)
        if "bias" in c.name and c.target != "classifier":
            assert other is None or not np.array_equal(c.weight.dense(), other.weight.dense())
        elif isinstance(c.weight, SparseWeight):
            assert np.array_equal(c.weight.dense(), other.weight.dense())
        else:
            assert np.array_equal(c.weight, other.weight)


def test_digits_are_even_and_add_up() -> None:
    values = np.array([0, 2, -2, 254, 256, -300, 123_456, STREAM_BIAS_MAX, -STREAM_BIAS_MAX])
    made = digits(values)
    assert np.array_equal(made @ DIGITS, values)
    assert np.abs(made).max() == 254 and not (made % 2).any()


def edited(network: Network, name: str, **changes: object) -> Network:
    def edit(stage: Stage) -> Stage:
        return replace(stage, **changes) if stage.name == name else stage

    return replace(network, stages=tuple(edit(stage) for stage in network.stages))


def test_a_bias_beyond_its_synapses_is_refused_with_its_stage() -> None:
    network = streamed_network()
    bias = np.full(8, STREAM_BIAS_MAX)
    with pytest.raises(UserError, match=r"stage layer.0.key: bias .* exceeds 4194302"):
        build_graph(edited(network, "layer.0.key", bias=bias), SLOTS, "lava")
    build_graph(edited(network, "layer.0.key", bias=bias), SLOTS, "chip")


def test_what_is_no_streamed_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match="only a streamed network"):
        build_graph(tiny_network(), SLOTS, "lava")
    network = streamed_network()
    key = network["layer.0.key"]
    odd = edited(network, "layer.0.key", bias=key.bias + 1)
    with pytest.raises(ValueError, match="odd"):
        build_graph(odd, SLOTS, "chip")
    group = replace(key.synapses[0], exponent=np.ones(8, np.int64))
    with pytest.raises(ValueError, match="have exponents"):
        build_graph(edited(network, "layer.0.key", synapses=(group,)), SLOTS, "chip")
    with pytest.raises(UserError, match="a sentence has 9 tokens"):
        SentenceStream.of(build_graph(network, SLOTS, "chip"), host_payloads(network, sentences(9)))
