"""Streamed networks on every backend that has them: the same payloads, in Lava the same of every process and step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spk2loihi.choices import ARITHMETICS, Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.emulator.stepped_stream import SteppedStream
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
    assert {name: (n.spikes, n.events) for name, n in a.sums.items()} == {
        name: (n.spikes, n.events) for name, n in b.sums.items()
    }


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
def test_every_process_and_step_of_stock_lava_is_the_steppers(network: Network) -> None:
    """Twice, in other batches: the compiled network is as it was after each."""
    batches = sentences(8, 1, 5, 3), sentences(2, 6)
    with create_backend("cpu", network) as lava:  # type: ignore[attr-defined]
        for batch in batches:
            ours, theirs = SteppedStream(network).run(batch, record=True), lava.run(batch, record=True)
            assert_same(theirs, ours)
            assert list(theirs.populations) == list(ours.populations)
            for name, n in ours.populations.items():
                assert np.array_equal(theirs.populations[name], n), name
            outliers = [n for name, n in ours.populations.items() if name.endswith(".outlier")]
            assert sum(np.count_nonzero(n) for n in outliers) > 20
        assert lava.run(batches[0]).populations is None
        models = lava.models
    graph = lava.graph
    assert len(models) == len(graph.populations) + len(graph.connections) + 1  # and the sink of the readout
    for process, model in models.items():
        assert type(process).__module__.startswith("lava."), process.name
        assert model.__module__.startswith("lava."), process.name


@needs_lava
@pytest.mark.slow
def test_a_folded_student_in_stock_lava() -> None:
    network = tiny_network(preset="stock", timesteps=127)
    encoded = sentences_of(random_batch(1, lengths=(10, 6, 3, 16, 2, 9, 12, 5)))
    with create_backend("cpu", network) as lava:  # type: ignore[attr-defined]
        found = verify(create_backend("stepped", network), lava, encoded)
    assert found.equal and found.samples == 8 and found.populations == len(lava.graph.processes)


@needs_lava
def test_a_process_that_is_not_lavas_own_is_refused(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    from lava.proc.graded.process import GradedVec

    from spk2loihi.simulators.lava import LavaStream, stock_processes
    from support.foreign import foreign_process

    one_layer = replace(streamed_network(1), max_tokens=3)
    monkeypatch.setitem(stock_processes.NEURONS, "GradedVec", foreign_process.ForeignVec)
    with LavaStream(one_layer) as lava, pytest.raises(RuntimeError, match=r"foreign_process\.\w+"):
        lava.run(sentences(3))
    assert issubclass(foreign_process.ForeignVec, GradedVec)


@needs_lava
def test_lava_rounds_as_lava_does(network: Network) -> None:
    with pytest.raises(UserError, match="`arithmetic` is chip"):
        create_backend("cpu", network, network.run_config(arithmetic="chip"))


@needs_lava
def test_a_board_is_not_here(network: Network) -> None:
    with pytest.raises(UserError, match="lava-loihi extension"):
        create_backend("loihi2", network)
