"""Seconds from steps: how long a Loihi 2 takes for a sample, estimated from one measured run.

On PilotNet LIF (`spk2loihi.energy.pilotnet_bound`) a step took 153 us, with 150,710 SynOps on the busiest core: about
1.0 ns each, if they alone filled the step. Here a step takes as long as the SynOps of its busiest core, at that rate,
and no less than a chip-wide barrier (`FLOOR_S`). SynOps are spread evenly over the cores of a layer. Neuron updates,
messages between cores and input and output take time too, so the estimate is a lower one; the upper one gives every
step the measured time. A compiler that spreads a layer over more cores than `spk2loihi.fit` is faster
than both. Within a factor of ten of the measured load (`TRUSTED`) SynOps can be expected to fill a step; below it they
may not, and only the two ends are worth anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spk2loihi.energy.pilotnet_bound import BUSIEST_CORE, STEP_S, SYNOP_S
from spk2loihi.simulators.counters import StageOps

#: Seconds of a barrier over a whole mesh: Loihi 1, Davies et al. 2018, Table 2 (113 to 465 ns). For Loihi 2: not known.
FLOOR_S = 465e-9

#: SynOps of the busiest core in a step for which the measured run says how long they take.
TRUSTED = (BUSIEST_CORE / 10, BUSIEST_CORE * 10)

_NOTE = (
    "a step takes as long as the SynOps of its busiest core, at the rate of PilotNet LIF on one Loihi 2, spread evenly "
    "over the cores of a layer; neuron updates and messages are not in it"
)
_OVERRIDDEN = "every step takes the time given"


@dataclass(frozen=True)
class Steps:
    """The time axis of a run.

    Attributes:
        latency: steps to an answer.
        period: steps until the next sample may follow; the latency where one is done at a time.
        window: steps in which the stages of one depth fire, where depths take turns; None where all work at once.
        depths: of each stage, where depths take turns.
    """

    latency: float
    period: float
    window: int | None = None
    depths: Mapping[str, int] | None = None


@dataclass(frozen=True)
class _Load:
    """SynOps of the busiest core in a step of some stages."""

    synops: float
    stage: str


def estimate_time(
    stages: Sequence[StageOps],
    samples: int,
    steps: Steps,
    cores: Mapping[str, int],
    board: str,
    step_us: float | None = None,
) -> dict[str, Any] | None:
    """``time`` of a report; None where a stage fits no core, so that there is no partition.

    Args:
        cores: of each stage, from `spk2loihi.fit`.
        step_us: microseconds of every step, in place of the estimate.

    Returns:
        ``seconds`` to an answer, lower estimate; ``seconds_high``, every step as long as the measured one at least;
        ``samples_per_second``; ``step_us``, mean; ``steps``, ``period_steps``; ``busiest`` {stage, cores,
        synops_per_step}; ``trusted`` [SynOps of the busiest core in a step]; ``within``: whether the network's are;
        and the constants.
    """
    loads = {
        ops.name: (ops.synops + ops.attention_synops) / samples / cores.get(ops.name, 1)
        for ops in stages
        if cores.get(ops.name, 1)
    }
    if len(loads) < len(stages):
        return None
    groups = _groups(loads, steps)
    busiest = max((load for load, _ in groups), key=lambda load: load.synops)
    seconds, high = _seconds(groups, steps, SYNOP_S, FLOOR_S), _seconds(groups, steps, SYNOP_S, STEP_S)
    if step_us is not None:
        seconds = high = steps.latency * step_us / 1e6
    period = seconds * steps.period / steps.latency
    return {
        "seconds": seconds,
        "seconds_high": high,
        "samples_per_second": 1 / period,
        "samples_per_second_low": steps.latency / (high * steps.period),
        "steps": steps.latency,
        "period_steps": steps.period,
        "step_us": seconds / steps.latency * 1e6,
        "step_us_given": step_us,
        "busiest": {"stage": busiest.stage, "cores": cores.get(busiest.stage, 1), "synops_per_step": busiest.synops},
        "trusted": list(TRUSTED),
        "within": TRUSTED[0] <= busiest.synops <= TRUSTED[1],
        "board": board,
        "synop_ns": SYNOP_S * 1e9,
        "floor_us": FLOOR_S * 1e6,
        "measured_step_us": STEP_S * 1e6,
        "measured_busiest_synops": BUSIEST_CORE,
        "assumption": _NOTE if step_us is None else _OVERRIDDEN,
    }


def _groups(loads: Mapping[str, float], steps: Steps) -> list[tuple[_Load, float]]:
    """(load of a step, steps) of stages that work at the same time."""
    if steps.window is None or steps.depths is None:
        name = max(loads, key=lambda stage: loads[stage])
        return [(_Load(loads[name] / steps.period, name), steps.latency)]
    found: list[tuple[_Load, float]] = []
    for depth in sorted(set(steps.depths.values())):
        name = max((n for n in loads if steps.depths[n] == depth), key=lambda stage: loads[stage])
        found.append((_Load(loads[name] / steps.window, name), steps.window))
    return found


def _seconds(groups: list[tuple[_Load, float]], steps: Steps, synop_s: float, floor_s: float) -> float:
    """To an answer: every group for its steps, and whatever steps are left at the floor."""
    busy = sum(n for _, n in groups)
    return sum(n * max(floor_s, load.synops * synop_s) for load, n in groups) + max(0.0, steps.latency - busy) * floor_s
