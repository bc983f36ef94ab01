"""Networks, batches and comparisons for the tests of Lava and of the schedules."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.soma import Scale
from spk2loihi.simulators.backend import Run

T = 4
HEADS = 2
VOCABULARY = 50
LENGTHS = (10, 6, 3, 5, 4)

needs_lava = pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="Lava needs Python 3.10")


def random_network(preset: str = "spikingbert") -> Network:
    """A folded student of 2 layers with random weights, its thresholds calibrated on random sentences."""
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=32,
        max_position_embeddings=32,
        max_tokens=16,
        timesteps=T,
        preset=preset,
    )
    model = SpikingBertForSequenceClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    ids = torch.randint(1, VOCABULARY, (4, 12))
    with model.calibration():
        model(ids, torch.ones_like(ids))
    return fold(model, "{}", {})


def odd_network() -> Network:
    """Everything a folded student has not: delays before matrices, several matrices to a stage, a late left side of
    attention, unsigned stages, odd thresholds, exponents."""
    rng = np.random.default_rng(3)

    def group(source: str, d_out: int, d_in: int, delay: int = 0) -> SynapseGroup:
        return SynapseGroup(source, rng.integers(-9, 10, (d_out, d_in)), rng.integers(0, 3, d_in), delay)

    def skip(source: str, weight: NDArray[np.int64], delay: int = 0) -> SynapseGroup:
        return SynapseGroup(source, weight, rng.integers(0, 3, len(weight)), delay)

    def bias(d: int) -> NDArray[np.int64]:
        return rng.integers(-9, 10, d)

    stages = (
        Stage("embedding", 0, 4, 31, soma=Scale(1)),
        Stage("a", 1, 6, 43, (group("embedding", 6, 4),), bias=bias(6), signed=False),
        Stage("b", 2, 4, 107, (group("a", 4, 6),), bias=bias(4)),
        Stage("c", 4, 4, 211, (group("a", 4, 6, delay=2), group("b", 4, 4, delay=1)), bias=bias(4)),
        Stage("s", 6, 2, 17, attention=Attention("scores", "b", "c", 3, 1), heads=2, soma=Scale(2), signed=False),
        Stage("x", 7, 4, 33, attention=Attention("context", "s", "c", right_delay=2), heads=2, soma=Scale(1)),
        Stage("y", 8, 4, 45, (skip("x", np.arange(-2, 2)), skip("b", np.full(4, 7), 5)), bias=bias(4)),
        Stage("out", 9, 3, 1, (group("y", 3, 4),), bias=bias(3), tokens="first", fires=False),
    )
    tables = (rng.integers(-60, 61, (rows, 4)) for rows in (VOCABULARY, 16, 2))
    return Network(T, 16, stages, Embedding(*tables), "{}", {}, {})


def sentences(*lengths: int, seed: int = 0) -> TokenBatch:
    rng = np.random.default_rng(seed)
    ids = np.zeros((len(lengths), max(lengths)), np.int64)
    types = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(1, VOCABULARY, length)
        types[row, length // 2 : length] = 1
    return TokenBatch(ids, types, np.array(lengths))


def assert_same(run: Run, expected: Run) -> None:
    """Equal in every stage, step and neuron; names the first that differs."""
    assert np.array_equal(run.logits, expected.logits)
    assert list(run.counts) == list(expected.counts)
    for name in expected.counts:
        assert np.array_equal(run.counts[name], expected.counts[name]), f"counts of {name}"
        assert np.array_equal(run.events[name], expected.events[name]), f"events of {name}"
        if run.trains is not None and expected.trains is not None:
            differs = np.argwhere(run.trains[name] != expected.trains[name])
            assert not differs.size, f"{name}, step and neuron {differs[0]}"
