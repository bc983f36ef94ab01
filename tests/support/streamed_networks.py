"""Small random streamed networks made by hand, and what they compute, in plain numpy, without a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.models.topology import StageSpec, topology
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.requantise import Requantise
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import Scale

VOCABULARY = 50
CHANNELS = 8
SLOTS = 8
LIMIT = 127

IntArray = NDArray[np.int64]


def streamed_network(
    layers: int = 2, heads: int = 2, slots: int = SLOTS, seed: int = 0, gain: float = 1.0, relu_scores: bool = True
) -> Network:
    """Random weights, requantised so that payloads are of all sizes, and some beyond the range gate.

    Args:
        gain: of every requantising weight; more of it and more is beyond the gate.
    """
    rng = np.random.default_rng(seed)
    stages: list[Stage] = []
    for spec in topology(layers):
        stages.append(_stage(spec, heads, gain, relu_scores, rng))
    tables = (rng.integers(-60, 61, (rows, CHANNELS)) for rows in (VOCABULARY, max(16, slots), 2))
    task = {"labels": ["no", "yes"], "metric": "accuracy", "name": "tiny"}
    defaults = RunConfig("streamed", "graded")
    return Network(LIMIT, slots, tuple(stages), Embedding(*tables), "{}", task, {}, defaults=defaults)


def _stage(spec: StageSpec, heads: int, gain: float, relu_scores: bool, rng: np.random.Generator) -> Stage:
    d, wide = CHANNELS, 3 * CHANNELS // 2
    channels = {"score": heads, "ffn_in": wide, "classifier": 2}.get(spec.part, d)
    common: dict[str, Any] = {"tokens": "first" if spec.first else "all", "threshold": 100}
    if spec.kind == "embedding":
        return Stage(spec.name, 0, d, 5, soma=Scale(2), tokens="all")
    relu = spec.part in ("ffn_in", "pooler") or (spec.part == "score" and relu_scores)
    # Near 2**shift / weight, drives of the size below become payloads of some tens.
    size = {"scores": 1500.0, "context": 3000.0}.get(spec.kind, 12000.0)
    weight = rng.integers(60, 256, channels)
    shift = int(np.log2(weight.mean() * size / (40 * gain)))
    requantise = Requantise(weight, shift, relu, LIMIT)
    if spec.kind in ("scores", "context"):
        attention = Attention("scores" if spec.kind == "scores" else "context", *spec.sources)
        bias = 2 * rng.integers(-200, 400, channels) if spec.kind == "scores" else None
        return Stage(
            spec.name, spec.depth, channels, attention=attention, heads=heads, bias=bias, requantise=requantise,
            signed=not relu, **common,
        )  # fmt: skip
    d_in = wide if spec.part == "ffn_out" else d
    groups = [
        SynapseGroup(spec.sources[0], 2 * rng.integers(-127, 128, (channels, d_in)), np.zeros(d_in, np.int64)),
    ]
    if spec.skip:
        groups.append(SynapseGroup(spec.skip, 2 * rng.integers(-127, 128, d), rng.integers(0, 4, d)))
    bias = 2 * rng.integers(-4000, 4001, channels)
    if spec.kind == "readout":
        return Stage(spec.name, spec.depth, channels, synapses=tuple(groups), bias=bias, fires=False, **common)
    return Stage(
        spec.name, spec.depth, channels, synapses=tuple(groups), bias=bias, requantise=requantise, signed=not relu,
        **common,
    )  # fmt: skip


def reference(
    network: Network, batch: TokenBatch, arithmetic: Arithmetic
) -> tuple[dict[str, IntArray], IntArray, dict[str, int]]:
    """Payloads by stage as batches, the logits (B, labels), and by stage how many values were beyond the range gate."""
    sentences, length = batch.input_ids.shape
    mask = batch.mask
    payloads: dict[str, IntArray] = {}
    beyond: dict[str, int] = {}
    e = network.embedding
    u: IntArray = e.word[batch.input_ids] + e.position[:length] + e.token_type[batch.token_type_ids]
    first = network.stages[0]
    z = u if first.soma is None else first.soma(u)
    n = ((z + first.threshold // 2) // first.threshold).clip(-LIMIT, LIMIT)
    payloads[first.name] = n * mask[..., None]
    for stage in network.stages[1:]:
        rows = 1 if stage.tokens == "first" else length
        exists = mask[:, :rows, None]  # (B, rows, 1)
        if stage.attention is None:
            u = np.zeros((sentences, rows, stage.channels), np.int64)
            for group in stage.synapses:
                x = payloads[group.source][:, :rows]
                u += x * group.scaled if group.one_to_one else x @ group.scaled.T
        else:
            left, right = (payloads[name] for name in stage.sources)
            right = right.reshape(sentences, length, stage.heads, -1)
            if stage.is_scores:
                left = left[:, :rows].reshape(sentences, rows, stage.heads, -1)
                u = np.einsum("bihc,bjhc->bijh", left, right)  # the channel last
                exists = exists[..., None] & mask[:, None, :, None]
            else:
                u = np.einsum("bhij,bjhc->bihc", left, right).reshape(sentences, rows, stage.channels)
        if stage.bias is not None:
            u = u + stage.bias * exists
        if not stage.fires:
            return payloads, u[:, 0], beyond
        assert stage.requantise is not None
        n = stage.requantise.payload(u, arithmetic, exists) * exists
        open_gate = _ungated(stage.requantise, u, arithmetic, exists)
        beyond[stage.name] = int((np.abs(open_gate * exists) > LIMIT).sum())
        payloads[stage.name] = n.transpose(0, 3, 1, 2) if stage.is_scores else n
    raise AssertionError("no readout")


def _ungated(requantise: Requantise, u: IntArray, arithmetic: Arithmetic, exists: Any) -> IntArray:
    """The same written once more, without the gate, in floats of 53 bits, which hold every product."""
    if arithmetic == "lava":
        u = u + requantise.half * exists
    if requantise.relu:
        u = np.maximum(u, 0)
    v = u * requantise.weight / 2.0**requantise.shift
    rounded = np.floor(v) if arithmetic == "lava" else np.sign(v) * np.floor(np.abs(v) + 0.5)
    return rounded.astype(np.int64)
