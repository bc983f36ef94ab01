"""The emulator: counts, steps, torch trace, padding, batches, SynOps."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.choices import PRESETS
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.export.trace import integer_trace
from spk2loihi.limits import BIAS_MAX, MEMBRANE_MAX
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.operation_counter import count_operations
from support.networks import random_batch, sentences_of, timeline, tiny_network, tiny_student


def payload(stage: Stage, u: np.ndarray, chip: bool) -> np.ndarray:
    """Of one drive after another, in Python's integers and fractions."""
    r, u = stage.requantise, np.moveaxis(u, 0, -1) if stage.is_scores else u
    assert r is not None
    out = np.zeros_like(u)
    for at, drive in np.ndenumerate(u):
        weight = int(r.weight[at[-1]])
        drive = int(drive) if chip else int(drive) + 2 * math.floor(Fraction(2**r.shift, 4 * weight) + Fraction(1, 2))
        exact = Fraction(max(drive, 0) if r.relu else drive) * weight / 2**r.shift
        v = math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact > 0 else -1) if chip else math.floor(exact)
        out[at] = v if abs(v) <= r.limit else 0
    return np.moveaxis(out, -1, 0) if stage.is_scores else out


def reference_counts(network: Network, batch: TokenBatch, sample: int, chip: bool = False) -> dict[str, np.ndarray]:
    """One sentence without padding in plain numpy integers, stage by stage, from the definition."""
    length, t = int(batch.lengths[sample]), network.timesteps
    ids, types = batch.input_ids[sample, :length], batch.token_type_ids[sample, :length]
    counts: dict[str, np.ndarray] = {}
    for stage in network.stages:
        rows = 1 if stage.tokens == "first" else length
        if not stage.depth:
            e = network.embedding
            u = e.word[ids] + e.position[:length] + e.token_type[types]
        elif stage.attention is not None:
            heads = range(stage.heads)
            left, right = counts[stage.attention.left], counts[stage.attention.right]
            width = right.shape[-1] // stage.heads
            cut = [slice(h * width, (h + 1) * width) for h in heads]
            if stage.is_scores:
                u = np.stack([left[:rows, cut[h]] @ right[:, cut[h]].T for h in heads])
                u = u if stage.bias is None else u + stage.bias[:, None, None]
            else:
                u = np.concatenate([left[h] @ right[:, cut[h]] for h in heads], axis=1)
        else:
            u = np.tile(stage.bias * (1 if network.streamed else t), (rows, 1))
            for group in stage.synapses:
                n = counts[group.source][:rows]
                w = np.diag(group.weight) if group.one_to_one else group.weight
                u = u + n @ (w * 2**group.exponent).T
        if not stage.fires:
            counts[stage.name] = u
            break
        if stage.requantise is not None:
            counts[stage.name] = payload(stage, u, chip)
            continue
        z = u if stage.soma is None else stage.soma(u)
        low = -t if stage.signed else 0
        counts[stage.name] = np.clip((z + stage.threshold // 2) // stage.threshold, low, t)
    return counts


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", range(3))
def test_counts_are_the_definition(seed: int, preset: str) -> None:
    network, batch = tiny_network(seed, timesteps=(8, 16, 3)[seed], preset=preset), random_batch(seed)
    run = Emulator(network).run(batch)
    for sample, length in enumerate(batch.lengths):
        expected = reference_counts(network, batch, sample)
        assert np.array_equal(run.logits[sample], expected[network.readout.name][0])
        for name, n in run.counts.items():
            own = n[sample][..., :length] if network[name].is_scores else n[sample]
            rows = expected[name].shape[-2]
            assert np.array_equal(own[..., :rows, :], expected[name]), name
            assert not own[..., rows:, :].any(), "padding fired"


@pytest.mark.parametrize("seed", range(3))
def test_payloads_of_the_chip_are_the_definition(seed: int) -> None:
    network, batch = tiny_network(seed, timesteps=(127, 16, 3)[seed], preset="stock"), random_batch(seed)
    runs = [Emulator(network, network.run_config(arithmetic=name)).run(batch) for name in ("lava", "chip")]
    assert any((runs[0].counts[name] != n).any() for name, n in runs[1].counts.items()), "there is one arithmetic"
    for sample, length in enumerate(batch.lengths):
        expected = reference_counts(network, batch, sample, chip=True)
        assert np.array_equal(runs[1].logits[sample], expected[network.readout.name][0])
        for name, n in runs[1].counts.items():
            rows = expected[name].shape[-2]
            own = n[sample][..., :rows, :length] if network[name].is_scores else n[sample][:rows]
            assert np.array_equal(own, expected[name]), name


@pytest.mark.parametrize("bits", [1, 1.58, 4, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_torch_trace_is_the_emulator(preset: str, bits: float) -> None:
    """The torch model's own sweep gives the same spikes, hence the same SynOps, as the integer network."""
    model, batch = tiny_student(preset=preset, weight_bits=bits), random_batch()
    network = fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {})
    counts, readout = integer_trace(model, network, batch)
    run = Emulator(network).run(batch)
    assert np.array_equal(readout, run.logits)
    for name, n in counts.items():
        assert np.array_equal(n, run.counts[name]), name
    events = {name: (n != 0) if network.streamed else np.abs(n) for name, n in counts.items()}
    assert count_operations(timeline(network), events, batch.lengths) == count_operations(
        timeline(network), run.events, batch.lengths
    )


@pytest.mark.parametrize("bits", [1.58, 8])
def test_a_large_bias_makes_weights_coarser(bits: float) -> None:
    """A regression's mean passes 13 bits in units that just fit the weights; exported, it is the largest that fits."""
    model, batch = tiny_student(weight_bits=bits), random_batch()
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([-1e5, 20.0]))
    network = fold(model, "{}", {"labels": ["no", "yes"], "metric": "accuracy"}, {})
    check_limits(network)
    bias = network.readout.bias
    assert bias is not None and bias.min() == -BIAS_MAX
    _, readout = integer_trace(model, network, batch)
    assert np.array_equal(readout, Emulator(network).run(batch).logits)
    assert np.abs(readout[:, 0] * network.readout.unit + 1e5).max() < 20


@pytest.mark.parametrize("encoding", ["rate", "graded"])
def test_steps_are_counts(network: Network, encoding: str) -> None:
    result = verify(
        create_backend("emulator", network, RunConfig(encoding=encoding)),
        create_backend("stepped", network, RunConfig(encoding=encoding)),
        sentences_of(random_batch()),
        batch_size=3,
    )
    assert result.mismatches == 0
    assert result.spikes_compared > 5_000


def test_verify_finds_one_changed_weight(network: Network) -> None:
    stages = list(network.stages)
    index = next(i for i, s in enumerate(stages) if s.name == "layer.1.query")
    group = stages[index].synapses[0]
    weight = group.weight.copy()
    weight[3] = -weight[3]
    stages[index] = replace(stages[index], synapses=(replace(group, weight=weight),))
    broken = replace(network, stages=tuple(stages))
    result = verify(Emulator(network), Emulator(broken), sentences_of(random_batch()))
    assert result.mismatches > 0
    assert result.first_mismatch["layer"] == "layer.1.query"
    assert result.first_mismatch["neuron"][-1] == 3


@pytest.mark.parametrize(("schedule", "engine"), [("windowed", "count"), ("windowed", "stepped"), ("pipelined", None)])
def test_padding_batch_size_and_order_change_no_spike(network: Network, schedule: str, engine: str | None) -> None:
    batch = random_batch()
    together = Emulator(network, RunConfig(schedule), engine=engine).run(batch)
    for i, length in enumerate(batch.lengths):
        alone = Emulator(network, RunConfig(schedule), engine=engine).run(
            TokenBatch(
                batch.input_ids[i : i + 1, :length], batch.token_type_ids[i : i + 1, :length], batch.lengths[i : i + 1]
            )
        )
        assert np.array_equal(alone.logits[0], together.logits[i])
        for name, n in alone.counts.items():
            rows, columns = n.shape[-2:]
            assert np.array_equal(n[0], together.counts[name][i][..., :rows, :columns]), name
            assert np.array_equal(alone.events[name][0], together.events[name][i][..., :rows, :columns])
            assert np.abs(together.counts[name][i]).sum() == np.abs(n).sum(), f"padding of {name} fired"
    order = np.array([2, 0, 3, 1])
    shuffled = Emulator(network, RunConfig(schedule), engine=engine).run(
        TokenBatch(batch.input_ids[order], batch.token_type_ids[order], batch.lengths[order])
    )
    assert np.array_equal(shuffled.logits, together.logits[order])


def reference_pipelined(network: Network, batch: TokenBatch, sample: int, steps: int, limit: int) -> dict:
    """One sentence without padding in plain numpy integers, step by step, from the definition: spikes of each step."""
    length, window = int(batch.lengths[sample]), network.timesteps
    trains: dict[str, np.ndarray] = {}
    for stage in network.stages[:-1]:
        rows = 1 if stage.tokens == "first" else length
        windowed = stage.soma is None and stage.attention is None and stage.depth > 0
        theta = stage.threshold if windowed else stage.threshold * window
        low = -theta if stage.signed else 0
        spikes, u, emitted, total = [], theta // 2, 0, 0
        for t in range(steps):
            if stage.attention is not None:  # from scratch: the product of all spikes so far
                order, sums = 2, {name: train[: t + 1].sum(0) for name, train in trains.items()}
                left, right = sums[stage.attention.left], sums[stage.attention.right]
                cut = np.split(right, stage.heads, axis=1)
                if stage.is_scores:
                    total = np.stack([a @ b.T for a, b in zip(np.split(left, stage.heads, axis=1), cut, strict=True)])
                else:
                    total = np.concatenate([a @ b for a, b in zip(left, cut, strict=True)], axis=1)
            elif stage.depth:
                order, step = 1, np.tile(stage.bias, (rows, 1))
                for group in stage.synapses:
                    w = np.diag(group.weight) if group.one_to_one else group.weight
                    step = step + trains[group.source][t][:rows] @ (w * 2**group.exponent).T
                total = total + step
            else:
                ids, types, e = (
                    batch.input_ids[sample, :length],
                    batch.token_type_ids[sample, :length],
                    network.embedding,
                )
                order, total = 0, e.word[ids] + e.position[:length] + e.token_type[types]
            if windowed:
                u = np.clip(u + step, -limit, limit)
                membrane = u
            else:
                mean = total * window**order // (t + 1) ** order
                z = mean if stage.soma is None else stage.soma(mean)
                membrane = theta // 2 + (t + 1) * np.clip(z, low, theta) - theta * emitted
            s = (membrane >= theta).astype(int) - ((membrane < 0) & stage.signed)
            u, emitted = u - theta * s, emitted + s
            spikes.append(s)
        trains[stage.name] = np.stack(spikes)
    return trains


@pytest.mark.parametrize("limit", [MEMBRANE_MAX, 200])
def test_pipelined_spikes_are_the_definition(network: Network, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of membranes that saturate, here at a smaller limit than 24 bits."""
    batch, steps = random_batch(lengths=(6, 4)), 20
    unlimited = Emulator(network, RunConfig("pipelined", steps=steps)).run(batch)
    monkeypatch.setattr("spk2loihi.simulators.emulator.emulator.MEMBRANE_MAX", limit)
    run = Emulator(network, RunConfig("pipelined", steps=steps)).run(batch, record=True)
    saturates = any((run.counts[name] != n).any() for name, n in unlimited.counts.items())
    assert saturates == (limit < MEMBRANE_MAX)
    assert run.trains is not None
    for sample, length in enumerate(batch.lengths):
        for name, expected in reference_pipelined(network, batch, sample, steps, limit).items():
            own = run.trains[name][:, sample][..., :length] if network[name].is_scores else run.trains[name][:, sample]
            assert np.array_equal(own[..., : expected.shape[-2], :], expected), name


@pytest.mark.slow
def test_pipelined_run_approaches_the_equilibrium(network: Network) -> None:
    """As about 1/T, whatever precedes."""
    batch = random_batch()
    reference, _ = Emulator(network).equilibrium(batch, resolution=1024)
    most = network.timesteps * 1024

    def error(stage: str, steps: int) -> float:
        run = Emulator(network, RunConfig("pipelined", steps=steps)).run(batch)
        return float(np.abs(run.counts[stage] / steps - reference[stage].numpy() / most).mean())

    assert error("layer.0.key", 256) < error("layer.0.key", 16) / 12
    assert error("layer.0.ffn_out", 256) < error("layer.0.ffn_out", 16) / 8
    assert error("pooler", 256) < error("pooler", 16) / 6


def test_convergence_is_that_of_separate_runs(network: Network) -> None:
    """One recorded run serves every length: errors and scores are those of a run of each."""
    rng = np.random.default_rng(9)
    batch = random_batch()
    encoded, steps = sentences_of(batch), (1, 3, 11)
    labels = [float(x) for x in rng.integers(0, 2, len(encoded))]
    measured = measure_convergence(network, encoded, labels, steps)
    reference, _ = Emulator(network).equilibrium(batch, 256)
    for i, t in enumerate(steps):
        run = Emulator(network, RunConfig("pipelined", steps=t)).run(batch)
        assert measured["score"][i] == np.mean(run.logits.argmax(1) == labels)
        for name in ("layer.0.query", "pooler"):
            rows = batch.mask[:, :1] if name == "pooler" else batch.mask
            difference = np.abs(run.counts[name] / t - reference[name].numpy() / (256 * network.timesteps))
            expected = difference.sum() / (rows.sum() * run.counts[name].shape[-1])
            assert measured["mean_abs_error"][name][i] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("encoding", ["rate", "graded"])
@pytest.mark.parametrize("schedule", ["windowed", "pipelined"])
def test_synops_recounted_from_spikes(network: Network, schedule: str, encoding: str) -> None:
    """Every spike of every step is followed to every synapse it has, one at a time."""
    if schedule == "pipelined" and encoding == "graded":
        with pytest.raises(UserError, match="graded spikes"):
            Emulator(network, RunConfig(schedule, encoding))
        return
    batch = random_batch(lengths=(5, 3))
    backend = Emulator(network, RunConfig(schedule, encoding), engine="stepped")
    run = backend.run(batch, record=True)
    assert run.trains is not None
    counted = {o.name: o for o in count_operations(backend.timeline, run.events, batch.lengths)}
    for stage in network.stages:
        synops = attention = 0
        for sample, length in enumerate(batch.lengths):
            targets = 1 if stage.tokens == "first" else int(length)
            for group in stage.synapses:
                w = np.diag(group.weight) if group.one_to_one else group.weight
                for _, token, channel in np.argwhere(run.trains[group.source][:, sample]):
                    synops += int(np.count_nonzero(w[:, channel])) if token < targets else 0
            if stage.attention is None:
                continue
            left = np.argwhere(run.trains[stage.attention.left][:, sample])
            right = np.argwhere(run.trains[stage.attention.right][:, sample])
            width = network[stage.attention.right].channels // stage.heads
            if stage.is_scores:
                attention += sum(int(length) for _, token, _ in left if token < targets) + len(right) * targets
            else:
                attention += len(left) * width + (len(right) * targets if schedule == "pipelined" else 0)
        assert (counted[stage.name].synops, counted[stage.name].attention_synops) == (synops, attention), stage.name


def test_overlong_pipelined_runs_are_refused(network: Network) -> None:
    with pytest.raises(UserError, match="exceeds 8388607"):
        Emulator(network, RunConfig("pipelined", steps=1_000_000))
    with pytest.raises(UserError, match="windows of 8 steps"):
        Emulator(network, RunConfig(steps=9))
    with pytest.raises(UserError, match="in the windowed and streamed schedules only"):
        Emulator(network, RunConfig("pipelined"), engine="count")
