"""The Lava backends: spike for spike what the numbers say, however sentences are packed and whatever Lava runs on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Run
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.lava import LavaBackend, Loihi2Backend
from spk2loihi.simulators.lava.packing import Grid, pack
from spk2loihi.simulators.operation_counter import count_operations
from support.lava_networks import (
    LENGTHS,
    T,
    assert_same,
    needs_lava,
    odd_network,
    random_network,
    sentences,
)
from support.networks import timeline


def one_of(batch: TokenBatch, row: int) -> TokenBatch:
    length = batch.lengths[row]
    return TokenBatch(
        batch.input_ids[row : row + 1, :length],
        batch.token_type_ids[row : row + 1, :length],
        batch.lengths[row : row + 1],
    )


def reference(network: Network, batch: TokenBatch) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Counts (1, L, d) or (1, H, L, L) and logits of one sentence: stage by stage, straight from the definition."""
    n: dict[str, NDArray[np.int64]] = {}
    for stage in network.stages:
        if stage.attention is not None:
            left, right = n[stage.attention.left], n[stage.attention.right]
            right = right.reshape(*right.shape[:2], stage.heads, -1)
            if stage.is_scores:
                u = np.einsum("bihc,bjhc->bhij", left.reshape(*left.shape[:2], stage.heads, -1), right)
            else:
                u = np.einsum("bhij,bjhc->bihc", left, right).reshape(1, left.shape[2], -1)
        elif stage.synapses:
            u = np.zeros(1, np.int64)
            for group in stage.synapses:
                weight = np.diag(group.weight) if group.one_to_one else group.weight
                u = u + (n[group.source] << group.exponent) @ weight.T
        else:
            e = network.embedding
            u = (
                e.word[batch.input_ids]
                + e.position[None, : batch.input_ids.shape[1]]
                + e.token_type[batch.token_type_ids]
            )
        if stage.bias is not None:
            u = u + network.timesteps * stage.bias
        if stage.tokens == "first":
            u = u[..., :1, :]
        if not stage.fires:
            return n, u[:, 0]
        z = u if stage.soma is None else stage.soma(u)
        most = network.timesteps
        n[stage.name] = ((z + stage.threshold // 2) // stage.threshold).clip(-most if stage.signed else 0, most)
    raise AssertionError("a network ends in a readout")


def windows(counts: NDArray[np.int64]) -> NDArray[np.int8]:
    """In a window, |n| spikes in a row from its first step on."""
    step = np.arange(T).reshape(-1, *[1] * counts.ndim)
    return np.where(step < np.abs(counts), np.sign(counts), 0).astype(np.int8)


@pytest.fixture(scope="module")
def network() -> Network:
    return random_network()


@pytest.fixture(scope="module")
def lava(network: Network) -> Iterator[LavaBackend]:
    """Compiled once, used by most tests."""
    with LavaBackend(network, slots=32) as backend:
        yield backend


@pytest.fixture(scope="module")
def packed(lava: LavaBackend) -> Run:
    """Five sentences in two lanes, two or three to a lane."""
    return lava.run(sentences(*LENGTHS), record=True)


@needs_lava
def test_counts_and_logits_are_those_of_the_definition(network: Network, packed: Run) -> None:
    for row, length in enumerate(LENGTHS):
        counts, logits = reference(network, one_of(sentences(*LENGTHS), row))
        assert np.array_equal(packed.logits[row : row + 1], logits)
        for name, n in counts.items():
            got = packed.counts[name][row : row + 1]
            rows = n.shape[-2]
            keys = length if network[name].is_scores else n.shape[-1]
            assert np.array_equal(got[..., :rows, :keys], n), name
            assert np.abs(got).sum() == np.abs(n).sum(), f"{name} fires at padded tokens"


@needs_lava
def test_network_is_worth_testing(packed: Run) -> None:
    """Every stage fires, with either sign where it may, and not always at its limits."""
    for name, n in packed.counts.items():
        assert 0.02 < np.abs(n).mean() / T < 0.9, name
        if not name.endswith((".score", ".ffn_in")):  # probabilities, and GELU, whose least value is -0.17
            assert n.min() < 0, name


@needs_lava
def test_windows_hold_consecutive_spikes(packed: Run) -> None:
    assert packed.trains is not None
    for name, train in packed.trains.items():
        assert np.array_equal(train, windows(packed.counts[name])), name
        assert np.array_equal(np.abs(train).sum(0), packed.events[name]), name


@needs_lava
def test_emulator_agrees(network: Network, packed: Run) -> None:
    batch = sentences(*LENGTHS)
    assert_same(packed, Emulator(network).run(batch, record=True))
    assert_same(packed, Emulator(network, engine="stepped").run(batch, record=True))


@needs_lava
def test_packing_changes_nothing(lava: LavaBackend, packed: Run) -> None:
    batch = sentences(*LENGTHS)
    for row in range(len(LENGTHS)):
        alone = lava.run(one_of(batch, row), record=True)
        length = batch.lengths[row]
        assert np.array_equal(alone.logits[0], packed.logits[row])
        for name, n in alone.counts.items():
            rows, channels = n.shape[-2:]
            assert np.array_equal(n[0], packed.counts[name][row][..., :rows, :channels]), name
        assert alone.counts["embedding"].shape == (1, length, 16)


@needs_lava
def test_batch_larger_than_the_slots_takes_several_runs(network: Network, lava: LavaBackend) -> None:
    batch = sentences(9, 10, 11, 12, 7, 2, seed=1)
    assert len(pack(batch.lengths, Grid(2, 16))) == 2
    assert_same(lava.run(batch, record=True), Emulator(network).run(batch, record=True))


@pytest.mark.slow
@needs_lava
def test_compiled_network_is_reusable(network: Network, lava: LavaBackend, packed: Run) -> None:
    """What one batch leaves behind does not reach the next; recording or not does not matter."""
    batch = sentences(16, 16, seed=2)
    again = lava.run(batch)
    assert again.trains is None
    with LavaBackend(network) as fresh:
        assert_same(again, fresh.run(batch))
        assert_same(fresh.run(batch, record=True), lava.run(batch, record=True))
        batch = sentences(*LENGTHS)
        assert_same(lava.run(batch, record=True), packed)
        assert_same(fresh.run(batch, record=True), packed)  # another grid


@needs_lava
def test_synops_counted_from_trains_are_those_of_the_counters(network: Network, packed: Run) -> None:
    assert packed.trains is not None
    lengths = np.array(LENGTHS)
    ops = count_operations(timeline(network), packed.events, lengths)
    for stage, counted in zip(network.stages, ops, strict=True):
        synops = 0
        for group in stage.synapses:
            fired = np.abs(packed.trains[group.source].astype(np.int64))  # (T, B, L, d)
            fired = fired[:, :, :1] if stage.tokens == "first" else fired
            synops += int((fired * group.fan_out).sum())
        assert counted.synops == synops, stage.name


def agrees_with_stock(network: Network) -> None:
    batch = sentences(5, 3)
    with LavaBackend(network, slots=8, stock_synapses=True) as stock, LavaBackend(network, slots=8) as fast:
        for _ in range(2):
            assert_same(stock.run(batch, record=True), fast.run(batch, record=True))


@pytest.mark.slow
@needs_lava
def test_stock_synapses_and_channels_agree() -> None:
    agrees_with_stock(odd_network())


@needs_lava
@pytest.mark.slow
def test_stock_synapses_and_channels_agree_on_a_student(network: Network) -> None:
    agrees_with_stock(network)


@needs_lava
def test_graded_messages_are_the_counts(network: Network, packed: Run) -> None:
    batch = sentences(*LENGTHS)
    with LavaBackend(network, RunConfig(encoding="graded")) as backend:
        run = backend.run(batch, record=True)
    assert run.steps == 1
    assert run.latency_steps == network.readout.depth + 1
    assert np.array_equal(run.logits, packed.logits)
    assert run.trains is not None
    for name, n in packed.counts.items():
        assert np.array_equal(run.counts[name], n), name
        assert np.array_equal(run.trains[name][0], n), name
        assert np.array_equal(run.events[name], n != 0), name


@needs_lava
def test_pipelined_agrees_with_the_emulator(network: Network) -> None:
    batch = sentences(*LENGTHS)
    with LavaBackend(network, RunConfig("pipelined", steps=11)) as backend:
        run = backend.run(batch, record=True)
        assert_same(backend.run(batch, record=True), run)
    assert run.latency_steps == network.readout.depth + 11
    assert run.trains is not None
    for name, train in run.trains.items():
        assert np.array_equal(train.sum(0), run.counts[name]), name
        assert np.array_equal(np.abs(train).sum(0), run.events[name]), name
    assert_same(run, Emulator(network, RunConfig("pipelined", steps=11)).run(batch, record=True))


@pytest.mark.slow
@needs_lava
@pytest.mark.parametrize(("schedule", "steps"), [("windowed", None), ("pipelined", 9)])
def test_neurocore_agrees_with_the_emulator(schedule: str, steps: int | None) -> None:
    network, batch = random_network("neurocore"), sentences(7, 5, 6)
    with LavaBackend(network, RunConfig(schedule, steps=steps)) as backend:  # type: ignore[arg-type]
        run = backend.run(batch, record=True)
    assert_same(run, Emulator(network, RunConfig(schedule, steps=steps), engine="stepped").run(batch, record=True))  # type: ignore[arg-type]
    assert all(run.counts[stage.name].any() for stage in network.stages if stage.fires), "a silent stage proves nothing"


@needs_lava
def test_saturating_membranes_agree_with_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    from spk2loihi.simulators.lava.procs import soft_reset_if as soft_reset

    network, batch = odd_network(), sentences(7, 5)
    plain = Emulator(network, RunConfig("pipelined", steps=9)).run(batch)
    for module in ("spk2loihi.simulators.emulator.emulator", soft_reset.__name__):
        monkeypatch.setattr(f"{module}.MEMBRANE_MAX", 50)
    expected = Emulator(network, RunConfig("pipelined", steps=9)).run(batch, record=True)
    assert any((expected.counts[name] != n).any() for name, n in plain.counts.items()), "nothing saturated"
    with LavaBackend(network, RunConfig("pipelined", steps=9)) as backend:
        assert_same(backend.run(batch, record=True), expected)


@pytest.mark.slow
@needs_lava
@pytest.mark.parametrize(("schedule", "steps"), [("windowed", None), ("pipelined", 9)])
def test_odd_network(schedule: str, steps: int | None) -> None:
    network = odd_network()
    batch = sentences(7, 5, 6)
    with LavaBackend(network, RunConfig(schedule, steps=steps)) as backend:  # type: ignore[arg-type]
        run = backend.run(batch, record=True)
    assert_same(run, Emulator(network, RunConfig(schedule, steps=steps), engine="stepped").run(batch, record=True))  # type: ignore[arg-type]
    if schedule == "windowed":
        for row in range(3):
            counts, logits = reference(network, one_of(batch, row))
            assert np.array_equal(run.logits[row : row + 1], logits)
            assert all(np.abs(n).sum() == np.abs(run.counts[name][row]).sum() for name, n in counts.items())


@needs_lava
def test_grid_grows_with_the_batches(network: Network) -> None:
    with LavaBackend(network) as backend:
        grids: list[Grid] = []
        for lengths in ((3, 4), (5, 2), (8, 8), (12,), (4, 4)):
            grid = backend._grid(np.array(lengths), grids[-1] if grids else None)
            grids.append(grid)
    assert grids == [Grid(1, 8), Grid(1, 8), Grid(2, 8), Grid(2, 16), Grid(2, 16)]
    fixed = LavaBackend(network, slots=20)
    assert fixed._grid(np.array([7, 7, 7]), None) == Grid(2, 8)
    assert fixed._grid(np.array([14]), Grid(2, 8)) == Grid(1, 16)
    assert LavaBackend(network, slots=1)._grid(np.array([14]), None) == Grid(1, 14)


@pytest.mark.slow
@needs_lava
def test_death_of_a_process_is_an_error_not_a_hang() -> None:
    batch = sentences(7, 5)
    with LavaBackend(odd_network()) as backend:
        expected = backend.run(batch)
        os.kill(backend._ready(batch.lengths).actors[-1].pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="died with exit code -9"):
            backend.run(batch)
        assert_same(backend.run(batch), expected)  # compiled again


@pytest.mark.slow
@needs_lava
def test_exception_in_a_process_is_reported(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    from spk2loihi.simulators.lava.procs.synapse_models import PyBilinearSynapseModel

    def fail(*_: object) -> None:
        raise ValueError("no such product")

    monkeypatch.setattr(PyBilinearSynapseModel, "_accumulate", fail)
    with (
        LavaBackend(network, slots=8) as backend,
        pytest.raises(RuntimeError, match=r"'layer\.\d\.\w+ from (.|\n)*no such product"),
    ):
        backend.run(sentences(3))


@needs_lava
def test_misaligned_delays_are_found() -> None:
    """Drive that arrives after the gate opened would be lost."""
    network = odd_network()
    group = replace(network["b"].synapses[0], delay=T)
    stages = tuple(replace(s, synapses=(group,)) if s.name == "b" else s for s in network.stages)
    broken = replace(network, stages=stages)
    with LavaBackend(broken) as backend, pytest.raises(RuntimeError, match=r"stage b: .* do not align"):
        backend.run(sentences(5))


@pytest.mark.slow
@pytest.mark.alone
@needs_lava
def test_nothing_is_left_behind(network: Network) -> None:
    from lava.magma.core.process.process import ProcessServer

    before = len(ProcessServer().processes), len(os.listdir("/dev/shm"))
    backend = LavaBackend(network)
    backend.run(sentences(3))
    pids = [actor.pid for actor in backend._running.actors]  # type: ignore[union-attr]
    backend.close()
    backend.close()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    assert (len(ProcessServer().processes), len(os.listdir("/dev/shm"))) == before


@needs_lava
def test_fast_synapses_are_lavas_own_bit_for_bit() -> None:
    """Whatever the weights and messages: float64 sums, wrap-around at 24 bits, unary spikes."""
    from lava.proc.conv import utils

    from spk2loihi.simulators.lava.procs.synapse_models import PyTokenConvModel

    rng = np.random.default_rng(0)
    one, zero = np.ones(2, np.int8), np.zeros(2, np.int8)
    for largest, message, bits in ((9, 1, 8), (250, 127, 8), (60_000, 127, 8), (9, 5, 0)):
        model = PyTokenConvModel({})
        model.weight = rng.integers(-largest, largest + 1, (5, 1, 1, 40)).astype(np.int32)
        model.a_buf = np.zeros((6, 1, 5), np.int32)
        model.stride, model.padding, model.groups = one, zero, one
        model.num_message_bits = np.array([bits], np.int8)
        model._prepare()
        spikes = rng.integers(-message, message + 1, (6, 1, 40)).astype(np.int8)
        spikes[[1, 4]] = 0
        s_in = spikes.astype(np.int32) if bits else spikes.astype(bool)
        exact = utils.signed_clamp(utils.conv(s_in, model.weight, one, one, zero, one, 1), bits=24)
        assert np.array_equal(model._accumulate(spikes), exact), (largest, message, bits)


def test_packing_is_first_fit_longest_first() -> None:
    places = pack(np.array([3, 9, 4, 1, 8]), Grid(2, 10))
    lanes = [sorted((p.sentence, p.lane, p.start, p.length) for p in run) for run in places]
    assert lanes == [[(1, 0, 0, 9), (3, 0, 9, 1), (4, 1, 0, 8)], [(0, 0, 4, 3), (2, 0, 0, 4)]]


@needs_lava
def test_errors_say_what_and_what_to_do(network: Network) -> None:
    with pytest.raises(UserError, match=r"lava-loihi .* `backend` cpu"):
        Loihi2Backend(network)
    with pytest.raises(UserError, match="17 tokens, but this network takes at most 16"):
        LavaBackend(network).run(sentences(17))
    with pytest.raises(UserError, match="slots is 0"):
        LavaBackend(network, slots=0)
    with pytest.raises(UserError, match="holds at most 127"):
        LavaBackend(replace(network, timesteps=200), RunConfig(encoding="graded"))


@needs_lava
def test_too_little_memory_is_refused(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spk2loihi.simulators.lava.lava_backend.available_memory", lambda: 1000)
    with pytest.raises(UserError, match=r"Lava needs 0\.0*[1-9]\d* MiB .* but 0.000954 MiB are available"):
        LavaBackend(network).run(sentences(5))


def test_missing_lava_is_one_sentence(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "lava" or name.startswith("lava.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lava", None)
    with pytest.raises(UserError, match=r"lava-nc 0\.10\.0 and lava-dl 0\.6\.0 on Python 3\.10.*emulator"):
        LavaBackend(network)
