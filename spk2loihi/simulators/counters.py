"""Operations counted from spikes: SynOps, neuron updates, spikes, messages, host operations.

One function serves every backend: a backend hands over the events it saw, however it got them, with the lengths of
the sentences, and the same counters come back. All figures are totals over the samples counted.

* A SynOp is one event (a spike, or a graded message whatever its payload) arriving at one existing synapse; zero
  weights have none. The fast weights of attention exist for every pair of tokens of a sentence, whatever value they
  hold: a query spike adds a row of key counts (one SynOp a key token), a key spike adds a column of query counts (one a
  query token), a score spike adds a row of value counts (one a channel of the head). A value spike adds a column of
  score counts in the pipelined and settling schedules; in windows no score has fired yet, so it is stored, not added.
* ``dense`` is one operation per synapse of the same-shape ANN, zero weights and attention products included:
  NeuroBench's dense count with the attention its hooks miss.
"""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.network.network import Stage
from spk2loihi.network.run_config import Timeline

Counts = dict[str, NDArray[Any]]
"""A number per neuron, by stage: (B, L, d), or (B, H, L, L) for scores; L is 1 for first-token stages."""


@dataclass(frozen=True)
class Settled:
    """How a settling run ended.

    Attributes:
        steps: until each sentence was silent, (B,).
        elements: that went through the soma function of a stage, over all its recomputations; host stages only.
    """

    steps: NDArray[np.int64]
    elements: dict[str, int]


@dataclass(frozen=True)
class StreamMessages:
    """Messages inside a streamed stage, which are not payloads.

    Attributes:
        drives: that are not 0.
        outliers: values that the range gate stops.
        products: of two payloads that are not 0, of an attention stage; the bias of scores not included.
    """

    drives: int = 0
    outliers: int = 0
    products: int = 0

    def __add__(self, other: StreamMessages) -> StreamMessages:
        both = zip(astuple(self), astuple(other), strict=True)
        return StreamMessages(*(a + b for a, b in both))


@dataclass(frozen=True)
class EventSums:
    """What is counted of a stage's events, for engines that do not keep the events.

    Attributes:
        spikes: sum of |n|.
        events: messages sent.
        channels: events of each channel, (d,); None for scores.
        sentences: events of each sentence, (B,); engines may leave them out where no attention stage takes the events.
        first_channels, first: the same of first tokens alone; engines may leave them out where no stage of first tokens
            takes the events.
        inside: of a streamed network.
    """

    spikes: int
    events: int
    channels: NDArray[np.int64] | None = None
    first_channels: NDArray[np.int64] | None = None
    sentences: NDArray[np.int64] | None = None
    first: NDArray[np.int64] | None = None
    inside: StreamMessages = StreamMessages()

    @classmethod
    def of(cls, counts: NDArray[Any], events: NDArray[Any]) -> EventSums:
        """Of padded arrays (B, ...)."""
        spikes, sentences = int(np.abs(counts).sum()), events.reshape(len(events), -1).sum(1)
        if events.ndim != 3:
            return cls(spikes, int(sentences.sum()), sentences=sentences)
        first = events[:, 0]
        return cls(spikes, int(sentences.sum()), events.sum((0, 1)), first.sum(0), sentences, first.sum(1))

    @classmethod
    def joined(cls, parts: list[EventSums]) -> EventSums:
        """Of the sentences of all parts, one after another."""

        def summed(name: str) -> NDArray[np.int64] | None:
            arrays = [getattr(one, name) for one in parts]
            return None if arrays[0] is None else np.sum(arrays, axis=0)

        def in_turn(name: str) -> NDArray[np.int64] | None:
            arrays = [getattr(one, name) for one in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return cls(
            sum(one.spikes for one in parts),
            sum(one.events for one in parts),
            summed("channels"),
            summed("first_channels"),
            in_turn("sentences"),
            in_turn("first"),
            sum((one.inside for one in parts), StreamMessages()),
        )


@dataclass
class StageOps:
    """What one stage cost, summed over all samples."""

    name: str
    kind: str  # embedding | linear | scores | context | readout
    neurons: int = 0  # neurons of unpadded tokens
    messages: int = 0  # events sent: spikes (rate encoding), or one a neuron with n != 0 (graded)
    synops: int = 0  # spikes arriving at existing linear synapses
    attention_synops: int = 0  # additions of fast weights
    dense: int = 0  # multiply-accumulates of the same-shape ANN
    active_updates: int = 0  # neuron updates in a step in which the neuron integrates or its gate is open
    inactive_updates: int = 0  # neuron updates in every other step of the run
    host: dict[str, int] = field(default_factory=dict)  # host operation -> elements processed

    def __add__(self, other: StageOps) -> StageOps:
        added = {
            f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name not in _NOT_SUMMED
        }
        host = {k: self.host.get(k, 0) + other.host.get(k, 0) for k in {**self.host, **other.host}}
        return StageOps(self.name, self.kind, **added, host=host)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_NOT_SUMMED = ("name", "kind", "host")


def _kind(stage: Stage) -> str:
    if stage.attention is not None:
        return stage.attention.kind
    if not stage.synapses:
        return "embedding"
    return "linear" if stage.fires else "readout"


def count_operations(
    timeline: Timeline,
    events: Counts | dict[str, EventSums],
    lengths: NDArray[np.int64],
    settled: Settled | None = None,
) -> list[StageOps]:
    """Counters of every stage for one batch.

    Args:
        timeline: of the run, and of its network.
        events: messages every firing stage sent, padded neurons 0; or their sums.
        lengths: unpadded tokens of each sentence, (B,).
        settled: of a settling run, in which each sentence has its own number of steps.
    """
    sums = {name: n if isinstance(n, EventSums) else EventSums.of(n, n) for name, n in events.items()}
    every, firsts = _Extent(lengths, lengths), _Extent(np.ones_like(lengths), lengths)
    extents = [firsts if stage.tokens == "first" else every for stage in timeline.network.stages]
    stages = list(zip(timeline.network.stages, extents, strict=True))
    if timeline.schedule == "streamed":
        from spk2loihi.simulators.stream_counters import StreamCounter

        counter = StreamCounter(timeline, sums, lengths)
        return [counter.count(stage, _shape(timeline, stage, extent)) for stage, extent in stages]
    return [_count_stage(timeline, stage, sums, extent, settled) for stage, extent in stages]


class _Extent:
    """Where stages exist.

    Attributes:
        rows, lengths: tokens of each sentence at which they exist, and all its tokens, (B,).
        tokens, pairs: sums of ``rows``, and of their pairs with all tokens.
    """

    def __init__(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.rows, self.lengths = rows, lengths
        self.tokens, self.pairs = int(rows.sum()), int(rows @ lengths)

    def neurons(self, stage: Stage) -> int:
        return stage.channels * (self.pairs if stage.is_scores else self.tokens)


def _count_stage(
    timeline: Timeline,
    stage: Stage,
    events: dict[str, EventSums],
    extent: _Extent,
    settled: Settled | None,
) -> StageOps:
    ops = _shape(timeline, stage, extent)
    if stage.fires:
        ops.messages = events[stage.name].events
    for group in stage.synapses:
        source = events[group.source]
        fired = source.first_channels if stage.tokens == "first" else source.channels  # [CLS] alone, or every token
        assert fired is not None
        ops.synops += int(fired @ group.fan_out)
    if stage.attention is not None:
        _count_attention(timeline, stage, events, extent, ops)
    if settled is not None and stage.soma is not None and stage.soma.on_host:
        ops.host[stage.soma.kind] = settled.elements[stage.name]
    if settled is not None:  # gates stay open until the sentence is silent
        early = timeline.start(stage) - 1
        neurons = stage.channels * (extent.rows * extent.lengths if stage.is_scores else extent.rows)
        ops.active_updates = int(neurons @ (settled.steps - early))
        ops.inactive_updates = ops.neurons * early
        return ops
    steps = timeline.steps
    integrates = steps if stage.depth else 0  # the embedding's drive is given on the host
    fires = steps if stage.fires else 0
    busy = integrates + fires if timeline.schedule == "windowed" else steps
    ops.active_updates = ops.neurons * busy
    ops.inactive_updates = ops.neurons * (timeline.latency_steps - busy)
    return ops


def _shape(timeline: Timeline, stage: Stage, extent: _Extent) -> StageOps:
    """What does not depend on events: neurons, the operations of the same-shape ANN, and those of the host."""
    ops = StageOps(stage.name, _kind(stage))
    ops.neurons = extent.neurons(stage)
    for group in stage.synapses:
        if not group.one_to_one:  # an ANN adds its residual without a multiply-accumulate
            ops.dense += group.weight.size * extent.tokens
    if stage.attention is not None:
        ops.dense = timeline.network[stage.attention.right].channels * extent.pairs
    if not stage.synapses and stage.attention is None:
        ops.host["embedding"] = ops.neurons
    if stage.soma is not None and stage.soma.on_host:
        ops.host[stage.soma.kind] = ops.neurons
    return ops


def _count_attention(
    timeline: Timeline,
    stage: Stage,
    events: dict[str, EventSums],
    extent: _Extent,
    ops: StageOps,
) -> None:
    assert stage.attention is not None
    left, right = events[stage.attention.left], events[stage.attention.right]
    per_left, per_right = left.sentences, right.sentences
    assert per_left is not None and per_right is not None
    right_channels = timeline.network[stage.attention.right].channels
    if stage.attention.kind == "scores":
        if stage.tokens == "first":
            assert left.first is not None
            per_left = left.first
        ops.attention_synops = int(per_left @ extent.lengths + per_right @ extent.rows)
    else:
        ops.attention_synops = int(per_left.sum()) * (right_channels // stage.heads)
        if timeline.schedule != "windowed":
            ops.attention_synops += int(per_right @ extent.rows)
