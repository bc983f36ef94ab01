"""Rate beside graded: the same network, the same spike counts, two ways to send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spk2loihi.choices import Encoding
from spk2loihi.energy import estimate
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.simulators.counters import StageOps


@dataclass(frozen=True)
class EncodedRun:
    """A windowed run of all samples in one encoding. ``time``: of `estimate_time`."""

    encoding: Encoding
    stages: Sequence[StageOps]
    latency_steps: int
    time: Mapping[str, Any] | None


def compare_encodings(runs: Sequence[EncodedRun], samples: int, sets: Sequence[CoefficientSet]) -> dict[str, Any]:
    """``encodings`` of a report.

    The first set is that of the chip whose user chooses. Its choice is the encoding that costs no more in SynOps, steps
    and energy, or none where the encodings differ in which is cheaper.

    Returns:
        ``runs`` [{encoding, schedule, synops, messages, latency_steps, energy_nJ {set}, seconds}], all a sample;
        ``choice``: an encoding or null; ``coefficients``: the set that chose.
    """
    rows = [
        {
            "encoding": run.encoding,
            "schedule": "windowed",
            "synops": estimate.synops(run.stages) / samples,
            "messages": sum(ops.messages for ops in run.stages) / samples,
            "latency_steps": run.latency_steps,
            "energy_nJ": {
                s.name: estimate.network_energy(run.stages, s, run.encoding).total / samples / 1e3 for s in sets
            },
            "seconds": None if run.time is None else run.time["seconds"],
        }
        for run in runs
    ]
    first = sets[0].name

    def costs(row: Mapping[str, Any]) -> tuple[float, ...]:
        return row["synops"], row["latency_steps"], row["energy_nJ"][first]

    best = [a for a in rows if all(x <= y for b in rows for x, y in zip(costs(a), costs(b), strict=True))]
    return {"runs": rows, "choice": best[0]["encoding"] if best else None, "coefficients": first}
