"""What a sweep varies: settings to train, and ways to run one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.errors import UserError
from spk2loihi.limits import WEIGHT_BITS
from spk2loihi.ranges import RANGES, check_number, shown
from spk2loihi.training.settings import TrainSettings


@dataclass(frozen=True)
class TrainingPoint:
    """One network to train. Schedules and encodings are no part of it: they are ways to run the same network."""

    timesteps: int
    bits: float
    rate_penalty: float
    seed: int | None = None  # of several; None: the only one

    @property
    def point(self) -> str:
        """What it shares with other seeds: ``T16-8bit-penalty0``."""
        return f"T{self.timesteps}-{self.bits:g}bit-penalty{self.rate_penalty:g}"

    @property
    def name(self) -> str:
        """Name of its folder: ``T16-8bit-penalty0``, or ``T16-8bit-penalty0-seed1``."""
        return self.point if self.seed is None else f"{self.point}-seed{self.seed}"

    def settings(self, base: TrainSettings) -> TrainSettings:
        return replace(
            base,
            timesteps=self.timesteps,
            bits=self.bits,
            losses=replace(base.losses, rate=self.rate_penalty),
            seed=base.seed if self.seed is None else self.seed,
        )


def grid(
    timesteps: Sequence[int], bits: Sequence[float], rate_penalties: Sequence[float], seeds: Sequence[int] = ()
) -> list[TrainingPoint]:
    """Every combination, each once.

    Args:
        seeds: to train each with; none: the seed of all.

    Raises:
        UserError: a value out of its range, or more networks than a sweep takes.
    """
    for name, values in (("timesteps", timesteps), ("rate_penalty", rate_penalties)):
        for value in values:
            check_number(name, value)
    for value in bits:
        if isinstance(value, bool) or value not in WEIGHT_BITS:
            known = ", ".join(f"{each:g}" for each in WEIGHT_BITS)
            raise UserError(f"`bits` is {shown(value)}, but a weight has one of {known}: choose among them")
    count = len(set(bits)) * len(set(timesteps)) * len(set(rate_penalties)) * max(1, len(seeds))
    if count not in RANGES["networks"]:
        raise UserError(
            f"a sweep of {count:,} networks is wanted, but it trains {RANGES['networks']}: give fewer `timesteps`, "
            "`bits`, `rate_penalty` or `seeds`"
        )
    return [
        TrainingPoint(t, int(b) if b == int(b) else b, p, seed)
        for b in dict.fromkeys(bits)
        for t in dict.fromkeys(timesteps)
        for p in dict.fromkeys(rate_penalties)
        for seed in (*seeds,) or (None,)
    ]


ENCODINGS: tuple[Encoding, ...] = ("rate", "graded")
SCHEDULES: tuple[Schedule, ...] = ("windowed", "settling")
"""All that compute the quantised equilibrium, so that one score is that of each. Pipelined runs do not."""


@dataclass(frozen=True)
class Way:
    """One way to run a network."""

    schedule: Schedule = "windowed"
    encoding: Encoding = "rate"

    @property
    def name(self) -> str:
        """``rate``, ``graded`` or ``settling``."""
        return self.encoding if self.schedule == "windowed" else self.schedule


def ways_of(encodings: Sequence[str], schedules: Sequence[str]) -> tuple[Way, ...]:
    """Every combination that exists, each once: settling takes rate alone.

    Raises:
        UserError: a name is unknown, or settling is wanted without rate.
    """
    for given, known, kind in ((encodings, ENCODINGS, "encoding"), (schedules, SCHEDULES, "schedule")):
        unknown = next((name for name in given if name not in known), None)
        if unknown is not None:
            raise UserError(f"{kind} {shown(unknown)} is not known: choose {' or '.join(known)}, or both with a comma")
    if "settling" in schedules and "rate" not in encodings:
        raise UserError(
            "schedule 'settling' sends spikes of +1 and -1, never graded messages, and `encoding` is "
            f"{','.join(encodings)!r}: add rate to `encoding`, or leave settling out"
        )
    return tuple(
        Way(schedule, encoding)
        for schedule in SCHEDULES
        for encoding in ENCODINGS
        if schedule in schedules and encoding in encodings and (schedule, encoding) != ("settling", "graded")
    )
