"""Streamed networks step by step: the graph of stock processes, without Lava."""

from __future__ import annotations

from spk2loihi.chip import SentenceStream, Stepper, build_graph, host_payloads
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import Backend, Run
from spk2loihi.simulators.stream_results import stream_run


class SteppedStream(Backend):
    """Every process of the graph, once a step, in either arithmetic; one sentence after another.

    Args:
        slots: tokens of the longest sentence there is room for, by default as many as the network takes.
    """

    name = "stepped"

    def __init__(self, network: Network, config: RunConfig | None = None, *, slots: int | None = None) -> None:
        super().__init__(network, config)
        self.graph = build_graph(network, slots or network.max_tokens, self.timeline.arithmetic)
        self._stepper = Stepper(self.graph)

    def run(self, batch: TokenBatch, record: bool = False) -> Run:
        stream = SentenceStream.of(self.graph, host_payloads(self.network, batch))
        names = self.graph.processes if record else [stage.name for stage in self.network.stages]
        return stream_run(self.timeline, stream, self._stepper.run(stream.sources, names), record)
