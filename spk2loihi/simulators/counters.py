"""Operations counted from spikes: SynOps, neuron updates, spikes, messages, host operations.

`OperationCounter` serves every backend: a backend hands over the events it saw, however it got them, with the lengths
of the sentences, and the same counters come back. All figures are totals over the samples counted.

* A SynOp is one event (a spike, or a graded message whatever its payload) arriving at one existing synapse; zero
  weights have none. The fast weights of attention exist for every pair of tokens of a sentence, whatever value they
  hold: a query spike adds a row of key counts (one SynOp a key token), a key spike adds a column of query counts (one a
  query token), a score spike adds a row of value counts (one a channel of the head). A value spike adds a column of
  score counts in the pipelined and settling schedules; in windows no score has fired yet, so it is stored, not added.
* ``dense`` is one operation per synapse of the same-shape ANN, zero weights and attention products included:
  NeuroBench's dense count with the attention its hooks miss.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

    @classmethod
    def joined(cls, parts: list[Settled]) -> Settled:
        """Of the sentences of all parts, one after another."""
        elements = {name: sum(one.elements[name] for one in parts) for name in parts[0].elements}
        return cls(np.concatenate([one.steps for one in parts]), elements)


class StreamMessages(NamedTuple):
    """Messages inside a streamed stage, which are not payloads.

    Attributes:
        drives: that are not 0.
        outliers: values that the range gate stops.
        products: of two payloads that are not 0, of an attention stage; the bias of scores not included.
    """

    drives: int = 0
    outliers: int = 0
    products: int = 0


class EventSums(NamedTuple):
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
        if len(parts) == 1:
            return parts[0]

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
            StreamMessages(*(sum(each) for each in zip(*(one.inside for one in parts), strict=True))),
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
        added = {name: getattr(self, name) + getattr(other, name) for name in _SUMMED}
        host = {k: self.host.get(k, 0) + other.host.get(k, 0) for k in {**self.host, **other.host}}
        return StageOps(self.name, self.kind, **added, host=host)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_SUMMED = tuple(one.name for one in fields(StageOps) if one.name not in ("name", "kind", "host"))
