"""The integer network at work in Lava, run after run."""

from __future__ import annotations

from typing import Any

from spk2loihi.simulators.lava.graph import Graph
from spk2loihi.simulators.lava.lava_processes import LavaProcesses


class Running(LavaProcesses):
    """A compiled graph; every run starts it again."""

    def __init__(self, graph: Graph, run_config: Any, *, direct: bool, orderly: bool) -> None:
        self.graph = graph
        super().__init__(graph.root, run_config, graph.processes, direct=direct, orderly=orderly)

    def begin(self) -> None:
        """A new run: with its first step every process model starts again."""
        self.graph.timing.origin[0] = self.executed

    @property
    def steps(self) -> int:
        """Time steps of this run."""
        return self.executed - int(self.graph.timing.origin[0])

    def restless(self) -> str | None:
        """Settling: a stage that had a spike in the last step, or is yet to start; None if there is none."""
        steps, stages, timing = self.steps, self.graph.stages, self.graph.timing
        late = (stage.name for stage in self.graph.network.stages if timing.start(stage) > steps)
        return next((name for name, memory in stages.items() if memory.last.max() == steps), next(late, None))
