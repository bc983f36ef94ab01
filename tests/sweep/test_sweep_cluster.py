"""A sweep on a cluster: the table of one process, whoever is killed, and nothing made twice."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.outputs import claim
from spk2loihi.sweep import run_sweep
from spk2loihi.sweep.axes import ways_of
from spk2loihi.sweep.run_sweep import Job, Outcome
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.manifest import fingerprint
from spk2loihi.training.settings import LossWeights, TrainSettings
from support.tiny_sweep import points_of, sweep
from support.tiny_task import TinyTask


def test_jobs_and_workers_are_two_ways(place: Path, tiny_task: TinyTask) -> None:
    outcome = sweep(tiny_task, place, "--jobs", 2, "--workers", 2)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Error: --jobs is 2, but a cluster has as many networks at a time as workers: leave")


def test_what_a_lost_worker_has_finished_is_not_made_again(place: Path, trained: list[str]) -> None:
    """The plan was made before: it says that the network is to be trained."""
    folder = place / "T4-8bit-penalty0"
    record = load_checkpoint(folder / "model.pt").training
    settings = TrainSettings(**{**record["settings"], "losses": LossWeights(**record["settings"]["losses"])})
    wanted = fingerprint(settings, record["manifest"])
    spec: Any = object()
    job = Job(folder.name, folder / "model.net", folder, ways_of(["rate"], ["windowed"]), None, spec, settings, wanted)
    outcome = run_sweep.run_job(job)
    assert (trained, outcome.refused) == ([], {})
    assert outcome.records[0]["score"] == next(p["score"] for p in points_of(place) if p["timesteps"] == 4)


def test_a_job_waits_for_the_process_that_is_still_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, order = Job("a", tmp_path / "a.net", tmp_path / "a", ()), []
    monkeypatch.setattr(run_sweep, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(run_sweep, "_run_logged", lambda job: order.append("second") or Outcome(job))
    with claim([], folder=job.folder):
        waiting = threading.Thread(target=run_sweep._run_alone, args=(job, None))
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_worker_changes_nothing(place: Path, tmp_path: Path, tiny_task: TinyTask, trained: list[str]) -> None:
    """One of two processes, with SIGKILL, in the middle of its network: the same table, and the same files."""
    out, killed = tmp_path / "other" / "sweep", []
    killer = threading.Thread(target=_kill_first, args=(out, killed))
    killer.start()
    outcome = sweep(tiny_task, out, "--workers", 2)
    killer.join()
    assert outcome.code == 0, outcome.err
    assert killed
    for one, other in zip(points_of(place), points_of(out), strict=True):
        differ = {name for name in one if one[name] != other[name]}
        assert differ <= {"network", "network_sha256"}  # which hold the name of the folder
    log = (out / killed[0] / "log.txt").read_text()
    assert log.count("task train: ") == 2  # once by the killed one
    trained.clear()
    assert sweep(tiny_task, out).code == 0
    assert trained == []


def _kill_first(out: Path, killed: list[str]) -> None:
    """The process that has a network in hand, and has read its data."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for lock in out.glob("T*/.made.lock"):
            log, who = lock.with_name("log.txt"), re.match(r"process (\d+)", lock.read_text())
            if who is not None and log.exists() and "task train: " in log.read_text():
                killed.append(lock.parent.name)
                os.kill(int(who[1]), signal.SIGKILL)
                return
        time.sleep(0.01)
