"""Operations of a streamed network, counted from its payloads: every message of every process, at every synapse.

The processes are those of `spk2loihi.chip`, and the stepper, which sends each message, counts the same numbers (tests).
Moving is in the count: a payload that goes on by one place of a register or a line is a message and a SynOp, as the
rest are.

A sentence is charged the steps until the next may follow (`stream_period`), not its latency, since the chip works on
all sentences that are on their way. A neuron is active in the steps in which its part of a token that exists is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.synapse_patterns import DIGITS, digits
from spk2loihi.network.network import Stage
from spk2loihi.network.run_config import Timeline
from spk2loihi.network.stream import PRODUCT_STEPS, presence_places, residual_places, stream_period
from spk2loihi.simulators.counters import EventSums, StageOps

_PRESENCE_WIDTH = 2 * len(DIGITS)  # of all tokens, and of first ones
_GATE_PARTS = 4  # drive, value, outlier, payload

Population = Callable[[int, int], None]
"""Adds so many neurons, active for so many tokens each."""


class StreamCounter:
    """Counts one batch.

    Args:
        lengths: tokens of each sentence, (B,).
    """

    def __init__(self, timeline: Timeline, events: Mapping[str, EventSums], lengths: NDArray[np.int64]) -> None:
        self._network, self._arithmetic = timeline.network, timeline.arithmetic
        self._events = events
        self._slots = self._network.max_tokens
        self._sentences, self._tokens = len(lengths), int(lengths.sum())
        self._lengths = lengths
        self._steps = int(stream_period(lengths, self._slots).sum())
        self._queries = {stage.sources[0]: stage for stage in self._network.stages if stage.is_scores}

    def count(self, stage: Stage, ops: StageOps) -> StageOps:
        """``ops`` with a stage's messages, SynOps and neuron updates added."""
        neurons = active = 0

        def population(size: int, rows: int) -> None:
            nonlocal neurons, active
            neurons, active = neurons + size, active + size * rows

        rows, width = self._rows(stage), stage.channels
        if not stage.sources:
            self._embedding(stage, ops, population)
        elif stage.attention is None:
            self._linear(stage, ops, population)
        else:
            width *= self._places if stage.is_scores else 1
            self._attention(stage, ops, population)
        if stage.requantise is not None:
            sent, inside = self._events[stage.name].events, self._events[stage.name].inside
            values = sent + inside.outliers
            ops.synops += 2 * inside.drives + values + inside.outliers
            ops.messages = sent + inside.drives + values + inside.outliers + ops.messages
            population(_GATE_PARTS * width, rows)
        elif not stage.fires:
            population(width, rows)
        ops.active_updates = active
        ops.inactive_updates = neurons * self._steps - active
        return ops

    @property
    def _places(self) -> int:
        return 2 * self._slots - 1

    def _rows(self, stage: Stage) -> int:
        return self._sentences if stage.tokens == "first" else self._tokens

    def _sent(self, source: str, first: bool) -> tuple[int, NDArray[np.int64]]:
        """Payloads of a source, in all and by channel, of first tokens or of all."""
        sums = self._events[source]
        channels = sums.first_channels if first else sums.channels
        assert channels is not None
        return int(channels.sum()), channels

    def _embedding(self, stage: Stage, ops: StageOps, population: Population) -> None:
        """Tokens come in, and their presence goes through its line."""
        sent = self._events[stage.name].events
        presence = len(DIGITS) * (self._tokens + self._sentences)
        places = presence_places(self._network, self._slots)
        ops.synops += sent + presence * places
        ops.messages += sent + sent + presence * (1 + places)
        population(stage.channels, self._tokens)
        population(places * len(DIGITS), self._tokens)
        population(places * (_PRESENCE_WIDTH - len(DIGITS)), self._sentences)

    def _linear(self, stage: Stage, ops: StageOps, population: Population) -> None:
        first, rows = stage.tokens == "first", self._rows(stage)
        ops.synops += self._bias_synapses(stage) * rows
        for group in stage.synapses:
            sent, channels = self._sent(group.source, first)
            ops.synops += int(channels @ group.fan_out)
            if group.one_to_one:
                places = residual_places(self._network, self._slots, stage, group.source)
                self._move(ops, population, sent, places, len(channels), rows)
        if stage.name in self._queries:
            self._query_input(stage, ops, population)
        for scores in self._queries.values():
            if stage.name == scores.sources[1]:
                self._register(stage, ops, population, self._places)
        for other in self._network.stages:
            if other.attention is not None and not other.is_scores and stage.name == other.sources[1]:
                self._register(stage, ops, population, self._places + PRODUCT_STEPS)

    def _query_input(self, stage: Stage, ops: StageOps, population: Population) -> None:
        """The layer's input waits until all keys are there; in the last layer that of [CLS] alone goes on."""
        first, source = stage.tokens == "first", stage.sources[0]
        arrived, channels = self._sent(source, False)
        went_on, _ = self._sent(source, first)
        self._move(ops, population, arrived, self._slots - 1, len(channels), self._tokens)
        ops.synops += arrived + (len(channels) * self._sentences if first else 0)
        ops.messages += went_on
        population(len(channels), self._rows(stage))

    def _register(self, stage: Stage, ops: StageOps, population: Population, places: int) -> None:
        self._move(ops, population, self._events[stage.name].events, places, stage.channels, self._tokens)

    def _move(self, ops: StageOps, population: Population, sent: int, places: int, width: int, rows: int) -> None:
        ops.synops += sent * places
        ops.messages += sent * places
        population(places * width, rows)

    def _attention(self, stage: Stage, ops: StageOps, population: Population) -> None:
        assert stage.attention is not None
        left, right = (self._events[name] for name in stage.sources)
        rows, pairs = self._rows(stage), self._tokens_squared(stage)
        width = self._network[stage.sources[1]].channels
        products = self._events[stage.name].inside.products
        if stage.is_scores:
            presence = len(DIGITS) * pairs
            asked = len(DIGITS) * self._places * (rows + self._tokens)  # presence of queries and of keys
            ops.attention_synops += left.events * self._places + asked + pairs * self._bias_synapses(stage)
            population(self._places * (width + len(DIGITS)), rows)
        else:
            presence = 0
            ops.attention_synops += left.events * (width // stage.heads) + rows * self._bias_synapses(stage)
            population(self._places * width, rows)
        ops.attention_synops += right.events * self._places + products
        ops.messages += products + presence

    def _tokens_squared(self, stage: Stage) -> int:
        """Pairs of a query and a key token."""
        return int(((self._lengths if stage.tokens == "all" else 1) * self._lengths).sum())

    def _bias_synapses(self, stage: Stage) -> int:
        """Synapses that carry a stage's bias, and in the lava arithmetic half a unit."""
        bias = np.zeros(stage.channels, np.int64) if stage.bias is None else stage.bias
        if self._arithmetic == "lava" and stage.requantise is not None:
            bias = bias + stage.requantise.half
        return int(np.count_nonzero(digits(bias)))
