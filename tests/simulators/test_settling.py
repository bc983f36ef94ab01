"""The settling schedule: its fixed point, its steps, its counters, on the emulator and in Lava."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network import Network
from spk2loihi.network.bounds import check_limits, settling_membrane
from spk2loihi.network.network import Stage
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.backend import Run
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.emulator.settling_emulator import SettlingEmulator
from spk2loihi.simulators.operation_counter import count_operations
from support.lava_networks import LENGTHS, assert_same, odd_network, sentences
from support.networks import random_batch, sentences_of, timeline, tiny_network

needs_lava = pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="Lava needs Python 3.10")


def settle(network: Network, batch: TokenBatch, **changes: Any) -> Run:
    return SettlingEmulator(network, network.run_config("settling", **changes)).run(batch, record=True)


def one_of(batch: TokenBatch, row: int) -> TokenBatch:
    length = batch.lengths[row]
    tokens = batch.input_ids[row : row + 1, :length], batch.token_type_ids[row : row + 1, :length]
    return TokenBatch(*tokens, batch.lengths[row : row + 1])


@pytest.mark.parametrize("timesteps", [1, 5, 8])
@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_tracers_settle_on_the_windowed_counts(preset: str, timesteps: int) -> None:
    """Signed and unsigned stages, odd T, every stagger; neurons that overshoot take spikes back on the way."""
    network, batch = tiny_network(timesteps=timesteps, preset=preset), random_batch()
    windowed = Emulator(network).run(batch)
    signed = {stage.signed for stage in network.stages if stage.fires}
    assert signed == {True, False}
    for stagger in sorted({0, 1, timesteps // 2, timesteps}):
        run = settle(network, batch, stagger=stagger)
        assert np.array_equal(run.logits, windowed.logits)
        for name, n in windowed.counts.items():
            assert np.array_equal(run.counts[name], n), (name, stagger)
        assert run.latency_steps <= Timeline(network, network.run_config("settling", stagger=stagger)).settling_bound()
        spikes, fewest = (sum(int(e.sum()) for e in r.events.values()) for r in (run, windowed))
        if stagger == timesteps:  # every stage starts when its sources have come to rest: windows
            assert (spikes, run.latency_steps) == (fewest, windowed.latency_steps)
        else:
            assert spikes > fewest
            assert run.latency_steps < windowed.latency_steps or timesteps == 1


def test_odd_networks_settle_on_the_windowed_counts() -> None:
    """Several sources, skips, unsigned stages, odd thresholds: delays play no part."""
    network, batch = odd_network(), sentences(7, 5, 6)
    windowed = Emulator(network).run(batch)
    for stagger in (0, 1, 4):
        run = settle(network, batch, stagger=stagger)
        assert np.array_equal(run.logits, windowed.logits)
        assert all(np.array_equal(run.counts[name], n) for name, n in windowed.counts.items())


def drive_of(network: Network, stage: Stage, n: dict[str, NDArray[np.int64]], batch: TokenBatch) -> NDArray[np.int64]:
    """U of one sentence (tokens, d) or (H, L, L), from the definition and the present tracers of its sources."""
    if not stage.depth:
        e, length = network.embedding, int(batch.lengths[0])
        u: NDArray[np.int64] = e.word[batch.input_ids[0]] + e.position[:length] + e.token_type[batch.token_type_ids[0]]
        return u
    if stage.attention is not None:
        left, right = n[stage.attention.left], np.split(n[stage.attention.right], stage.heads, axis=1)
        if stage.is_scores:
            return np.stack([q @ k.T for q, k in zip(np.split(left, stage.heads, axis=1), right, strict=True)])
        return np.concatenate([p @ v for p, v in zip(left, right, strict=True)], axis=1)
    rows = 1 if stage.tokens == "first" else int(batch.lengths[0])
    u = np.tile(network.timesteps * stage.bias, (rows, 1))
    for group in stage.synapses:
        weight = np.diag(group.weight) if group.one_to_one else group.weight
        u = u + n[group.source][:rows] @ (weight << group.exponent).T
    return u


def tracers(network: Network, length: int) -> dict[str, NDArray[np.int64]]:
    shapes = {}
    for stage in network.stages:
        rows = 1 if stage.tokens == "first" else length
        shapes[stage.name] = (stage.channels, rows, length) if stage.is_scores else (rows, stage.channels)
    return {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}


def wanted(network: Network, stage: Stage, u: NDArray[np.int64], n: NDArray[np.int64]) -> NDArray[np.int64]:
    """What each neuron would emit at these drives and tracers."""
    membrane = (u if stage.soma is None else stage.soma(u)) + stage.threshold // 2 - stage.threshold * n
    low = -network.timesteps if stage.signed else 0
    rise = (membrane >= stage.threshold) & (n < network.timesteps)
    return rise.astype(np.int64) - ((membrane < 0) & (n > low))


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_events_ends_at_the_same_tracers(preset: str, seed: int) -> None:
    """Stages in random order, of each a random part of the neurons that want to: no clock, no schedule."""
    network, batch = tiny_network(seed, timesteps=3, preset=preset, num_hidden_layers=1), random_batch(lengths=(4,))
    rng = np.random.default_rng(seed)
    n = tracers(network, 4)
    firing = [stage for stage in network.stages if stage.fires]
    while any(wanted(network, s, drive_of(network, s, n, batch), n[s.name]).any() for s in firing):
        for index in rng.permutation(len(firing)):
            stage = firing[index]
            s = wanted(network, stage, drive_of(network, stage, n, batch), n[stage.name])
            n[stage.name] = n[stage.name] + s * (rng.random(s.shape) < 0.3)
    windowed = Emulator(network).run(batch)
    for stage in firing:
        assert np.array_equal(n[stage.name], windowed.counts[stage.name][0]), stage.name


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_every_step_is_the_definition(preset: str) -> None:
    """All stages at once, one step after the other, in plain integers; spikes, steps to silence, soma elements."""
    network, batch = tiny_network(preset=preset, timesteps=5), random_batch(lengths=(6,))
    run = settle(network, batch, stagger=1)
    assert run.trains is not None
    assert run.settled is not None
    n, elements = tracers(network, 6), dict.fromkeys(run.settled.elements, 0)
    seen: dict[str, NDArray[np.int64]] = {}
    for step in range(1, run.latency_steps + 1):
        before = {name: tracer.copy() for name, tracer in n.items()}  # arrives now: what was sent up to the last step
        for stage in network.stages[:-1]:
            sent = run.trains[stage.name][step - 1, 0]
            if step <= stage.depth:
                assert not sent.any(), (stage.name, step)
                continue
            u = drive_of(network, stage, before, batch)
            s = wanted(network, stage, u, n[stage.name])
            assert np.array_equal(sent, s), (stage.name, step)
            n[stage.name] = n[stage.name] + s
            if stage.name in elements:
                rows = (u != seen[stage.name]).any(-1) if stage.name in seen else np.ones(u.shape[:-1], bool)
                elements[stage.name] += int(rows.sum()) * u.shape[-1]
            seen[stage.name] = u
    assert all(not wanted(network, s, drive_of(network, s, n, batch), n[s.name]).any() for s in network.stages[:-1])
    last = max(int(train.any(tuple(range(1, train.ndim))).nonzero()[0].max()) for train in run.trains.values())
    assert run.latency_steps == last + 2  # spikes of step last + 1, which arrive one step later
    hosts = {s.name for s in network.stages if s.soma is not None and s.soma.on_host}
    assert set(run.settled.elements) == hosts
    assert run.settled.elements == elements


def test_padding_batch_and_order_change_nothing() -> None:
    """Nor the steps of a sentence, nor any counter."""
    network, batch = tiny_network(), random_batch()
    together = settle(network, batch)
    assert together.settled is not None
    added: list[StageOps] = []
    for i, length in enumerate(batch.lengths):
        alone = settle(network, one_of(batch, i))
        assert alone.settled is not None
        assert alone.latency_steps == alone.settled.steps[0] == together.settled.steps[i]
        assert np.array_equal(alone.logits[0], together.logits[i])
        for name, n in alone.counts.items():
            rows, columns = n.shape[-2:]
            for a, b in ((alone.counts, together.counts), (alone.events, together.events)):
                assert np.array_equal(a[name][0], b[name][i][..., :rows, :columns]), name
                assert np.abs(b[name][i]).sum() == np.abs(a[name]).sum(), f"padding of {name} fired"
        ops = count_operations(timeline(network, "settling"), alone.events, np.array([length]), alone.settled)
        added = [a + b for a, b in zip(added, ops, strict=True)] if added else ops
    ops = count_operations(timeline(network, "settling"), together.events, batch.lengths, together.settled)
    assert added == ops
    assert together.latency_steps == together.settled.steps.max()
    assert len(set(together.settled.steps)) > 1, "all sentences take as long: nothing is shown"


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_operations_recounted_from_events(preset: str) -> None:
    """Every spike of either sign is followed to every synapse it has; every neuron is visited in every step."""
    network, batch = tiny_network(preset=preset), random_batch(lengths=(5, 3))
    run = settle(network, batch)
    assert run.trains is not None
    assert run.settled is not None
    counted = count_operations(timeline(network, "settling"), run.events, batch.lengths, run.settled)
    for stage, ops in zip(network.stages, counted, strict=True):
        synops = attention = active = inactive = messages = 0
        for sample, length in enumerate(batch.lengths):
            targets = 1 if stage.tokens == "first" else int(length)
            for group in stage.synapses:
                w = np.diag(group.weight) if group.one_to_one else group.weight
                for _, token, channel in np.argwhere(run.trains[group.source][:, sample]):
                    synops += int(np.count_nonzero(w[:, channel])) if token < targets else 0
            if stage.attention is not None:
                left = np.argwhere(run.trains[stage.attention.left][:, sample])
                right = np.argwhere(run.trains[stage.attention.right][:, sample])
                width = network[stage.attention.right].channels // stage.heads
                each = [int(length) if token < targets else 0 for _, token, _ in left] if stage.is_scores else None
                attention += (len(left) * width if each is None else sum(each)) + len(right) * targets
            neurons = stage.channels * targets * (int(length) if stage.is_scores else 1)
            for step in range(1, int(run.settled.steps[sample]) + 1):
                started = step > stage.depth * network.defaults.stagger
                active, inactive = active + neurons * started, inactive + neurons * (not started)
            if stage.fires:
                messages += int(np.count_nonzero(run.trains[stage.name][:, sample]))
        assert (ops.synops, ops.attention_synops) == (synops, attention), stage.name
        assert (ops.active_updates, ops.inactive_updates) == (active, inactive), stage.name
        assert ops.messages == messages, stage.name
        assert set(ops.host.values()) <= {ops.neurons, run.settled.elements.get(stage.name)}, stage.name


def test_no_membrane_exceeds_its_bound() -> None:
    network, batch = tiny_network(), random_batch(lengths=(6,))
    run = settle(network, batch, stagger=0)
    assert run.trains is not None
    n = tracers(network, 6)
    for step in range(run.latency_steps):
        arrived = {name: tracer.copy() for name, tracer in n.items()}
        for stage in network.stages[:-1]:
            u = drive_of(network, stage, arrived, batch)
            z = u if stage.soma is None else stage.soma(u)
            membrane = z + stage.threshold // 2 - stage.threshold * n[stage.name]
            assert np.abs(membrane).max() <= settling_membrane(network, stage), stage.name
            n[stage.name] += run.trains[stage.name][step, 0]


def test_context_near_24_bits_is_refused_when_settling_only() -> None:
    """Windows need the drive and a threshold; a tracer may take the membrane twice as far."""
    network = tiny_network()
    stages = tuple(
        replace(s, soma=replace(s.soma, exponent=13), threshold=100_000) if s.name == "layer.0.context" else s
        for s in network.stages
    )
    near = replace(network, stages=stages, max_tokens=15)  # T^2 L = 960, times 2^13: 0.94 of 2^23
    check_limits(near)
    with pytest.raises(UserError, match=r"stage layer\.0\.context: worst-case membrane \d+ of a settling run exceeds"):
        check_limits(replace(near, defaults=RunConfig("settling")))
    with pytest.raises(UserError, match=r"stage layer\.0\.context"):
        create_backend("emulator", near, near.run_config("settling"))


def test_limits_of_steps_and_options() -> None:
    network, batch = tiny_network(), random_batch()
    needed = create_backend("emulator", network, network.run_config("settling")).run(batch).latency_steps
    assert (
        create_backend("emulator", network, network.run_config("settling", timesteps=needed)).run(batch).latency_steps
        == needed
    )
    with pytest.raises(
        UserError, match=rf"not silent after {needed - 1} steps.*{timeline(network, 'settling').settling_bound()}"
    ):
        create_backend("emulator", network, network.run_config("settling", timesteps=needed - 1)).run(batch)
    with pytest.raises(UserError, match="at least 1 step"):
        create_backend("emulator", network, network.run_config("settling", timesteps=0))
    with pytest.raises(UserError, match="graded spikes exist in the windowed and streamed schedules only"):
        create_backend("stepped", network, network.run_config("settling", "graded"))


@needs_lava
@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_lava_agrees_in_every_step(preset: str) -> None:
    """Several sentences to a lane, several parts to a run, one run after another."""
    from spk2loihi.simulators.lava import LavaBackend

    network = replace(tiny_network(preset=preset, timesteps=6, num_hidden_layers=1), defaults=RunConfig(stagger=2))
    batch = sentences(*LENGTHS)
    expected = settle(network, batch)
    assert expected.settled is not None
    assert expected.latency_steps > 16, "one part only"
    with LavaBackend(network, network.run_config("settling"), slots=32) as backend:
        run = backend.run(batch, record=True)
        assert_same(run, expected)
        assert run.settled is not None
        assert run.latency_steps == expected.latency_steps
        assert np.array_equal(run.settled.steps, expected.settled.steps)
        assert run.settled.elements == expected.settled.elements
        assert_same(backend.run(one_of(batch, 2)), settle(network, one_of(batch, 2)))


@pytest.mark.slow
@needs_lava
def test_lava_agrees_on_an_odd_network_and_keeps_the_limit() -> None:
    from spk2loihi.data import Encoded
    from spk2loihi.simulators.lava import LavaBackend

    network, batch = replace(odd_network(), defaults=RunConfig(stagger=0)), sentences(7, 5)
    texts = [Encoded(batch.input_ids[i, :n], batch.token_type_ids[i, :n]) for i, n in enumerate(batch.lengths)]
    with LavaBackend(network, network.run_config("settling")) as lava:
        result = verify(SettlingEmulator(network), lava, texts, batch_size=1)
    assert (result.mismatches, result.samples) == (0, 2)
    with (
        LavaBackend(network, network.run_config("settling", timesteps=5)) as lava,
        pytest.raises(UserError, match="not silent after 5 steps"),
    ):
        lava.run(batch)


def test_verify_finds_a_wrong_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends later, or earlier, is a mismatch and not an error."""
    network = tiny_network()
    other = replace(network, stages=(replace(network.stages[0], signed=False), *network.stages[1:]))
    result = verify(SettlingEmulator(network), SettlingEmulator(other), sentences_of(random_batch()))
    assert result.mismatches > 0
    assert result.first_mismatch["layer"] == "embedding"
