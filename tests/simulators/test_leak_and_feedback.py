"""Leaky networks and networks with feedback: emulator, Lava, torch and a reference in plain integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.models.dynamics import spiking_dynamics
from spk2loihi.network.network import Network
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.operation_counter import count_operations
from support.lava_networks import needs_lava
from support.networks import random_batch, sentences_of, tiny_network, tiny_student
from support.pipelined_reference import Reference

KINDS = {
    "leak": {"leak": 410 / 4096},
    "feedback": {"feedback": 0.8},
    "both": {"leak": 123 / 4096, "feedback": 0.8},
    "neither": {},
}
STEPS = 24


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_spikes_are_those_of_the_equations(kind: str, preset: str) -> None:
    network, batch = tiny_network(1, preset=preset, **KINDS[kind]), random_batch(1)
    run = Emulator(network, network.run_config("pipelined", timesteps=STEPS)).run(batch, record=True)
    assert run.trains is not None
    for sample in (1, 2):
        length = int(batch.lengths[sample])
        expected = Reference(network, batch, sample, STEPS)
        for name, train in expected.trains.items():
            own = run.trains[name][:, sample]
            own = own[..., :length] if network[name].is_scores else own
            rows = train[0].shape[-2]
            assert np.array_equal(own[..., :rows, :], np.stack(train).astype(np.int64)), name
            assert not own[..., rows:, :].any(), "padding fired"
        assert np.array_equal(run.logits[sample], expected.answer[0])


@needs_lava
@pytest.mark.parametrize("kind", ["leak", "feedback", "both"])
def test_lava_spikes_as_the_emulator_does(kind: str) -> None:
    preset = "neurocore" if kind == "leak" else "spikingbert"
    network = tiny_network(preset=preset, num_hidden_layers=1, timesteps=5, **KINDS[kind])
    with create_backend("cpu", network) as lava:
        compared = verify(create_backend("stepped", network), lava, sentences_of(random_batch()))
    assert compared.first_mismatch is None and compared.mismatches == 0
    neurons = sum(stage.channels for stage in network.stages if stage.fires and not stage.is_scores)
    assert compared.schedule == "pipelined" and compared.spikes_compared > 4 * network.timesteps * neurons


@pytest.mark.parametrize("kind", ["leak", "feedback", "both"])
def test_torch_steps_the_same_linear_neurons(kind: str) -> None:
    """Where the embedding sends the same spikes, the same in floats: exactly, if no leak rounds.

    With a leak a membrane is below its float, in magnitude, by less than a unit a step, so by less than G = 1 / leak in
    all. A spike may differ where the float is that close to one of two thresholds, theta apart: a share of 2 G / theta.
    """
    model, batch = tiny_student(3, **KINDS[kind]).double(), random_batch(3)
    network = fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {})
    ids, mask, types = (torch.from_numpy(x) for x in (batch.input_ids, batch.mask, batch.token_type_ids))
    trains, _ = spiking_dynamics(model, ids, mask.long(), types, schedule="pipelined", steps=STEPS)
    run = Emulator(network, network.run_config(timesteps=STEPS)).run(batch, record=True)
    assert run.trains is not None
    for part in ("query", "key", "value"):
        stage = network[f"layer.0.{part}"]
        ours, theirs = run.trains[stage.name], trains[stage.name].numpy()
        same = (run.trains["embedding"] == trains["embedding"].numpy()).all((0, 3)) & batch.mask  # (B, L)
        assert same.sum() >= 4 and ours[:, same].any(), "no spikes to compare"
        share = 2 / (network.decay / 4096 * stage.threshold) if network.decay else 0
        assert (ours != theirs)[:, same].mean() <= share, stage.name


def test_feedback_is_counted_spike_by_spike() -> None:
    network, batch = tiny_network(feedback=0.8), random_batch()
    weight = network["layer.0.value"].feedback.weight.copy()
    weight[:5, 3] = 0  # an axon with fewer synapses
    network = with_feedback(network, weight=weight)
    emulator = Emulator(network)
    run = emulator.run(batch, record=True)
    (ops,) = [o for o in count_operations(emulator.timeline, run.events, batch.lengths) if o.name == "layer.0.value"]
    stage = network["layer.0.value"]
    expected = 0
    for group in stage.synapses:
        spikes = run.trains[group.source]
        for step, sample, token, axon in np.argwhere(spikes):
            assert spikes[step, sample, token, axon] in (-1, 1)
            expected += np.count_nonzero(group.weight[:, axon])
    assert ops.synops == expected
    assert ops.dense == sum(group.weight.size for group in stage.synapses) * batch.lengths.sum()


def with_feedback(network: Network, **changes: object) -> Network:
    """Another feedback of the first layer's value neurons."""
    stage = network["layer.0.value"]
    assert stage.feedback is not None
    made = replace(stage, synapses=(*stage.forward, replace(stage.feedback, **changes)))
    return replace(network, stages=tuple(made if s.name == stage.name else s for s in network.stages))


@pytest.mark.parametrize("backend", ["emulator", "stepped", "cpu"])
@pytest.mark.parametrize("kind", ["leak", "feedback"])
@pytest.mark.parametrize("schedule", ["windowed", "settling", "streamed"])
def test_no_schedule_but_pipelined(schedule: str, kind: str, backend: str) -> None:
    network = tiny_network(**KINDS[kind])
    words = f"`schedule` is '{schedule}', but a network with leak or feedback runs pipelined: choose that one"
    with pytest.raises(UserError, match=words):
        network.run_config(schedule)
    plain = tiny_network()
    config = replace(plain.defaults, schedule=schedule, encoding="graded" if schedule == "streamed" else "rate")
    with pytest.raises(UserError, match=words):
        create_backend(backend, network, config)


@pytest.mark.parametrize("kind", ["leak", "feedback", "both"])
def test_rates_converge_to_the_solved_equilibrium(kind: str) -> None:
    """Inversely with the steps, or to half a spike in 1 / leak steps; and that is not the one without feedback."""
    network = tiny_network(num_hidden_layers=1, **KINDS[kind])
    sentences = sentences_of(random_batch())
    measured = measure_convergence(network, sentences, [0, 1, 0, 1], (16, 128))
    early, late = measured["mean_abs_error"]["layer.0.value"]
    assert measured["weighted"] == (network.decay > 0)
    assert late < (early / 5 if not network.decay else network.decay / 4096 / 2)
    if network["layer.0.value"].feedback is not None:
        none = with_feedback(network, weight=np.zeros((16, 16), np.int64))
        ours, theirs = (Emulator(n).equilibrium(random_batch(), 256)[0]["layer.0.value"] for n in (network, none))
        assert float((ours - theirs).abs().mean()) / (64 * network.timesteps) > 5 * late, "feedback changes nothing"


def test_defaults_and_latency() -> None:
    network = tiny_network(leak=0.1)
    emulator = Emulator(network)
    run = emulator.run(random_batch())
    assert (network.defaults.schedule, run.steps) == ("pipelined", 4 * network.timesteps)
    assert run.latency_steps == network.readout.depth + 4 * network.timesteps
    assert network.run_config(timesteps=5).steps == 5


def test_a_short_memory_holds_long_runs() -> None:
    """Without a leak attention limits the steps of a run; with one the fast weights stop growing at 1 / leak."""
    plain, leaky = tiny_network(), tiny_network(leak=0.1)
    with pytest.raises(UserError, match=r"exceeds 8388607 \(24 bits\): choose a smaller `timesteps`"):
        Emulator(plain, plain.run_config("pipelined", timesteps=10**6))
    Emulator(leaky, leaky.run_config(timesteps=10**6))
    long = replace(leaky, decay=1, max_tokens=200)  # 2 x 200 x 4096 x 2**12
    with pytest.raises(UserError, match=r"exceeds 524287 \(32 bits\): choose a smaller `timesteps`"):
        Emulator(long, long.run_config(timesteps=10**5))
