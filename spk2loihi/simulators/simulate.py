"""Run sentences through a backend: predictions, score, counters."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.compile_time import compile_seconds
from spk2loihi.data import (
    Encoded,
    Examples,
    TaskSpec,
    answer_of,
    collate,
    formatted,
    length_sorted_batches,
    predictions,
    score,
    targets,
    tokenise,
)
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.simulators.backend import Backend, stacked
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.operation_counter import OperationCounter

logger = logging.getLogger(__name__)

NO_LABEL = "(no label)"
"""Answer of a sentence that has none of several labels."""


@dataclass(frozen=True)
class Prediction:
    """What the readout says of one sentence.

    Attributes:
        label: the predicted class, the value of a regression, several labels parted by " | " (or `NO_LABEL`), or the
            words with their tags, ``word/TAG``.
        membrane: of the readout, (labels,) integers; of tags for each word.
        logits: the same in the student's units, by label; empty for tags.
    """

    text: str
    label: str
    membrane: list[Any]
    logits: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Simulation:
    """What sentences did, and what they cost, in all.

    Attributes:
        backend, schedule, encoding: what they ran on, and how.
        timesteps: T, or the steps of a pipelined run.
        logits: readout membranes (N, labels) in the order of the examples, or (N, L, labels) of tags; times
            ``network.readout.unit`` they are the student's logits.
        stages: counters of every stage, summed over the sentences.
        spikes: sum of |n| by stage.
        latency_steps: of the slowest sentence; all take the same number unless the schedule is settling.
        latency_total: steps of all sentences together.
        truncated: sentences cut to the network's token limit.
        labels: true classes or values, (N,), sets of labels (N, labels), or tags (N, L), as `targets` makes them; None
            where there are none.
        wall_s, compile_s: seconds, and those of them that compilation took: of loops, or of a network for Lava.
        metrics: what `scores` holds, the main metric first.
        names: of the labels.
        predictions: answers in words, of sentences without labels.
    """

    backend: str
    schedule: Schedule
    encoding: Encoding
    timesteps: int
    logits: NDArray[np.int64] = field(repr=False)
    stages: list[StageOps] = field(repr=False)
    spikes: dict[str, int] = field(repr=False)
    latency_steps: int
    latency_total: int
    wall_s: float
    compile_s: float = 0.0
    truncated: int = 0
    labels: NDArray[Any] | None = field(default=None, repr=False)
    metrics: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    predictions: list[Prediction] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Sequence[Simulation]) -> Simulation:
        """Of the sentences of all parts, one after another; times are those of the slowest."""
        return replace(
            parts[0],
            logits=stacked([part.logits for part in parts]),
            stages=[sum(of_all[1:], of_all[0]) for of_all in zip(*(part.stages for part in parts), strict=True)],
            spikes={name: sum(part.spikes[name] for part in parts) for name in parts[0].spikes},
            latency_steps=max(part.latency_steps for part in parts),
            latency_total=sum(part.latency_total for part in parts),
            truncated=sum(part.truncated for part in parts),
            wall_s=max(part.wall_s for part in parts),
            compile_s=max(part.compile_s for part in parts),
        )

    @property
    def mean_latency_steps(self) -> float:
        """Time steps of the average sentence."""
        return self.latency_total / len(self.logits)

    @property
    def answers(self) -> NDArray[np.int64]:
        """What was predicted, as `predictions` says, values of a regression in units of the membrane."""
        return predictions(self.logits, self.metrics[0])

    @property
    def scores(self) -> dict[str, float]:
        """Score by metric; empty without labels."""
        if self.labels is None:
            return {}
        answers = self.answers
        return {metric: score(metric, answers, self.labels, self.names) for metric in self.metrics}

    def labelled(self, spec: TaskSpec, examples: Examples, encoded: list[Encoded]) -> Simulation:
        """With the labels of the sentences it was run on, to be scored as ``spec`` says."""
        labels = targets(spec.metric, examples.labels, [one.first for one in encoded])
        return replace(self, labels=labels, metrics=spec.metrics, names=tuple(spec.labels))

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
        numbers: dict[str, Any] = {
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
            "compile_s": self.compile_s,
        }
        if self.predictions:
            numbers["predictions"] = [prediction.to_dict() for prediction in self.predictions]
        return numbers if self.labels is None else {**numbers, "scores": self.scores}

    def _repr_html_(self) -> str:
        scores = ", ".join(f"{metric} <b>{formatted(value, metric)}</b>" for metric, value in self.scores.items())
        return (
            f"<p>{self.backend}, {self.schedule}, {self.encoding}, T = {self.timesteps}: {len(self.logits)} sentences"
            f"{', ' if scores else ''}{scores}; {self.synops['per_sample']:,.0f} SynOps per sentence, "
            f"{self.latency_steps:,} steps, mean rate {self.mean_rate:.3f}</p>"
        )


def predict(
    network: Network, texts: Sequence[str], logits: NDArray[np.int64], encoded: Sequence[Encoded]
) -> list[Prediction]:
    """Readout membranes (N, labels), or (N, L, labels), in words."""
    unit, found = network.readout.unit, predictions(logits, network.task["metric"])
    names = network.task["labels"]
    told = []
    for text, row, value, one in zip(texts, logits, found, encoded, strict=True):
        label = answer_in_words(network, text, value, one)
        if answer_of(network.task["metric"]) == "tags":
            told.append(Prediction(text, label, [row[token].tolist() for token in one.first if token >= 0], {}))
        else:
            by_name = {name: float(u) * unit for name, u in zip(names, row, strict=True)}
            told.append(Prediction(text, label, [int(u) for u in row], by_name))
    return told


def answer_in_words(network: Network, text: str, answer: NDArray[np.int64], encoded: Encoded) -> str:
    """What `predictions` found for one sentence, membranes and no floats."""
    names, kind = network.task["labels"], answer_of(network.task["metric"])
    if kind == "value":  # one output, whose value is the answer
        return f"{int(answer) * network.readout.unit:.3f}"
    if kind == "labels":
        return " | ".join(name for name, there in zip(names, answer, strict=True) if there) or NO_LABEL
    if kind == "tags":
        both = zip(text.split(), encoded.first, strict=True)
        return " ".join(f"{word}/{names[int(answer[token])]}" if token >= 0 else word for word, token in both)
    return str(names[int(answer)])


def encode(network: Network, examples: Examples, *, refuse_long: bool = False) -> tuple[list[Encoded], int]:
    """Token ids with the network's own tokenizer, and how many texts were cut to its limit."""
    tokenised = tokenise(
        Tokenizer.from_str(network.tokenizer),
        examples,
        network.max_tokens,
        on_long="refuse" if refuse_long else "truncate",
        words=answer_of(network.task["metric"]) == "tags",
    )
    words, types = len(network.embedding.word), len(network.embedding.token_type)
    for one in tokenised.encoded:
        if one.input_ids.max(initial=0) >= words or one.token_type_ids.max(initial=0) >= types:
            raise UserError(
                f"the network's tokenizer gives token {one.input_ids.max()} of type {one.token_type_ids.max()}, but "
                f"the embedding has {words} tokens and {types} types: export it again"
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
        raise UserError("there are 0 sentences to simulate, and at least 1 is needed: name a data set or give `text`")
    network, timeline = backend.network, backend.timeline
    started, compiled = time.perf_counter(), compile_seconds()
    counter = OperationCounter(timeline)
    rows: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)] * len(encoded)
    spikes: dict[str, int] = {}
    latencies: list[int] = []
    for index in length_sorted_batches(np.array([len(e) for e in encoded]), batch_size):
        batch = collate([encoded[i] for i in index], pad_id(network))
        run = backend.totals(batch)
        for i, row in zip(index, run.logits, strict=True):
            rows[i] = row
        latencies += [run.latency_steps] * len(index) if run.settled is None else run.settled.steps.tolist()
        counter.add(run.sums, batch.lengths, run.settled)
        for name, n in run.sums.items():
            spikes[name] = spikes.get(name, 0) + n.spikes
        advance(len(index))
    stages = counter.counted()
    wall = time.perf_counter() - started
    logger.info(
        "%s: %d sentences in %.2f s, of which %.2f s compiling",
        backend.name,
        len(encoded),
        wall,
        compile_seconds() - compiled,
    )
    return Simulation(
        backend=backend.name,
        schedule=timeline.schedule,
        encoding=timeline.encoding,
        timesteps=timeline.steps if timeline.schedule == "pipelined" else network.timesteps,
        logits=stacked([row[None] for row in rows]),
        stages=stages,
        spikes=spikes,
        latency_steps=max(latencies),
        latency_total=sum(latencies),
        wall_s=wall,
        compile_s=compile_seconds() - compiled,
    )
