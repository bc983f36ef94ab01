"""Parts that stages of every kind are made of: drives, range gates, biases, lines in which messages wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.process_graph import (
    Connection,
    Graph,
    NeuronKind,
    Population,
    Sign,
    SparseWeight,
    SynapseKind,
    Weight,
)
from spk2loihi.chip.synapse_patterns import DIGITS, digits, into_first, one_to_one, onwards, sparse
from spk2loihi.choices import Arithmetic
from spk2loihi.errors import UserError
from spk2loihi.limits import STREAM_BIAS_MAX
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.soma import largest
from spk2loihi.network.stream import stream_delays


@dataclass(frozen=True)
class Presence:
    """The line that says at every delay from 1 on whether there is a token.

    A place has six channels: the payloads of `DIGITS` for every token, and the same for the first of a sentence.
    """

    places: int
    name: str = "presence"
    width: int = 2 * len(DIGITS)

    @property
    def size(self) -> int:
        return self.places * self.width

    def channel(self, delay: int, first: bool) -> int:
        """Number of the neuron with payload 1, before those of the higher digits."""
        return (delay - 1) * self.width + (len(DIGITS) if first else 0)


class GraphBuilder:
    """A graph while it grows.

    Attributes:
        queries: stages that wait for keys.
        late: by stage, the population that holds its payload until its keys are there.
    """

    def __init__(self, network: Network, slots: int, arithmetic: Arithmetic) -> None:
        self.network, self.slots, self.arithmetic = network, slots, arithmetic
        self.delays = stream_delays(network, slots)
        self.late: dict[str, str] = {}
        self.queries = {stage.sources[0] for stage in network.stages if stage.is_scores}
        # The last to ask are the readout's bias and, of keys slots - 1 tokens ahead of a query, the last scores.
        asked = [self.delays[query] + slots - 1 for query in self.queries]
        self.presence = Presence(max(self.delays[network.readout.name] - 1, *asked))
        self._populations: dict[str, Population] = {}
        self._connections: list[Connection] = []

    def graph(self) -> Graph:
        return Graph(
            tuple(self._populations.values()),
            tuple(self._connections),
            self.slots,
            self.arithmetic,
            self.network.readout.name,
        )

    def delay(self, population: str) -> int:
        return self._populations[population].delay

    def population(
        self, name: str, kind: NeuronKind, size: int, delay: int, threshold: int = 0, places: int = 1
    ) -> None:
        self._populations[name] = Population(name, kind, size, delay, threshold, places)

    def connect(
        self,
        source: str,
        target: str,
        weight: Weight,
        sign: Sign = "EXCITATORY",
        *,
        exponent: int = 0,
        port: str = "a_in",
        what: str = "",
    ) -> None:
        """
        Args:
            what: it is, where it is not the only one from source to port.
        """
        name = f"{target}.{port} from {source}{what and ', '}{what}"
        kind: SynapseKind = "Sparse" if isinstance(weight, SparseWeight) else "Dense"
        self._connections.append(Connection(name, kind, source, target, weight, sign, exponent, port))

    def line(self, name: str, width: int, places: int, delay: int) -> None:
        """Neurons through which messages move, one place a step."""
        self.population(name, "GradedVec", width * places, delay, places=places)
        if places > 1:
            self.connect(name, name, onwards(width, places))

    def waiting(self, name: str, source: str, steps: int) -> tuple[str, int]:
        """A population's messages after so many steps: in which population and place; where they are, after none."""
        if steps < 0:
            raise ValueError(f"{name}: {source} comes {-steps} steps late")
        if not steps:
            return source, 0
        width = self._populations[source].size
        self.line(name, width, steps, self.delay(source) + 1)
        self.connect(source, name, into_first(width, steps))
        return name, steps - 1

    def from_place(self, population: str, place: int, weight: NDArray[Any]) -> SparseWeight:
        """One-to-one synapses from a place of a line; ``weight``: (width,)."""
        return one_to_one(weight, first=place, of=self._populations[population].places)

    def drive(self, stage: Stage, size: int, delay: int) -> str:
        """The population that sums a stage's drive: of a readout, the stage itself."""
        name = f"{stage.name}.drive" if stage.fires else stage.name
        relu = stage.requantise is not None and stage.requantise.relu
        self.population(name, "GradedReluVec" if relu else "GradedVec", size, delay)
        return name

    def requantise(self, stage: Stage, drive: str, places: int = 1) -> None:
        """From drive to payload, through the range gate; ``places``: of scores, one for each key."""
        assert stage.requantise is not None
        size, delay = self._populations[drive].size, self.delays[stage.name]
        weight = one_to_one(stage.requantise.weight, places)
        for part, threshold in (("value", 0), ("outlier", stage.requantise.limit)):
            self.population(f"{stage.name}.{part}", "GradedVec", size, delay - 1, threshold)
            self.connect(drive, f"{stage.name}.{part}", weight, exponent=-stage.requantise.shift)
        self.population(stage.name, "GradedVec", size, delay)
        self.connect(f"{stage.name}.value", stage.name, one_to_one(np.ones(size)))
        self.connect(f"{stage.name}.outlier", stage.name, one_to_one(-np.ones(size)), "INHIBITORY")

    def bias(self, stage: Stage, drive: str, delay: int) -> None:
        """A stage's bias where its token exists."""
        weight = self.bias_digits(stage)
        if weight.any():
            columns = self.presence.channel(delay - 1, stage.tokens == "first") + np.arange(len(DIGITS))
            synapses = sparse(np.arange(len(weight))[:, None], columns, weight, (len(weight), self.presence.size))
            self.connect(self.presence.name, drive, synapses, "MIXED", what="bias")

    def bias_digits(self, stage: Stage) -> NDArray[np.int64]:
        """Bias, and half a unit where Lava rounds down, as weights of `DIGITS`: (channels, 3).

        Raises:
            UserError: it is too large for them.
        """
        bias = np.zeros(stage.channels, np.int64) if stage.bias is None else stage.bias
        if self.arithmetic == "lava" and stage.requantise is not None:
            bias = bias + stage.requantise.half
        if largest(bias) > STREAM_BIAS_MAX:
            raise UserError(
                f"stage {stage.name}: bias {largest(bias)}, half a unit included, exceeds {STREAM_BIAS_MAX}, the most "
                f"that {len(DIGITS)} synapses carry: train with more `bits` or without this teacher's outlier bias"
            )
        if (bias % 2).any():
            raise ValueError(f"{stage.name}: a bias is odd, which synapses of both signs cannot carry")
        return digits(bias)
