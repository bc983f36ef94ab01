"""The emulator of the settling schedule: every neuron, step by step, until the network is silent.

After the ST-BIF neuron of SpikeZIP-TF (arXiv 2406.03470). In one time step every neuron, in this order (all integers)::

    U += spikes that arrive                    those its sources sent in the step before, whatever the synapse's delay
    U += T * bias                              once, at the step at which its stage starts (`Timeline.start`)
    z  = soma(U)                               where U has changed; ``//`` and ``>>`` round down
    u  = z + theta // 2 - theta * n            n: the tracer, the sum of the spikes it has sent
    s  = +1 if u >= theta and n < T;  -1 if u < 0 and n > low;  0 otherwise          (low: -T if signed, else 0)
    n += s

A neuron rests if and only if ``n = clip(u_0 // theta, low, T)`` with ``u_0 = z + theta // 2``: the count of a window.
A network is feed-forward, so each stage comes to rest at most T - low steps after its sources, on exactly the
windowed counts.

Stages are computed one after the other, each over all of its steps, on the spikes its sources sent at each step. That
is the same as stepping all stages at once, because every synapse takes one step. Rows of a population (tokens, or heads
and queries for scores) without news are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Backend, Run, not_silent
from spk2loihi.simulators.counters import Settled

_Rows = NDArray[np.int64]


class SettlingEmulator(Backend):
    """Runs a network of integers until it is silent. Integers are multiplied in float32, exact below 2**24."""

    name = "emulator"

    def __init__(self, network: Network, config: RunConfig | None = None) -> None:
        super().__init__(network, config or RunConfig("settling", stagger=network.defaults.stagger))
        self._weights = {
            (stage.name, group.source): group.scaled.astype(np.float32).T.copy()
            for stage in network.stages
            for group in stage.synapses
        }

    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        populations: dict[str, _Population] = {}
        last_use = {source: stage.name for stage in self.network.stages for source in stage.sources}
        silent = np.zeros(len(batch.lengths), np.int64)  # last step with a spike, by sentence
        elements: dict[str, int] = {}
        for stage in self.network.stages:
            population = populations[stage.name] = _Population(self.network, stage, batch)
            self._settle(population, populations)
            np.maximum(silent, population.last_spike, out=silent)
            if population.elements:
                elements[stage.name] = population.elements
            for source in stage.sources:
                if last_use[source] == stage.name and not record:
                    populations[source].train.clear()
        readout = populations.pop(self.network.readout.name)
        steps = self.timeline.settled(silent)
        latency = int(steps.max())
        return Run(
            logits=readout.answers(),
            counts={name: p.shaped(p.tracer) for name, p in populations.items()},
            events={name: p.shaped(p.events) for name, p in populations.items()},
            trains={name: p.recorded(latency) for name, p in populations.items()} if record else None,
            steps=latency,
            latency_steps=latency,
            settled=Settled(steps, elements),
        )

    def _settle(self, population: _Population, populations: dict[str, _Population]) -> None:
        stage = population.stage
        sources = [populations[name] for name in stage.sources]
        arrivals = max((source.last_step for source in sources), default=0) + 1
        start = self.timeline.start(stage)
        drives = self._attention(population, sources) if stage.attention else self._linear(population, sources)
        step = 0
        while step < max(start, arrivals) or population.busy.any():
            step += 1
            if step > self.timeline.steps:
                raise not_silent(stage.name, self.timeline)
            population.receive(next(drives), start=step == start)
            population.fire(step)

    def _linear(self, population: _Population, sources: list[_Population]) -> Iterator[NDArray[np.int32] | None]:
        """What arrives at each step, (rows, d), or None."""
        stage, step = population.stage, 0
        while True:
            arrived = None
            for group, source in zip(stage.synapses, sources, strict=True):
                if step not in source.train:
                    continue
                rows, spikes = source.train[step]
                if stage.tokens == "first" and source.stage.tokens == "all":
                    first = rows % source.rows_per_sentence == 0
                    rows, spikes = rows[first] // source.rows_per_sentence, spikes[first]
                weight = self._weights[stage.name, group.source]
                values = spikes.astype(np.float32)
                drive = values * weight if group.one_to_one else values @ weight
                if arrived is None:
                    arrived = np.zeros(population.drive.shape, np.int32)
                arrived[rows] += drive.astype(np.int32)
            yield arrived
            step += 1

    def _attention(self, population: _Population, sources: list[_Population]) -> Iterator[NDArray[np.int32] | None]:
        """The same, of products of counts: fast weights, to which each side's spikes are added as they arrive."""
        stage, step = population.stage, 0
        counts = [np.zeros(source.tracer.shape, np.float32) for source in sources]
        seen = np.zeros(population.drive.shape, np.int32)
        while True:
            news = False
            for source, count in zip(sources, counts, strict=True):
                if step in source.train:
                    rows, spikes = source.train[step]
                    count[rows] += spikes
                    news = True
            if news:
                left, right = (source.shaped(count) for source, count in zip(sources, counts, strict=True))
                product = _attend(stage, left, right).reshape(seen.shape).astype(np.int32)
                yield product - seen
                seen = product
            else:
                yield None
            step += 1


@dataclass
class _Population:
    """State of one stage for a batch, as a matrix: a row a token, or a head and query; d or the keys wide."""

    network: Network
    stage: Stage
    batch: TokenBatch
    train: dict[int, tuple[_Rows, NDArray[np.int8]]] = field(default_factory=dict)  # step: rows with spikes, spikes
    elements: int = 0  # that went through a soma function which is no part of synapses
    last_step: int = 0  # with a spike of any sentence
    started: bool = False

    def __post_init__(self) -> None:
        sentences, length = self.batch.input_ids.shape
        stage, tokens = self.stage, 1 if self.stage.tokens == "first" else length
        mask = self.batch.mask[:, :tokens]
        if stage.is_scores:
            self.shape: tuple[int, ...] = (sentences, stage.channels, tokens, length)
            keys = np.broadcast_to(self.batch.mask[:, None, None], self.shape)
            self.keys: NDArray[np.bool_] | None = keys.reshape(-1, length)
            alive = np.broadcast_to(mask[:, None], self.shape[:-1])
        else:
            self.shape, self.keys, alive = (sentences, tokens, stage.channels), None, mask
        self.alive: NDArray[np.bool_] = alive.reshape(-1)
        size = len(self.alive), self.shape[-1]
        self.rows_per_sentence = size[0] // sentences
        self.drive = np.zeros(size, np.int32)
        if stage.is_scores:
            self.drive.reshape(self.shape)[:] = stage.constant(tokens, length)
        self.target = np.zeros(size, np.int32)  # soma(U) + theta // 2
        self.tracer = np.zeros(size, np.int16)
        self.events = np.zeros(size, np.int16)
        self.busy = np.zeros(size[0], bool)  # rows that may fire: their drive has changed, or they have just fired
        self.last_spike = np.zeros(sentences, np.int64)
        if not stage.depth:
            e = self.network.embedding
            u = e.word[self.batch.input_ids] + e.position[:length] + e.token_type[self.batch.token_type_ids]
            self.drive[self.alive] = u[mask]

    def receive(self, arrived: NDArray[np.int32] | None, start: bool) -> None:
        """Integrate; ``start``: the bias of a whole window, and the first value of the soma function."""
        changed = np.zeros_like(self.busy)
        if arrived is not None:
            self.drive += arrived
            changed = arrived.any(-1) & self.alive
        if start:
            if self.stage.bias is not None:
                self.drive[self.alive] += (self.network.timesteps * self.stage.bias).astype(np.int32)
            changed, self.started = self.alive, True
        if self.stage.fires and self.started and changed.any():
            self._aim(changed)
            self.busy |= changed

    def _aim(self, rows: NDArray[np.bool_]) -> None:
        """The new target of rows whose drive has changed."""
        soma, half = self.stage.soma, self.stage.threshold // 2
        if soma is None:
            self.target[rows] = self.drive[rows] + half
        elif not soma.on_host:
            z = soma(self.drive.reshape(self.shape).astype(np.int64)).reshape(self.drive.shape)
            self.target[rows] = z[rows] + half
        else:
            keys = None if self.keys is None else self.keys[rows]
            self.target[rows] = soma(self.drive[rows].astype(np.int64), keys) + half
            self.elements += int(rows.sum()) * self.shape[-1] if keys is None else int(keys.sum())

    def fire(self, step: int) -> None:
        """The spikes of one step; rows that had none have nothing more to say until their drive changes."""
        rows = self.busy.nonzero()[0]
        if not len(rows):
            return
        threshold, most = self.stage.threshold, self.network.timesteps
        n = self.tracer[rows].astype(np.int32)
        u = self.target[rows] - threshold * n
        s = ((u >= threshold) & (n < most)).astype(np.int8)
        s -= (u < 0) & (n > (-most if self.stage.signed else 0))
        if self.keys is not None:
            s *= self.keys[rows]
        fired = s.any(-1)
        self.busy[rows] = fired
        rows, s = rows[fired], s[fired]
        if not len(rows):
            return
        self.train[step] = rows, s
        self.tracer[rows] += s
        self.events[rows] += s != 0
        self.last_spike[np.unique(rows // self.rows_per_sentence)] = step
        self.last_step = step

    def shaped(self, x: NDArray[Any]) -> NDArray[Any]:
        """(rows, width) as (B, L, d) or (B, H, L, L)."""
        return x.reshape(self.shape)

    def answers(self) -> NDArray[np.int64]:
        """Drives of a readout, (B, labels), or (B, L, labels) of tags, padding 0."""
        drive = self.shaped(self.drive * self.alive[:, None]).astype(np.int64)
        return drive[:, 0] if self.stage.tokens == "first" else drive

    def recorded(self, steps: int) -> NDArray[np.int8]:
        """Spikes of each step, (steps, ...)."""
        train = np.zeros((steps, *self.tracer.shape), np.int8)
        for step, (rows, spikes) in self.train.items():
            train[step - 1, rows] = spikes
        return train.reshape(steps, *self.shape)


def _attend(stage: Stage, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    def by_head(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return x.reshape(*x.shape[:2], stage.heads, -1).swapaxes(1, 2)  # (B, L, d) -> (B, H, L, d_h)

    if stage.is_scores:
        return by_head(left) @ by_head(right).swapaxes(-1, -2)
    return (left @ by_head(right)).swapaxes(1, 2)
