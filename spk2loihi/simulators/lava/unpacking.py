"""What a batch did: answers, counts and spikes, copied out of the memory of its Lava runs sentence by sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage
from spk2loihi.simulators.backend import Trains
from spk2loihi.simulators.counters import Counts
from spk2loihi.simulators.lava.packing import Place

if TYPE_CHECKING:
    from spk2loihi.simulators.lava.graph import Graph


class Result:
    """What the sentences of a batch did, unpacked to (B, L, d) or (B, H, L, L), padding 0."""

    def __init__(self, network: Network, batch: TokenBatch, record: bool) -> None:
        self.network = network
        sentences, length = batch.input_ids.shape
        shapes = {stage.name: _unpacked_shape(stage, sentences, length) for stage in network.stages if stage.fires}
        self._tagged = network.readout.tokens == "all"  # every token has an answer
        answers = (sentences, length) if self._tagged else (sentences,)
        self.logits = np.zeros((*answers, network.readout.channels), np.int64)
        self.counts: Counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        self.events: Counts = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        self.last = np.zeros(sentences, np.int64)  # step with a spike; settling only
        self.elements: dict[str, int] = {}
        self._parts: list[Trains] | None = [] if record else None

    def trains(self, steps: int) -> Trains | None:
        if self._parts is None:
            return None
        return {name: np.concatenate([part[name] for part in self._parts])[:steps] for name in self.counts}

    def take_trains(self, graph: Graph, places: list[Place], part: int) -> None:
        """Copy what was recorded, in a settling run of one of its parts."""
        if self._parts is None:
            return
        if part == len(self._parts):
            shapes = {name: (len(graph.stages[name].train), *n.shape) for name, n in self.counts.items()}
            self._parts.append({name: np.zeros(shape, np.int8) for name, shape in shapes.items()})
        for place in places:
            for name, train in self._parts[part].items():
                stage = self.network[name]
                rows = 1 if stage.tokens == "first" else place.length
                self._copy(stage, place, graph.grid.width, rows, graph.stages[name].train, train)

    def take(self, graph: Graph, places: list[Place]) -> None:
        """Copy what one Lava run left in shared memory."""
        width = graph.grid.width
        for place in places:
            slot = place.lane * width + place.start
            if self._tagged:
                self.logits[place.sentence, : place.length] = graph.host.result[slot : slot + place.length, 0]
            else:
                self.logits[place.sentence] = graph.host.result[slot, 0]
            for name in self.counts:
                stage, memory = self.network[name], graph.stages[name]
                rows = 1 if stage.tokens == "first" else place.length
                for packed, unpacked in ((memory.counts, self.counts), (memory.events, self.events)):
                    self._copy(stage, place, width, rows, packed[None], unpacked[name][None])
                tokens = slice(place.start, place.start + rows)
                slots = slice(place.lane * width + place.start, place.lane * width + place.start + rows)
                last = memory.last[place.lane, :, tokens] if stage.is_scores else memory.last[slots]
                self.last[place.sentence] = max(self.last[place.sentence], last.max())
        for name in self.counts:
            stage = self.network[name]
            if stage.soma is not None and stage.soma.on_host:
                self.elements[name] = self.elements.get(name, 0) + int(graph.stages[name].elements[0])

    @staticmethod
    def _copy(stage: Stage, place: Place, width: int, rows: int, packed: NDArray[Any], unpacked: NDArray[Any]) -> None:
        """One sentence; both arrays have a leading axis of steps."""
        at = slice(place.start, place.start + rows)
        if stage.is_scores:
            keys = slice(place.start, place.start + place.length)
            unpacked[:, place.sentence, :, :rows, : place.length] = packed[:, place.lane, :, at, keys]
        else:
            slot = place.lane * width + place.start
            unpacked[:, place.sentence, :rows] = packed[:, slot : slot + rows, 0]


def _unpacked_shape(stage: Stage, sentences: int, length: int) -> tuple[int, ...]:
    rows = 1 if stage.tokens == "first" else length
    return (sentences, stage.channels, rows, length) if stage.is_scores else (sentences, rows, stage.channels)
