"""Stages that a student of BERT has not: a projected embedding, scores by distance, other activations."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.export.trace import integer_trace
from spk2loihi.network import Network, RunConfig, read_network, write_network
from spk2loihi.simulators import create_backend, verify
from spk2loihi.simulators.emulator.emulator import Emulator
from support.lava_networks import needs_lava
from support.networks import random_batch, sentences_of, tiny_student

OTHERS = {"embedding_size": 12, "num_hidden_layers": 1}
BOTH = {
    "gelu": {**OTHERS, "head": "gelu", "relative_positions": True},
    "relu": {**OTHERS, "head": "relu", "hidden_act": "relu", "relative_positions": True},
}
TASK = {"kind": "files", "name": "tiny", "train_file": "/a.csv", "labels": ["no", "yes"], "metric": "accuracy"}


def folded(preset: str, activation: str) -> tuple[object, Network]:
    changes = dict(BOTH[activation])
    if preset == "stock":
        del changes["relative_positions"]
    model = tiny_student(preset=preset, **changes)
    if model.relative is not None:
        with torch.no_grad():
            model.relative.mul_(30)  # or it would drown in the scores of these weights
    return model, fold(model, '{"version": "1.0", "model": {"type": "WordLevel", "vocab": {}, "unk_token": "u"}}', TASK)


@pytest.mark.parametrize("activation", BOTH)
@pytest.mark.parametrize("preset", ["spikingbert", "neurocore", "stock"])
def test_torch_trace_is_the_emulator(preset: str, activation: str) -> None:
    model, network = folded(preset, activation)
    batch = random_batch()
    counts, readout = integer_trace(model, network, batch)  # type: ignore[arg-type]
    run = Emulator(network).run(batch)
    assert np.array_equal(readout, run.logits)
    for name, n in counts.items():
        assert np.array_equal(n, run.counts[name]), name
        assert n.any(), f"{name} is silent"
    assert ("projection" in counts) and network.input.channels == 12


@needs_lava
@pytest.mark.parametrize(("preset", "activation"), [("spikingbert", "gelu"), ("neurocore", "relu")])
@pytest.mark.parametrize(
    ("schedule", "names"),
    [("windowed", ("stepped", "cpu")), ("pipelined", ("stepped", "cpu")), ("settling", ("emulator", "cpu"))],
)
def test_backends_agree(schedule: str, names: tuple[str, str], preset: str, activation: str) -> None:
    _, network = folded(preset, activation)
    config = RunConfig(schedule, steps=9 if schedule == "pipelined" else None)  # type: ignore[arg-type]
    with (
        closing(create_backend(names[0], network, config)) as a,
        closing(create_backend(names[1], network, config)) as b,
    ):
        result = verify(a, b, sentences_of(random_batch(lengths=(7, 4, 5))))
    assert result.mismatches == 0 and result.spikes_compared > 500


def test_settling_ends_at_the_counts_of_windows() -> None:
    _, network = folded("spikingbert", "gelu")
    batch = random_batch()
    windowed = Emulator(network).run(batch)
    with closing(create_backend("emulator", network, RunConfig("settling"))) as backend:
        settled = backend.run(batch)
    assert np.array_equal(settled.logits, windowed.logits)


def test_distance_decides() -> None:
    """Without its drive by distance the network is another, and the drive depends on who is left and who is right."""
    _, network = folded("spikingbert", "gelu")
    batch = random_batch()
    scores = next(stage for stage in network.stages if stage.is_scores)
    assert scores.relative is not None and scores.relative.shape == (2, 31)
    counts = Emulator(network).run(batch).counts[scores.name]
    for other in (None, scores.relative[:, ::-1].copy()):
        stages = tuple(replace(s, relative=other) if s is scores else s for s in network.stages)
        changed = Emulator(replace(network, stages=stages)).run(batch).counts[scores.name]
        assert not np.array_equal(changed, counts)
    constant = scores.constant(3, 4)
    assert all(constant[h, i, j] == scores.relative[h, j - i + 15] for h in (0, 1) for i in range(3) for j in range(4))
    with pytest.raises(ValueError, match="17 tokens"):
        scores.constant(1, 17)


def test_file_keeps_it(tmp_path: Path) -> None:
    _, network = folded("spikingbert", "relu")
    write_network(network, tmp_path / "model.net")
    again = read_network(tmp_path / "model.net")
    scores = next(stage for stage in again.stages if stage.is_scores)
    assert np.array_equal(scores.relative, network[scores.name].relative)  # type: ignore[arg-type]
    assert Emulator(again).run(random_batch()).logits.tolist() == Emulator(network).run(random_batch()).logits.tolist()
    wrong = tuple(replace(s, relative=s.relative[:, 1:]) if s.relative is not None else s for s in network.stages)
    write_network(replace(network, stages=wrong), tmp_path / "wrong.net")
    with pytest.raises(UserError, match="drive by distance"):
        read_network(tmp_path / "wrong.net")
