"""Streamed networks step by step: the graph of stock processes, without Lava."""

from __future__ import annotations

from spk2loihi.chip import SentenceStream, Stepper, Tape, build_graph
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.stream_results import StreamBackend


class SteppedStream(StreamBackend):
    """Every process of the graph, once a step, in either arithmetic; one sentence after another.

    Args:
        slots: tokens of the longest sentence there is room for, by default as many as the network takes.
    """

    name = "stepped"

    def __init__(self, network: Network, config: RunConfig | None = None, *, slots: int | None = None) -> None:
        super().__init__(network, config)
        self.graph = build_graph(network, slots or network.max_tokens, self.timeline.arithmetic)
        self._stepper = Stepper(self.graph)

    def _play(self, stream: SentenceStream, tape: Tape) -> Tape:
        return self._stepper.play(stream.sources, tape)
