"""A sweep from its jobs to its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

from spk2loihi.data import formatted
from spk2loihi.energy import CoefficientSet
from spk2loihi.sweep.jobs import Job, run_jobs
from spk2loihi.sweep.sweep_report import build_sweep
from spk2loihi.versions import versions


def run_sweep(
    jobs: Sequence[Job],
    processes: int,
    coefficient_sets: Sequence[CoefficientSet],
    command: str | None,
    report: Callable[[str], None],
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Do all jobs, ``processes`` at a time (layout of the data: `spk2loihi.sweep.sweep_report`).

    Args:
        report: called with a line about every record; ``warn`` with one about everything that is left out.
    """
    records: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    for i, outcome in enumerate(run_jobs(jobs, processes, report), 1):
        at = f"[{i}/{len(jobs)}]"
        for record in outcome.records:
            records.append({**record, "name": outcome.job.name})
            key, score = record["key"], formatted(record["score"], record["metric"])
            report(f"{at} {outcome.job.name}: {key.get('schedule', key['encoding'])}, {score}")
        for name, reason in outcome.refused.items():
            refused.append({"name": name, "reason": reason})
            warn(f"{at} {name} is left out: {reason}")
    provenance = {
        "command": command,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": versions(),
    }
    return build_sweep(records, refused, coefficient_sets, provenance)
