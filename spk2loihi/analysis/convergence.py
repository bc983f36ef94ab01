"""How fast average spiking rates (ASR) of a pipelined run approach the equilibrium as T grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spk2loihi.data import Encoded, collate, predictions, score, targets
from spk2loihi.files import plain
from spk2loihi.limits import DECAY_BITS
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.backend import pipelined_overflow, stacked
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.simulate import pad_id
from spk2loihi.threads import in_turns

STEPS = (1, 2, 4, 8, 16, 32, 64)
_FITTED = 3  # steps, the last: the law is that of long runs, before which deep stages have not heard from shallow ones
_TOGETHER = 4  # sentences of a turn
_RESOLUTION = 256  # the reference equilibrium resolves rates to 1 / (256 T): finer than any run above


def measure_convergence(
    network: Network,
    encoded: list[Encoded],
    labels: Sequence[Any],
    steps: tuple[int, ...] = STEPS,
    weighted: bool = True,
) -> dict[str, Any]:
    """Mean |ASR(t) - equilibrium ASR| of every firing stage over ``encoded``, and the score, after each of ``steps``.

    One pipelined run of the longest length serves all: a stage's first t steps do not depend on later ones. Lengths at
    which a pipelined run would be refused are left out. With feedback the equilibrium is a fixed point, which is
    solved.

    Args:
        weighted: in the ASR of a leaky network a spike counts ``(1 - decay / 4096) ** age``; False: 1, as without leak.
    """
    steps = tuple(t for t in steps if pipelined_overflow(network, t) is None)
    weighted = weighted and network.decay > 0
    keep = 1 - network.decay / 2**DECAY_BITS if weighted else 1.0
    parts = [encoded[i : i + _TOGETHER] for i in range(0, len(encoded), _TOGETHER)]
    found = in_turns(lambda part: _measured(network, part, steps, keep), parts)
    errors = {}
    for name in found[0].errors:
        alive = max(1, sum(part.alive[name] for part in found))
        errors[name] = [sum(each) / alive for each in zip(*(part.errors[name] for part in found), strict=True)]
    scores, metric = [], network.task["metric"]
    true = targets(metric, labels, [one.first for one in encoded])
    for logits in zip(*(part.logits for part in found), strict=True):
        scores.append(score(metric, predictions(stacked(logits), metric), true, network.task["labels"]))
    return {
        "steps": list(steps),
        "sentences": len(encoded),
        "weighted": weighted,
        "mean_abs_error": errors,
        "score": scores,
    }


class _Measured(NamedTuple):
    """Of some sentences: sums of errors by stage after each of the steps, of so many neurons; and logits."""

    errors: dict[str, list[float]]
    alive: dict[str, int]
    logits: list[NDArray[np.int64]]


def _measured(network: Network, encoded: list[Encoded], steps: tuple[int, ...], keep: float) -> _Measured:
    """``keep``: weight of a spike, of that of one a step younger."""
    batch = collate(encoded, pad_id(network))
    reference, _ = Emulator(network).equilibrium(batch, _RESOLUTION)
    run = Emulator(network, RunConfig("pipelined", steps=max(steps))).run(batch, record=True)
    assert run.trains is not None
    errors: dict[str, list[float]] = {}
    alive: dict[str, int] = {}
    for name, train in run.trains.items():
        equilibrium = reference[name].numpy() / (network.timesteps * _RESOLUTION)
        alive[name] = np.count_nonzero(np.broadcast_to(_alive(network, name, batch.mask), equilibrium.shape))
        errors[name] = []
        total, weight = np.zeros_like(equilibrium), 0.0
        for t, spikes in enumerate(train, 1):
            total, weight = keep * total + spikes, keep * weight + 1
            if t in steps:
                errors[name].append(float(np.abs(total / weight - equilibrium).sum()))
    logits = [Emulator(network, RunConfig("pipelined", steps=t)).logits(run.trains, batch) for t in steps]
    return _Measured(errors, alive, logits)


def _alive(network: Network, name: str, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
    stage = network[name]
    rows = mask[:, :1] if stage.tokens == "first" else mask
    return rows[:, None, :, None] & mask[:, None, None, :] if stage.is_scores else rows[..., None]


def convergence_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The given curves with ``overall`` (mean over stages if not given), ``fitted_exponent`` (theory: -1) of the last
    three steps, and ``fitted_from``, the first of them.

    Args:
        given: the ``convergence`` of `build_report`.

    Raises:
        ValueError: a curve has not one point per step.
    """
    data: dict[str, Any] = plain(dict(given))
    steps, errors = data["steps"], data["mean_abs_error"]
    overall = data.get("overall") or [sum(column) / len(column) for column in zip(*errors.values(), strict=True)]
    for name, curve in {**errors, "overall": overall, "score": data.get("score") or steps}.items():
        if len(curve) != len(steps) or not steps:
            raise ValueError(f"convergence curve {name} has {len(curve)} points for {len(steps)} steps")
    last = slice(-_FITTED, None)
    return {
        **data,
        "overall": overall,
        "fitted_exponent": _exponent(steps[last], overall[last]),
        "fitted_from": steps[last][0],
    }


def _exponent(steps: Sequence[float], errors: Sequence[float]) -> float | None:
    """Least-squares slope of log error against log steps; None with fewer than two positive errors."""
    points = [(math.log(t), math.log(e)) for t, e in zip(steps, errors, strict=True) if e > 0]
    if len(points) < 2:
        return None
    mean_t, mean_e = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (e - mean_e) for t, e in points) / spread if spread else None
