"""What the sentences of a streamed run did, from what the populations of its graph sent."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from spk2loihi.chip import Graph, SentenceStream, Tape, host_payloads
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Stage
from spk2loihi.simulators.backend import Backend, Run, Totals
from spk2loihi.simulators.counters import EventSums, StreamMessages


class StreamBackend(Backend):
    """A backend that has the populations of a graph, one sentence after another."""

    graph: Graph
    reads_all = True
    """All populations can be read, not the stages alone."""

    @abstractmethod
    def _play(self, stream: SentenceStream, tape: Tape) -> Tape:
        """Run sentences, and give back the tape with what the populations in its names sent in ``stream.steps``."""

    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        every = record and self.reads_all
        run, _ = self._run(batch, Tape(self.graph.processes if every else self._stages))
        if not record:
            return replace(run, populations=None, trains=None)
        return run if every else replace(run, populations=None)

    def totals(self, batch: TokenBatch) -> Totals:
        run, tape = self._run(batch, Tape(self._stages, self._inside() if self.reads_all else ()))
        sums = {
            name: EventSums.of(n, run.events[name])._replace(inside=self._messages(self.network[name], tape))
            for name, n in run.counts.items()
        }
        return Totals(run.logits, sums, run.steps, run.latency_steps)

    @property
    def _stages(self) -> list[str]:
        return [stage.name for stage in self.network.stages]

    def _run(self, batch: TokenBatch, tape: Tape) -> tuple[Run, Tape]:
        stream = SentenceStream.of(self.graph, host_payloads(self.network, batch))
        sent = self._play(stream, tape).recording
        counts = {stage.name: stream.stage(stage, sent[stage.name]) for stage in self.network.stages if stage.fires}
        run = Run(
            logits=stream.logits(sent[self.network.readout.name]),
            counts=counts,
            events={name: (n != 0).astype(np.int64) for name, n in counts.items()},
            trains={name: n.astype(np.int8)[None] for name, n in counts.items()},
            steps=self.timeline.steps,
            latency_steps=self.timeline.latency_steps,
            populations=sent,
        )
        return run, tape

    def _inside(self) -> list[str]:
        """Populations whose messages are counted."""
        ends = (".drive", ".outlier", ".product")
        return [name for name in self.graph.processes if name.endswith(ends)]

    def _messages(self, stage: Stage, tape: Tape) -> StreamMessages:
        if stage.requantise is None or not tape.counts:
            return StreamMessages()
        drives, outliers = (int(tape.counts[f"{stage.name}.{part}"].sum()) for part in ("drive", "outlier"))
        if stage.attention is None:
            return StreamMessages(drives, outliers)
        width = self.network[stage.attention.right].channels
        places = 2 * self.graph.slots - 1
        products = tape.counts[f"{stage.name}.product"].reshape(places, -1)[:, :width]  # without those of a bias
        return StreamMessages(drives, outliers, int(products.sum()))
