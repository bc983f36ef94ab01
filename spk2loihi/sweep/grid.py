"""The settings a sweep trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spk2loihi.training.settings import TrainSettings


@dataclass(frozen=True)
class TrainingPoint:
    """One network to train. Schedules and encodings are no part of it: they are ways to run the same network."""

    timesteps: int
    bits: float
    rate_penalty: float

    @property
    def name(self) -> str:
        """Name of its folder: ``T16-8bit-penalty0``."""
        return f"T{self.timesteps}-{self.bits:g}bit-penalty{self.rate_penalty:g}"

    def settings(self, base: TrainSettings) -> TrainSettings:
        return replace(
            base, timesteps=self.timesteps, bits=self.bits, losses=replace(base.losses, rate=self.rate_penalty)
        )


def grid(timesteps: Sequence[int], bits: Sequence[float], rate_penalties: Sequence[float]) -> list[TrainingPoint]:
    """Every combination, each once."""
    return [
        TrainingPoint(t, int(b) if b == int(b) else b, p)
        for b in dict.fromkeys(bits)
        for t in dict.fromkeys(timesteps)
        for p in dict.fromkeys(rate_penalties)
    ]
