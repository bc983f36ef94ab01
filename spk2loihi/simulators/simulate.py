"""Run sentences through a backend: predictions, score, counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.data import Encoded, Examples, collate, length_sorted_batches, predictions, score, tokenise
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.counters import StageOps, count_operations


@dataclass
class Simulation:
    """Totals over all sentences.

    Attributes:
        logits: readout membranes (N, labels) in the order of the examples; times ``network.readout.unit`` they are the
            student's logits.
        latency_steps: of the slowest sentence; all take the same number unless the schedule is settling.
        mean_latency_steps: of the average sentence.
        truncated: sentences cut to the network's token limit.
    """

    logits: NDArray[np.int64]
    stages: list[StageOps]
    spikes: dict[str, int] = field(default_factory=dict)  # sum of |n| by stage
    latency_steps: int = 0
    mean_latency_steps: float = 0.0
    truncated: int = 0
    wall_s: float = 0.0

    def __add__(self, other: Simulation) -> Simulation:
        """Of both sets of sentences, one after another; ``wall_s`` is that of the slower."""
        mine, theirs = len(self.logits), len(other.logits)
        return Simulation(
            np.concatenate([self.logits, other.logits]),
            [a + b for a, b in zip(self.stages, other.stages, strict=True)],
            {name: n + other.spikes[name] for name, n in self.spikes.items()},
            max(self.latency_steps, other.latency_steps),
            (mine * self.mean_latency_steps + theirs * other.mean_latency_steps) / (mine + theirs),
            self.truncated + other.truncated,
            max(self.wall_s, other.wall_s),
        )

    @property
    def predictions(self) -> NDArray[np.int64]:
        return predictions(self.logits)


def encode(network: Network, examples: Examples, *, refuse_long: bool = False) -> tuple[list[Encoded], int]:
    """Token ids with the network's own tokenizer, and how many texts were cut to its limit."""
    tokenised = tokenise(
        Tokenizer.from_str(network.tokenizer),
        examples,
        network.max_tokens,
        on_long="refuse" if refuse_long else "truncate",
    )
    return tokenised.encoded, tokenised.truncated


def pad_id(network: Network) -> int:
    return int(network.config.get("pad_token_id") or 0)


def simulate(
    backend: Backend, encoded: list[Encoded], batch_size: int = 64, advance: Callable[[int], None] = lambda n: None
) -> Simulation:
    """Run ``encoded`` sentences; results do not depend on ``batch_size``.

    Args:
        advance: called with the number of sentences finished after every batch.
    """
    if not encoded:
        raise UserError("there are 0 sentences to simulate, and at least 1 is needed: name a data set or give --text")
    network = backend.network
    started = time.perf_counter()
    rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(encoded)
    stages: list[StageOps] = []
    spikes: dict[str, int] = {}
    latencies: list[int] = []
    for index in length_sorted_batches(np.array([len(e) for e in encoded]), batch_size):
        batch = collate([encoded[i] for i in index], pad_id(network))
        run = backend.totals(batch)
        for i, row in zip(index, run.logits, strict=True):
            rows[i] = row
        latencies += [run.latency_steps] * len(index) if run.settled is None else run.settled.steps.tolist()
        counted = count_operations(network, run.sums, batch.lengths, backend.schedule, run.steps, run.settled)
        stages = [a + b for a, b in zip(stages, counted, strict=True)] if stages else counted
        for name, n in run.sums.items():
            spikes[name] = spikes.get(name, 0) + n.spikes
        advance(len(index))
    wall = time.perf_counter() - started
    mean = sum(latencies) / len(latencies)
    return Simulation(np.stack(rows), stages, spikes, max(latencies), mean, wall_s=wall)


def summary(backend: Backend, simulation: Simulation, metric: str, labels: Sequence[float] | None) -> dict[str, Any]:
    """The numbers `simulate --json` carries, but the file's name and the versions."""
    samples = len(simulation.logits)
    firing = {stage.name for stage in backend.network.stages if stage.fires}
    neurons = sum(ops.neurons for ops in simulation.stages if ops.name in firing)
    window = backend.steps if backend.schedule == "pipelined" else backend.network.timesteps
    total = sum(ops.synops + ops.attention_synops for ops in simulation.stages)
    spikes = sum(simulation.spikes.values())
    return {
        "backend": backend.name,
        "schedule": backend.schedule,
        "encoding": backend.encoding,
        "timesteps": window,
        "samples": samples,
        "metric": metric,
        "score": None if labels is None else score(metric, simulation.predictions, np.array(labels)),
        "latency_steps": simulation.latency_steps,
        "mean_latency_steps": simulation.mean_latency_steps,
        "spikes": spikes,
        "messages": sum(ops.messages for ops in simulation.stages),
        "mean_rate": spikes / (neurons * window),
        "synops": {
            "total": total,
            "per_sample": total / samples,
            "linear": sum(ops.synops for ops in simulation.stages),
            "attention": sum(ops.attention_synops for ops in simulation.stages),
            "dense_equivalent": sum(ops.dense for ops in simulation.stages),
        },
        "truncated": simulation.truncated,
        "wall_s": simulation.wall_s,
    }
