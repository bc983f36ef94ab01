"""The graph, stepped: against the same network without a stream, and against integers of a real chip."""

from __future__ import annotations

import numpy as np
import pytest

from spk2loihi.chip import Connection, Graph, Population, SentenceStream, Stepper, build_graph, host_payloads
from spk2loihi.chip.synapse_patterns import one_to_one
from spk2loihi.choices import ARITHMETICS, Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network
from support.lava_networks import sentences
from support.streamed_networks import SLOTS, reference, streamed_network

SHAPES = [(1, 1, 3), (1, 2, 8), (2, 2, 8), (3, 4, 5), (2, 8, 4)]  # layers, heads, slots

# lava-nc/lava, tutorials/lava_va/Tutorial01-Fixed_point_dot_product.ipynb: outputs committed from a run on Loihi 2.
# InputVec -> GradedDense(weights, exp=7) -> GradedVec(vth=1) -> OutputVec; one column an input factor.
WEIGHTS = np.array([[0.8, 0.9, 0.8, 0.8], [0.9, 0.8, -1.0, -1.0], [-0.7, -0.5, -0.4, -0.3]])
VECTOR = np.array([40, 30, 20, 10])
FACTORS = (1, 4, 16, 64, 256)
OUTPUTS = np.array([[83, 331, 1321, 5280, 21120], [30, 119, 473, 1890, 7560], [-54, -218, -868, -3470, -13880]])


def stepped(
    network: Network, batch: TokenBatch, arithmetic: Arithmetic = "lava", slots: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Payloads of every firing stage as batches, and logits."""
    graph = build_graph(network, slots or network.max_tokens, arithmetic)
    stream = SentenceStream.of(graph, host_payloads(network, batch))
    sent = Stepper(graph).run(stream.sources, [stage.name for stage in network.stages])
    payloads = {stage.name: stream.stage(stage, sent[stage.name]) for stage in network.stages if stage.fires}
    return payloads, stream.logits(sent[network.readout.name])


def fixed_point_dot_product(arithmetic: Arithmetic) -> np.ndarray:
    """The tutorial's network in the stepper; (3, factors)."""
    populations = (Population("input", "RingBuffer", 4, 0), Population("vector", "GradedVec", 3, 1, threshold=1))
    dense = Connection("dense", "Dense", "input", "vector", WEIGHTS * 2**7, "MIXED", exponent=-7)
    stepper = Stepper(Graph(populations, (dense,), 1, arithmetic, "vector"))
    inputs = np.concatenate([np.outer(FACTORS, VECTOR), np.zeros((1, 4), np.int64)])
    return stepper.run({"input": inputs}, ["vector"])["vector"][1:].T


def test_all_integers_that_a_loihi_2_computed() -> None:
    assert np.array_equal(fixed_point_dot_product("chip"), OUTPUTS)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_products_that_a_loihi_2_computed(arithmetic: Arithmetic) -> None:
    """lava-nc/lava, tutorials/lava_va/Tutorial02-Fixed_point_elementwise_product.ipynb, run on Loihi 2: both networks.

    ProductVec of two GradedDense of one input; and of two GradedVec through one-to-one GradedSparse.
    """
    weights = np.array([[2, 6, 10, -2, -6], [4, 8, 12, -4, 8]])[:, :, None] / 16 * 2**7
    inputs = np.zeros((10, 1), np.int64)
    inputs[[2, 6]] = [[16], [32]]
    ones = one_to_one(np.full(5, 2**7))
    populations = [Population("input", "RingBuffer", 1, 0), Population("product", "ProdNeuron", 5, 1, threshold=1)]
    connections = []
    for i, weight in enumerate(weights, start=1):
        first, second = f"vector {i}", f"again {i}"
        populations.append(Population(first, "GradedVec", 5, 1, threshold=1))
        for target, port in (("product", f"a_in{i}"), (first, "a_in")):
            connections.append(Connection(target, "Dense", "input", target, weight, "MIXED", -7, port))
        connections.append(Connection(second, "Sparse", first, "other", ones, "EXCITATORY", -7, f"a_in{i}"))
    populations.append(Population("other", "ProdNeuron", 5, 2, threshold=1))
    populations.append(Population("out", "GradedVec", 5, 3, threshold=1))
    connections.append(Connection("out", "Sparse", "other", "out", ones, "EXCITATORY", -7))
    stepper = Stepper(Graph(tuple(populations), tuple(connections), 1, arithmetic, "out"))
    sent = stepper.run({"input": inputs}, ["product", "out"])
    assert np.array_equal(sent["product"][[3, 7]], [[8, 48, 120, 8, -48], [32, 192, 480, 32, -192]])
    assert np.array_equal(sent["out"][5], [8, 48, 120, 8, -48])


def test_lavas_arithmetic_is_another() -> None:
    found = fixed_point_dot_product("lava")
    assert np.abs(found - OUTPUTS).max() in (1, 2)  # each of four products is rounded, not their sum


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize(("layers", "heads", "slots"), SHAPES)
def test_payloads_and_logits_are_those_of_the_network(
    layers: int, heads: int, slots: int, arithmetic: Arithmetic
) -> None:
    network = streamed_network(layers, heads, slots, seed=layers + heads)
    batch = sentences(*(n for n in (slots, 2, 3, 1, slots, slots - 1) if n))
    expected, logits, _ = reference(network, batch, arithmetic)
    payloads, read = stepped(network, batch, arithmetic)
    for name, n in expected.items():
        assert np.array_equal(payloads[name], n), name
    assert np.array_equal(read, logits)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_scores_without_relu_and_payloads_beyond_the_range_gate(arithmetic: Arithmetic) -> None:
    network = streamed_network(gain=4.0, relu_scores=False)
    batch = sentences(8, 5, 3)
    expected, logits, beyond = reference(network, batch, arithmetic)
    assert min(beyond.values()) > 0 and any((n < 0).any() for name, n in expected.items() if name.endswith("score"))
    payloads, read = stepped(network, batch, arithmetic)
    for name, n in expected.items():
        assert np.array_equal(payloads[name], n), name
    assert np.array_equal(read, logits)
    graph = build_graph(network, SLOTS, arithmetic)
    outliers = [population.name for population in graph.populations if population.name.endswith(".outlier")]
    stream = SentenceStream.of(graph, host_payloads(network, batch))
    sent = Stepper(graph).run(stream.sources, outliers)
    for name, n in sent.items():
        assert np.abs(n[n != 0]).min() > network.timesteps, name
        assert np.count_nonzero(n) == beyond[name.removesuffix(".outlier")], name


def test_the_two_arithmetics_differ() -> None:
    network, batch = streamed_network(), sentences(8, 5, 3)
    assert not np.array_equal(stepped(network, batch, "lava")[1], stepped(network, batch, "chip")[1])


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_more_slots_than_tokens_change_nothing(arithmetic: Arithmetic) -> None:
    network, batch = streamed_network(), sentences(4, 3, 2)
    few, most = (stepped(network, batch, arithmetic, slots) for slots in (4, SLOTS))
    assert np.array_equal(few[1], most[1])
    for name, n in few[0].items():
        assert np.array_equal(n, most[0][name]), name


def test_padding_order_and_the_sentences_beside_one_change_nothing() -> None:
    network, batch = streamed_network(), sentences(8, 5, 3, 6)
    together, logits = stepped(network, batch)
    for order in ([3, 1, 0, 2], [1], [2]):
        ids, types, lengths = batch.input_ids[order], batch.token_type_ids[order], batch.lengths[order]
        payloads, read = stepped(network, TokenBatch(ids, types, lengths))
        assert np.array_equal(read, logits[order])
        width = lengths.max()
        for name, n in payloads.items():
            same = together[name][order]
            if n.ndim == 4:
                assert np.array_equal(n, same[:, :, : n.shape[2], :width]), name
            else:
                assert np.array_equal(n, same[:, : n.shape[1]]), name


def test_after_its_last_step_a_graph_is_as_it_was() -> None:
    network = streamed_network()
    graph = build_graph(network, SLOTS, "lava")
    stream = SentenceStream.of(graph, host_payloads(network, sentences(8, 5)))
    stepper = Stepper(graph)
    names = [population.name for population in graph.populations]
    first = stepper.run(stream.sources, names)
    silence = {name: np.zeros((1, graph[name].size), np.int64) for name in stream.sources}
    assert not any(n.any() for n in stepper.run(silence, names).values())
    again = stepper.run(stream.sources, names)
    assert all(np.array_equal(first[name], again[name]) for name in names)
