"""How a network runs in time: what a user may choose, and the time axis that follows from the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import ARITHMETICS, ENCODINGS, SCHEDULES, Arithmetic, Encoding, Schedule
from spk2loihi.errors import UserError
from spk2loihi.limits import TIMESTEPS_MAX
from spk2loihi.network.stream import stream_delays
from spk2loihi.ranges import check_numbers, shown

if TYPE_CHECKING:
    from spk2loihi.network.network import Network, Stage


class RunOptions(TypedDict, total=False):
    """Changes to a network's default configuration, as keyword arguments (`Network.run_config`)."""

    schedule: Schedule | None
    encoding: Encoding | None
    timesteps: int | None
    stagger: int | None
    arithmetic: Arithmetic | None


@dataclass(frozen=True)
class RunConfig:
    """How to run a network. A network file stores one as its default; `Network.run_config` changes parts of it.

    Args:
        schedule: when gates open. ``windowed``: a stage fires for T steps after its sources have. ``pipelined``: all
            gates are open from the start. ``settling``: neurons fire, and take spikes back, until all are silent.
            ``streamed``: one token a step, for networks of the `stock` preset, which have no other.
        encoding: n spikes (``rate``), or one message with payload n (``graded``: windowed, and always streamed).
        steps: length of a pipelined run, T by default; most steps of a settling run, `Timeline.settling_bound` by
            default. A window always has T steps. Files of networks with leak or feedback have a default of their own.
        stagger: settling only: steps by which a stage starts after those of the depth before it, 0 to T.
        arithmetic: streamed only: how products are rounded, as Lava's CPU models do (``lava``) or as Loihi 2 does
            (``chip``).

    Raises:
        UserError: an unknown name, or an encoding that the schedule does not have.
    """

    schedule: Schedule = "windowed"
    encoding: Encoding = "rate"
    steps: int | None = None
    stagger: int = 1
    arithmetic: Arithmetic = "lava"

    def __post_init__(self) -> None:
        for what, name, known in (
            ("schedule", self.schedule, SCHEDULES),
            ("encoding", self.encoding, ENCODINGS),
            ("arithmetic", self.arithmetic, ARITHMETICS),
        ):
            if name not in known:
                raise UserError(f"`{what}` is {shown(name)}: choose one of {', '.join(known)}")
        if self.encoding == "graded" and self.schedule not in ("windowed", "streamed"):
            raise UserError(
                "graded spikes exist in the windowed and streamed schedules only, but `schedule` is "
                f"{self.schedule}: choose the `encoding` rate"
            )
        if self.encoding == "rate" and self.schedule == "streamed":
            raise UserError("`encoding` is rate, but a streamed network sends graded messages only: leave it out")
        if self.arithmetic != "lava" and self.schedule != "streamed":
            raise UserError(
                f"`arithmetic` is {self.arithmetic}, but with the {self.schedule} schedule nothing is rounded: "
                "leave it out"
            )
        if isinstance(self.steps, int) and self.steps < 1:
            raise UserError(
                f"`timesteps` is {shown(self.steps)}, but a run has at least 1 step: choose a larger `timesteps`"
            )
        check_numbers({"timesteps": self.steps}, {"timesteps": "run_steps"})

    def check(self, timesteps: int, only: Schedule | None) -> RunConfig:
        """The configuration, if a network of that T can run so; UserError if not.

        Args:
            only: the network's one schedule (`Network.only_schedule`).
        """
        check_schedule(self.schedule, only)
        if only == "streamed" and self.steps is not None:
            raise UserError(
                f"`timesteps` is {self.steps}, but a streamed run takes as long as its sentences: leave it out"
            )
        if isinstance(self.stagger, bool) or not isinstance(self.stagger, int) or not 0 <= self.stagger <= timesteps:
            raise UserError(
                f"`stagger` is {shown(self.stagger)}, but stages start 0 to T = {timesteps} steps after one another: "
                "choose a number in that range"
            )
        if self.schedule == "windowed" and self.steps not in (None, timesteps):
            raise UserError(
                f"`timesteps` is {self.steps}, but this network was exported for windows of {timesteps} steps: leave "
                "`timesteps` out, choose the `schedule` pipelined, or train again"
            )
        if self.encoding == "graded" and timesteps > TIMESTEPS_MAX:
            raise UserError(
                f"`timesteps` is {timesteps}, but a graded message holds at most {TIMESTEPS_MAX}: choose the "
                "`encoding` rate, or train with fewer `timesteps`"
            )
        return self


def check_schedule(schedule: str, only: Schedule | None) -> None:
    """UserError for a schedule that a network whose one schedule is ``only`` does not have."""
    if (only is None and schedule != "streamed") or schedule == only:
        return
    known = ", ".join(name for name in SCHEDULES if name != "streamed") if only is None else only
    kinds = {"streamed": "of the stock preset", "pipelined": "with leak or feedback"}
    kind = "of another than the stock preset" if only is None else kinds[only]
    raise UserError(
        f"`schedule` is {shown(schedule)}, but a network {kind} runs {known}: "
        f"choose {'one of them' if only is None else 'that one'}, or leave `schedule` out"
    )


class Timeline:
    """The time axis of one network under one `RunConfig`.

    Attributes:
        config: the configuration; schedule, encoding, stagger and arithmetic are its.
        steps: steps of a window (1 when graded), of a pipelined run, or the most of a settling run; streamed: 1, since
            a neuron sends one message a token.

    Raises:
        UserError: the network cannot run so: another window than its own, or a stagger out of range.
    """

    def __init__(self, network: Network, config: RunConfig) -> None:
        self.network, self.config = network, config
        self.schedule, self.encoding, self.stagger = config.schedule, config.encoding, config.stagger
        self.arithmetic = config.arithmetic
        config.check(network.timesteps, network.only_schedule)
        window = network.timesteps
        if config.schedule == "streamed":
            self.steps = 1
        elif config.schedule == "windowed":
            self.steps = window if config.encoding == "rate" else 1
        elif config.schedule == "pipelined":
            self.steps = config.steps or window
        else:
            self.steps = config.steps or self.settling_bound()

    @property
    def latency_steps(self) -> int:
        """Time steps until the readout holds the answer. Only a settling run itself knows when it was silent."""
        return self.latency_of(self.steps)

    def latency_of(self, steps: int) -> int:
        """Time steps until the readout holds the answer, for a window or a pipelined run of ``steps``.

        Settling: ``steps`` themselves, those until the network is silent.
        """
        depth = self.network.readout.depth
        if self.schedule == "settling":
            return steps
        if self.schedule == "streamed":
            return stream_delays(self.network, self.network.max_tokens)[self.network.readout.name] + 1
        return depth * steps + 1 if self.schedule == "windowed" else depth + steps

    def start(self, stage: Stage) -> int:
        """Settling: the step at which a stage gets its bias and may fire for the first time."""
        return stage.depth * self.stagger + 1

    def settled(self, last: NDArray[np.int64]) -> NDArray[np.int64]:
        """Settling: steps after which the readout holds the answer, for the last steps with a spike, (B,) each."""
        return np.maximum(last + 1, self.start(self.network.readout))

    def settling_bound(self) -> int:
        """Settling: steps after which the network is silent and the readout holds the answer, whatever the input.

        A tracer moves by at most T - low after its sources have fallen silent, and by at most T if it starts then.
        """
        window = self.network.timesteps
        last: dict[str, int] = {}
        for stage in self.network.stages:
            if stage.fires:
                sources = max((last[source] for source in stage.sources), default=0)
                span = window * (2 if stage.signed and stage.depth else 1)
                last[stage.name] = max(sources + span, self.start(stage) - 1 + window)
        return max(*last.values(), self.start(self.network.readout) - 1) + 1
