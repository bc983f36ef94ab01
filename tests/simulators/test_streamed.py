"""Streamed networks on every backend that has them: the same payloads, in Lava the same of every process and step."""

from __future__ import annotations

import numpy as np
import pytest

from spk2loihi.chip import Connection, Graph, Population, SentenceStream, Stepper, Tape, host_payloads
from spk2loihi.chip.process_graph import PRESENCE, TOKENS, SparseWeight
from spk2loihi.chip.synapse_patterns import one_to_one
from spk2loihi.choices import ARITHMETICS, Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.emulator.stepped_stream import SteppedStream
from spk2loihi.simulators.lava import LavaStream
from spk2loihi.simulators.operation_counter import count_operations
from support.lava_networks import assert_same, needs_lava, sentences
from support.networks import random_batch, sentences_of, tiny_network
from support.streamed_networks import streamed_network


@pytest.fixture(scope="module")
def network() -> Network:
    """With payloads beyond the range gate."""
    return streamed_network(gain=2.0)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("seed", range(2))
def test_stepping_the_graph_is_counting(seed: int, arithmetic: Arithmetic) -> None:
    network, batch = tiny_network(seed, preset="stock", timesteps=(127, 8)[seed]), random_batch(seed)
    config = network.run_config(arithmetic=arithmetic)
    counting, stepping = (create_backend(name, network, config) for name in ("emulator", "stepped"))
    assert stepping.name == "stepped"
    assert_same(stepping.run(batch, record=True), counting.run(batch, record=True))
    a, b = counting.totals(batch), stepping.totals(batch)
    for name, n in a.sums.items():
        m = b.sums[name]
        assert (n.spikes, n.events, n.inside) == (m.spikes, m.events, m.inside), name
    sums = [count_operations(counting.timeline, totals.sums, batch.lengths) for totals in (a, b)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_operations_are_those_of_the_processes(arithmetic: Arithmetic) -> None:
    """Every message that is not 0, and at how many synapses it arrives."""
    network, batch = tiny_network(preset="stock", timesteps=127), random_batch()
    config = network.run_config(arithmetic=arithmetic)
    totals = create_backend("emulator", network, config).totals(batch)
    stepping = SteppedStream(network, config)
    counted = count_operations(stepping.timeline, totals.sums, batch.lengths)
    stream = SentenceStream.of(stepping.graph, host_payloads(network, batch))
    names = [population.name for population in stepping.graph.populations]
    sent = Stepper(stepping.graph).play(stream.sources, Tape((), names)).counts
    synops = sum(int(sent[c.source] @ fan_out(c)) for c in stepping.graph.connections)
    assert sum(ops.synops + ops.attention_synops for ops in counted) == synops
    del sent[network.readout.name]  # which the host reads
    assert sum(ops.messages for ops in counted) == sum(int(n.sum()) for n in sent.values())


def fan_out(connection: Connection) -> np.ndarray:
    weight = connection.weight
    matrix = weight.dense() if isinstance(weight, SparseWeight) else weight
    return np.count_nonzero(matrix, axis=0)


def test_populations_are_recorded_where_asked(network: Network) -> None:
    backend, batch = SteppedStream(network), sentences(5, 3)
    assert backend.run(batch).populations is None
    run = backend.run(batch, record=True)
    assert run.populations is not None
    assert list(run.populations) == backend.graph.processes
    assert len({len(n) for n in run.populations.values()}) == 1


def test_verify_names_the_first_population_that_differs(network: Network) -> None:
    class Flipped(SteppedStream):
        name = "flipped"

        def run(self, batch: TokenBatch, record: bool = False):  # type: ignore[no-untyped-def]
            run = super().run(batch, record)
            assert run.populations is not None
            run.populations["layer.1.value.register"][20, 3] += 1
            run.populations["layer.0.key.outlier"][17, 2] += 1
            return run

    encoded = sentences_of(sentences(5, 3, 8))
    found = verify(SteppedStream(network), Flipped(network), encoded, batch_size=2)
    assert found.mismatches == 2 and found.samples == 2
    assert found.first_mismatch is not None
    where = {key: found.first_mismatch[key] for key in ("population", "step", "neuron")}
    assert where == {"population": "layer.0.key.outlier", "step": 18, "neuron": 2}
    with pytest.raises(ValueError, match="slots"):
        verify(SteppedStream(network), SteppedStream(network, slots=6), encoded[:1])


def test_every_population_of_the_graph_is_compared(network: Network) -> None:
    encoded = sentences_of(sentences(5, 3, 8))
    found = verify(SteppedStream(network), SteppedStream(network), encoded, batch_size=2)
    graph = SteppedStream(network).graph
    assert found.equal and found.populations == len(graph.processes)
    runs = [SteppedStream(network).run(batch, record=True) for batch in (sentences(5, 3), sentences(8))]
    steps = sum(len(run.populations["embedding"]) for run in runs if run.populations)
    assert found.spikes_compared == steps * graph.neurons


@needs_lava
@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_process_and_step_of_stock_lava_is_the_steppers(layers: int) -> None:
    """Twice, in other batches: the compiled network is as it was after each."""
    network = streamed_network(layers, gain=2.0)
    batches = sentences(8, 1, 5, 3), sentences(2, 6)
    with LavaStream(network) as lava:
        for batch in batches:
            ours, theirs = SteppedStream(network).run(batch, record=True), lava.run(batch, record=True)
            assert_same(theirs, ours)
            assert ours.populations is not None and theirs.populations is not None
            assert list(theirs.populations) == list(ours.populations)
            for name, n in ours.populations.items():
                assert np.array_equal(theirs.populations[name], n), name
            outliers = [n for name, n in ours.populations.items() if name.endswith(".outlier")]
            assert sum(np.count_nonzero(n) for n in outliers) > 20
        assert lava.run(batches[1]).populations is None
        models = lava.models
    assert len(models) == len(lava.graph.populations) + len(lava.graph.connections) + 1  # and the readout's sink
    for process, model in models.items():
        assert type(process).__module__.startswith("lava."), process.name
        assert model.__module__.startswith("lava."), process.name


@needs_lava
@pytest.mark.slow
def test_a_folded_student_in_stock_lava() -> None:
    network = tiny_network(preset="stock", timesteps=127)
    encoded = sentences_of(random_batch(1, lengths=(10, 6, 3, 16, 2, 9, 12, 5)))
    with LavaStream(network) as lava:
        found = verify(create_backend("stepped", network), lava, encoded)
    assert found.equal and found.samples == 8 and found.populations == len(lava.graph.processes)


@needs_lava
@pytest.mark.parametrize("foreign", [False, True])
def test_a_process_that_is_not_lavas_own_is_refused(
    network: Network, foreign: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the smallest graph that a sentence can be given to."""
    from spk2loihi.simulators.lava import stock_processes

    channels = network.input.channels
    populations = (
        Population(TOKENS, "RingBuffer", channels, 0),
        Population(PRESENCE, "RingBuffer", 6, 0),
        Population("vector", "GradedVec", channels, 1),
    )
    tokens = Connection("tokens", "Sparse", TOKENS, "vector", one_to_one(np.ones(channels)), "EXCITATORY")
    presence = Connection("presence", "Dense", PRESENCE, "vector", np.ones((channels, 6), np.int16), "EXCITATORY")
    if foreign:
        from support.foreign.foreign_process import ForeignVec

        monkeypatch.setitem(stock_processes.NEURONS, "GradedVec", ForeignVec)
    with LavaStream(network) as lava:
        lava.graph = Graph(populations, (tokens, presence), lava.graph.slots, "lava", "vector")
        # A graph without stages has nothing to read: whichever of a set of stages is read first is missing.
        error, says = (RuntimeError, r"vector: .*foreign_process\.ForeignVec") if foreign else (KeyError, None)
        with pytest.raises(error, match=says):
            lava.run(sentences(3))


@needs_lava
def test_a_network_with_more_processes_than_memory_is_refused(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spk2loihi.simulators.lava import stream_backend

    monkeypatch.setattr(stream_backend, "available_memory", lambda: 1 << 23)
    with LavaStream(network) as lava, pytest.raises(UserError, match=r"GiB of memory for the \d+ processes"):
        lava.run(sentences(3))
    assert not lava.models


@needs_lava
def test_lava_rounds_as_lava_does(network: Network) -> None:
    with pytest.raises(UserError, match="`arithmetic` is chip"):
        create_backend("cpu", network, network.run_config(arithmetic="chip"))


@needs_lava
def test_a_board_is_not_here(network: Network) -> None:
    with pytest.raises(UserError, match="lava-loihi extension"):
        create_backend("loihi2", network)
