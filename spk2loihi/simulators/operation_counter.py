"""What a run cost, stage by stage, from the events that a backend saw; the counters are those of `counters`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.network.network import Attention, Stage
from spk2loihi.network.run_config import Timeline
from spk2loihi.simulators.counters import Counts, EventSums, Settled, StageOps

_TOGETHER = 64  # sentences that are counted at a time, if batches hold fewer


def count_operations(
    timeline: Timeline,
    events: Counts | dict[str, EventSums],
    lengths: NDArray[np.int64],
    settled: Settled | None = None,
) -> list[StageOps]:
    """Counters of every stage for one batch.

    Args:
        events: messages every firing stage sent, padded neurons 0; or their sums.
        lengths: unpadded tokens of each sentence, (B,).
        settled: of a settling run, in which each sentence has its own number of steps.
    """
    counter = OperationCounter(timeline)
    sums = {name: n if isinstance(n, EventSums) else EventSums.of(n, n) for name, n in events.items()}
    counter.add(sums, lengths, settled)
    return counter.counted()


class OperationCounter:
    """Counts batch after batch of one network; the arguments of `add` are those of `count_operations`.

    What does not depend on the events is worked out once, and sentences that come alone are counted many at a time.

    Args:
        timeline: of the runs, and of their network.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        stages = timeline.network.stages
        self._stages = [_fixed(timeline, stage) for stage in stages]
        self._channels = np.array([stage.channels for stage in stages])
        self._first = np.array([stage.tokens == "first" for stage in stages])
        self._paired = np.array([stage.is_scores for stage in stages])
        self._dense_tokens = np.array([one.dense_tokens for one in self._stages])
        self._dense_pairs = np.array([one.dense_pairs for one in self._stages])
        self._busy = np.array([_busy(timeline, stage) for stage in stages])  # steps in which its neurons are active
        self._idle = timeline.latency_steps - self._busy
        # synapses of every stage, one group after another, to be counted in one product
        self._groups = [(i, group.source) for i, stage in enumerate(stages) for group in stage.synapses]
        fan_out = [group.fan_out for stage in stages for group in stage.synapses]
        self._fan_out = np.concatenate(fan_out)
        self._starts = np.cumsum([0] + [len(one) for one in fan_out[:-1]])
        self._waiting: list[tuple[dict[str, EventSums], NDArray[np.int64], Settled | None]] = []
        self._counted: list[StageOps] = []

    def add(self, sums: dict[str, EventSums], lengths: NDArray[np.int64], settled: Settled | None = None) -> None:
        self._waiting.append((sums, lengths, settled))
        if sum(len(one) for _, one, _ in self._waiting) >= _TOGETHER:
            self._count_waiting()

    def counted(self) -> list[StageOps]:
        """Counters of every stage, of all that was added."""
        self._count_waiting()
        return self._counted

    def _count_waiting(self) -> None:
        if not self._waiting:
            return
        sums, lengths, settled = zip(*self._waiting, strict=True)
        self._waiting = []
        joined = {name: EventSums.joined([one[name] for one in sums]) for name in sums[0]}
        runs = [one for one in settled if one is not None]
        new = self._count(joined, np.concatenate(lengths), Settled.joined(runs) if runs else None)
        self._counted = [a + b for a, b in zip(self._counted, new, strict=True)] if self._counted else new

    def _count(self, sums: dict[str, EventSums], lengths: NDArray[np.int64], settled: Settled | None) -> list[StageOps]:
        shapes = self._shapes(lengths)
        if self._timeline.schedule == "streamed":
            from spk2loihi.simulators.stream_counters import StreamCounter

            counter = StreamCounter(self._timeline, sums, lengths)
            return [counter.count(one.stage, ops) for one, ops in zip(self._stages, shapes, strict=True)]
        self._count_synapses(sums, shapes)
        for one, ops in zip(self._stages, shapes, strict=True):
            if one.stage.fires:
                ops.messages = sums[one.stage.name].events
            if one.stage.attention is not None:
                _count_attention(self._timeline, one, one.stage.attention, sums, lengths, ops)
            if settled is not None:
                _count_settled(self._timeline, one.stage, lengths, settled, ops)
        return shapes

    def _count_synapses(self, sums: dict[str, EventSums], shapes: list[StageOps]) -> None:
        fired = []
        for index, source in self._groups:
            one = sums[source].first_channels if self._first[index] else sums[source].channels  # [CLS] alone, or all
            assert one is not None
            fired.append(one)
        arrived = np.add.reduceat(np.concatenate(fired) * self._fan_out, self._starts).tolist()
        for (index, _), synops in zip(self._groups, arrived, strict=True):
            shapes[index].synops += synops

    def _shapes(self, lengths: NDArray[np.int64]) -> list[StageOps]:
        """What does not depend on events: neurons and their updates, operations of the same-shape ANN and the host."""
        every = int(lengths.sum())
        tokens = np.where(self._first, len(lengths), every)
        pairs = np.where(self._first, every, int(lengths @ lengths))
        neurons = self._channels * np.where(self._paired, pairs, tokens)
        dense = self._dense_tokens * tokens + self._dense_pairs * pairs
        numbers = np.stack([neurons, dense, neurons * self._busy, neurons * self._idle], axis=1).tolist()
        return [
            StageOps(
                one.stage.name, one.kind, neurons=neurons, dense=dense, active_updates=active,
                inactive_updates=inactive, host=dict.fromkeys(one.host, neurons),
            )
            for one, (neurons, dense, active, inactive) in zip(self._stages, numbers, strict=True)
        ]  # fmt: skip


@dataclass(frozen=True)
class _Fixed:
    """Of one stage, whatever the events.

    Attributes:
        dense_tokens, dense_pairs: multiply-accumulates of the same-shape ANN, for each of the stage's tokens, and for
            each pair of one with any token.
        host: operations on the host, one for each neuron.
        fan: channels of a head of an attention stage's right side.
    """

    stage: Stage
    kind: str
    dense_tokens: int
    dense_pairs: int
    host: tuple[str, ...]
    fan: int


def _fixed(timeline: Timeline, stage: Stage) -> _Fixed:
    right = 0 if stage.attention is None else timeline.network[stage.attention.right].channels
    host = [] if stage.synapses or stage.attention is not None else ["embedding"]
    if stage.soma is not None and stage.soma.on_host:
        host.append(stage.soma.kind)
    return _Fixed(
        stage,
        _kind(stage),
        # an ANN adds its residual without a multiply-accumulate
        sum(group.weight.size for group in stage.synapses if not group.one_to_one),
        right,
        tuple(host),
        right // stage.heads,
    )


def _kind(stage: Stage) -> str:
    if stage.attention is not None:
        return stage.attention.kind
    if not stage.synapses:
        return "embedding"
    return "linear" if stage.fires else "readout"


def _busy(timeline: Timeline, stage: Stage) -> int:
    steps = timeline.steps
    if timeline.schedule != "windowed":
        return steps
    return steps * (bool(stage.depth) + stage.fires)  # the embedding's drive is given on the host


def _count_attention(
    timeline: Timeline, one: _Fixed, attention: Attention, sums: dict[str, EventSums], lengths: NDArray[np.int64],
    ops: StageOps,
) -> None:  # fmt: skip
    first = one.stage.tokens == "first"
    left, right = sums[attention.left], sums[attention.right]
    per_left, per_right = left.sentences, right.sentences
    assert per_left is not None and per_right is not None
    arrived = int(per_right.sum()) if first else int(per_right @ lengths)  # at each of the stage's tokens
    if one.stage.is_scores:
        if first:
            assert left.first is not None
            per_left = left.first
        ops.attention_synops = int(per_left @ lengths) + arrived
    else:
        ops.attention_synops = int(per_left.sum()) * one.fan + (0 if timeline.schedule == "windowed" else arrived)


def _count_settled(
    timeline: Timeline, stage: Stage, lengths: NDArray[np.int64], settled: Settled, ops: StageOps
) -> None:
    """Gates stay open until the sentence is silent."""
    if stage.soma is not None and stage.soma.on_host:
        ops.host[stage.soma.kind] = settled.elements[stage.name]
    early = timeline.start(stage) - 1
    rows = np.ones_like(lengths) if stage.tokens == "first" else lengths
    neurons = stage.channels * (rows * lengths if stage.is_scores else rows)
    ops.active_updates = int(neurons @ (settled.steps - early))
    ops.inactive_updates = ops.neurons * early
