"""Run sentences through a backend: predictions, score, counters."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.data import Encoded, Examples, collate, length_sorted_batches, predictions, score, tokenise
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import Encoding, Schedule
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.counters import StageOps, count_operations


@dataclass
class Simulation:
    """What sentences did, and what they cost, in all.

    Attributes:
        backend, schedule, encoding: what they ran on, and how.
        timesteps: T, or the steps of a pipelined run.
        logits: readout membranes (N, labels) in the order of the examples; times ``network.readout.unit`` they are the
            student's logits.
        stages: counters of every stage, summed over the sentences.
        spikes: sum of |n| by stage.
        latency_steps: of the slowest sentence; all take the same number unless the schedule is settling.
        mean_latency_steps: of the average sentence.
        truncated: sentences cut to the network's token limit.
        labels: true classes or values, (N,); None where there are none.
        metrics: what `scores` holds, the main metric first.
    """

    backend: str
    schedule: Schedule
    encoding: Encoding
    timesteps: int
    logits: NDArray[np.int64]
    stages: list[StageOps]
    spikes: dict[str, int]
    latency_steps: int
    mean_latency_steps: float
    wall_s: float
    truncated: int = 0
    labels: NDArray[Any] | None = None
    metrics: tuple[str, ...] = ()

    def __add__(self, other: Simulation) -> Simulation:
        """Of both sets of sentences, one after another; ``wall_s`` is that of the slower."""
        mine, theirs = len(self.logits), len(other.logits)
        return replace(
            self,
            logits=np.concatenate([self.logits, other.logits]),
            stages=[a + b for a, b in zip(self.stages, other.stages, strict=True)],
            spikes={name: n + other.spikes[name] for name, n in self.spikes.items()},
            latency_steps=max(self.latency_steps, other.latency_steps),
            mean_latency_steps=(mine * self.mean_latency_steps + theirs * other.mean_latency_steps) / (mine + theirs),
            truncated=self.truncated + other.truncated,
            wall_s=max(self.wall_s, other.wall_s),
        )

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Predicted classes, or values of a regression, (N,)."""
        return predictions(self.logits)

    @property
    def scores(self) -> dict[str, float]:
        """Score by metric; empty without labels."""
        return {} if self.labels is None else {m: score(m, self.predictions, self.labels) for m in self.metrics}

    @property
    def synops(self) -> dict[str, float]:
        """Synaptic operations: in all, a sentence, by kind, and those of the same-shape ANN."""
        linear = sum(ops.synops for ops in self.stages)
        attention = sum(ops.attention_synops for ops in self.stages)
        return {
            "total": linear + attention,
            "per_sample": (linear + attention) / len(self.logits),
            "linear": linear,
            "attention": attention,
            "dense_equivalent": sum(ops.dense for ops in self.stages),
        }

    @property
    def mean_rate(self) -> float:
        """Spikes a neuron and time step of a window (or of a pipelined run)."""
        neurons = sum(ops.neurons for ops in self.stages if ops.kind != "readout")
        return sum(self.spikes.values()) / (neurons * self.timesteps)

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``simulate --json``."""
        metric = self.metrics[0] if self.metrics else None
        numbers = {
            "backend": self.backend,
            "schedule": self.schedule,
            "encoding": self.encoding,
            "timesteps": self.timesteps,
            "samples": len(self.logits),
            "metric": metric,
            "score": self.scores.get(metric or ""),
            "latency_steps": self.latency_steps,
            "mean_latency_steps": self.mean_latency_steps,
            "spikes": sum(self.spikes.values()),
            "messages": sum(ops.messages for ops in self.stages),
            "mean_rate": self.mean_rate,
            "synops": self.synops,
            "truncated": self.truncated,
            "wall_s": self.wall_s,
        }
        return numbers if self.labels is None else {**numbers, "scores": self.scores}


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
    network, timeline = backend.network, backend.timeline
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
        counted = count_operations(timeline, run.sums, batch.lengths, run.settled)
        stages = [a + b for a, b in zip(stages, counted, strict=True)] if stages else counted
        for name, n in run.sums.items():
            spikes[name] = spikes.get(name, 0) + n.spikes
        advance(len(index))
    wall = time.perf_counter() - started
    return Simulation(
        backend=backend.name,
        schedule=timeline.schedule,
        encoding=timeline.encoding,
        timesteps=timeline.steps if timeline.schedule == "pipelined" else network.timesteps,
        logits=np.stack(rows),
        stages=stages,
        spikes=spikes,
        latency_steps=max(latencies),
        mean_latency_steps=sum(latencies) / len(latencies),
        wall_s=wall,
    )
