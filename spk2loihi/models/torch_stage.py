"""A stage of the student as torch sees it: drive, optional soma function, fire gate.

The same list of stages is swept once for the equilibrium (`spiking_bert`), stepped through time (`dynamics`), and
swept with the exported integer soma functions for the integer trace (`spk2loihi.export.trace`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from spk2loihi.models.neuron import FireGate, Threshold

Counts = dict[str, Tensor]
"""Spike counts by stage name: (B, L, d), or (B, H, L, L) for scores; L is 1 for first-token stages."""

Drive = Callable[[Counts, float], tuple[Tensor, Tensor]]
"""(counts summed over ``steps`` steps, steps) -> (U, float value of one unit of U). Leaky sums count parts of steps."""


SomaFunction = Callable[[Tensor, Tensor], Tensor]
"""(U, float value of one unit of U) -> float values of the gate's input."""


@dataclass(frozen=True)
class TorchStage:
    """One population, wired for one batch."""

    name: str
    depth: int  # window index
    drive: Drive
    gate: FireGate | None  # None: a readout, whose drive is the result
    soma: SomaFunction | None = None  # (U, unit) -> float values
    rescale: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None  # (U, unit) -> integer affine of U, unit
    order: Literal[0, 1, 2] = 1  # U grows as steps**order: 0 constant (embedding), 1 linear synapses, 2 attention
    mask: Tensor | None = None  # 1.0 where the neuron's token exists, broadcastable to the counts
    threshold: Threshold | None = None  # of the gate, where it is known already
    feedback: bool = False  # the drive reads the stage's own counts, where there are any yet

    def fire(self, u: Tensor, unit: Tensor, precise: bool) -> Tensor:
        """Spike counts of the drive ``u``, in its dtype.

        Args:
            precise: compute the soma function in float64, whose spikes are those of the integer function but for one
                in many millions (GELU: all of them); float32 flips a neuron near its threshold now and then.
        """
        assert self.gate is not None
        if self.rescale is not None:
            u, unit = self.rescale(u, unit)
        if self.soma is None:
            self._calibrate(u, unit)
            return self.gate(u, unit, self.threshold)
        values = self.soma(u.double(), unit.double()) if precise else self.soma(u, unit)
        self._calibrate(values, None)
        return self.gate(values, None, self.threshold).to(u.dtype)

    def _calibrate(self, drive: Tensor, unit: Tensor | None) -> None:
        assert self.gate is not None
        if self.gate.calibrating:
            values = (drive if unit is None else drive * unit).detach()
            if self.mask is not None:
                values = values[self.mask.expand_as(values).bool()]  # padding has outliers of its own
            self.gate.calibrate(values)

    @property
    def uses_mean(self) -> bool:
        """Pipelined, the stage's charge is a function of the running mean of its drive, not the sum of its drive."""
        return self.soma is not None or self.order != 1
