"""A sweep, job by job: train and export a network if need be, run it in every way, and put the records together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from spk2loihi.child_processes import end_workers, start_worker, starting_workers, worker_arguments
from spk2loihi.cluster import Cluster, on_cluster
from spk2loihi.data import TaskSpec, formatted
from spk2loihi.energy import CoefficientSet
from spk2loihi.errors import UserError
from spk2loihi.outputs import Busy, claim
from spk2loihi.progress import progress_bar
from spk2loihi.sweep.axes import Way
from spk2loihi.sweep.finished import is_exported, is_trained
from spk2loihi.sweep.measure_network import measure
from spk2loihi.sweep.sweep_report import build_sweep
from spk2loihi.training.settings import TrainSettings
from spk2loihi.versions import versions

LOG = "log.txt"
_LOOK_SECONDS = 1.0  # between two looks whether another process has left a job


@dataclass(frozen=True)
class Job:
    """One network.

    Attributes:
        folder: where its records are kept, and the network too if it is to be made.
        spec: the task to train and to run on; None: the one the network remembers.
        settings: of the training; None: the network exists and is not made.
        wanted: fingerprint of the training (`spk2loihi.training.manifest.fingerprint`).
        point: name of the point of which this network is one seed; None: a point of its own.
    """

    name: str
    network: Path
    folder: Path
    ways: tuple[Way, ...]
    samples: int | None = None
    spec: TaskSpec | None = None
    settings: TrainSettings | None = None
    wanted: dict[str, str] = field(default_factory=dict)
    point: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Records of a job's network, one a way.

    Attributes:
        refused: what is left out, the network or a way to run it, and why.
    """

    job: Job
    records: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def run_job(job: Job, report: Callable[[str], None] = lambda line: None) -> Outcome:
    """Do one job. What cannot be trained, exported or run is refused in words, so that the others go on."""
    try:
        if job.settings is not None:
            assert job.spec is not None
            _make(job, job.spec, job.settings, report)
        with progress_bar() as bar:
            task = bar.add_task(f"simulate {job.name}", total=None)
            spec = None if job.settings is not None else job.spec
            records, refused = measure(job.network, job.ways, spec, job.samples, job.folder, _advance(bar, task))
            return Outcome(job, records, {f"{job.name}, {way}": reason for way, reason in refused.items()})
    except UserError as error:
        return Outcome(job, refused={job.name: str(error)})


def _advance(bar: Any, task: Any) -> Callable[[int], None]:
    return lambda n: bar.advance(task, n)


def _make(job: Job, spec: TaskSpec, settings: TrainSettings, report: Callable[[str], None]) -> None:
    from spk2loihi.export.convert import export_model
    from spk2loihi.training.train import train

    model = job.folder / "model.pt"
    if is_exported(job.network, job.wanted):  # by a worker that was lost before it could say so
        return
    if not is_trained(model, job.wanted):
        train(spec, settings, model, resume=True, report=report)
    export_model(model, job.network)


def run_jobs(
    jobs: Sequence[Job], processes: int, report: Callable[[str], None], cluster: Cluster | None = None
) -> Generator[Outcome, None, None]:
    """Outcomes as they come: one after the other in this process, ``processes`` at a time in others, or on a cluster.

    Other processes share torch's threads equally, and write what they say to ``log.txt`` in the job's folder.

    Raises:
        UserError: a process was killed, as the system does when memory runs out; on a cluster, as
            `spk2loihi.cluster.on_cluster`.
    """
    if cluster is not None:
        with contextlib.closing(on_cluster(cluster, _run_alone, jobs, report=report)) as results:
            for _, outcome in results:
                yield outcome
        return
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            yield run_job(job, report)
        return
    processes = min(processes, len(jobs))
    threads = max(1, torch.get_num_threads() // processes)
    # spawned, because a process that has used CUDA or threads cannot be forked safely
    with ProcessPoolExecutor(processes, get_context("spawn"), start_worker, worker_arguments(threads)) as pool:
        try:
            with starting_workers():
                waiting = [pool.submit(_run_logged, job) for job in jobs]
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool:
            raise UserError(
                f"one of {processes} processes was killed, perhaps for want of memory: run the same command again with "
                "fewer `jobs`, and finished points are kept"
            ) from None
        except Exception:
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # interrupted
            end_workers(pool)
            raise


def _run_logged(job: Job) -> Outcome:
    job.folder.mkdir(parents=True, exist_ok=True)
    with (
        (job.folder / LOG).open("a", encoding="utf-8", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        return run_job(job, print)


def _run_alone(job: Job, _: None) -> Outcome:
    """On a cluster, where a worker that the scheduler has lost, or whose client has gone, may still be at the job.

    When that one has ended, what it has finished is found in the folder.
    """
    while True:
        try:
            with claim([], folder=job.folder):
                return _run_logged(job)
        except Busy:
            time.sleep(_LOOK_SECONDS)


def run_sweep(
    jobs: Sequence[Job],
    processes: int,
    coefficient_sets: Sequence[CoefficientSet],
    command: str | None,
    report: Callable[[str], None],
    warn: Callable[[str], None],
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Do all jobs, ``processes`` at a time or on a cluster (layout of the data: `spk2loihi.sweep.sweep_report`).

    Args:
        report: called with a line about every record; ``warn`` with one about everything that is left out.
    """
    records: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    with contextlib.closing(run_jobs(jobs, processes, report, cluster)) as outcomes:
        for i, outcome in enumerate(outcomes, 1):
            at = f"[{i}/{len(jobs)}]"
            for record in outcome.records:
                records.append({**record, "name": outcome.job.point or outcome.job.name})
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
