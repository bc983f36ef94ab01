"""A sweep of a tiny task: every network is trained once, and only what is missing is made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.training.checkpoint import load_checkpoint
from support.sweep_records import CONTRACT
from support.tiny_sweep import SMALL, points_of, sweep
from support.tiny_task import Outcome, TinyTask, spk2loihi


def test_sweep_trains_exports_and_runs_every_point(swept: tuple[Path, Outcome]) -> None:
    folder, outcome = swept
    points = json.loads((folder / "points.json").read_text())
    assert points == points_of(folder / "sweep")
    assert {(p["timesteps"], p["bits"], p["encoding"]) for p in points} == {
        (t, 8, e) for t in (2, 4) for e in ("rate", "graded")
    }
    assert all(set(p) >= CONTRACT for p in points)
    for t in (2, 4):
        rate, graded = (
            next(p for p in points if (p["timesteps"], p["encoding"]) == (t, e)) for e in ("rate", "graded")
        )
        assert rate["score"] == graded["score"]
        assert rate["synops_per_sample"] > graded["synops_per_sample"]
        assert (rate["latency_steps"], graded["latency_steps"]) == (14 * t + 1, 15)
        assert rate["network_sha256"] == graded["network_sha256"]
    for name in ("T2-8bit-penalty0", "T4-8bit-penalty0"):
        assert {p.name for p in (folder / "sweep" / name).iterdir()} == {
            "model.pt", "metrics.json", "model.net", "rate.json", "graded.json",
        }  # fmt: skip
    assert not outcome.err
    assert "not among the points" in outcome.out
    # what a point says is what simulate says of its network
    network = folder / "sweep" / "T4-8bit-penalty0" / "model.net"
    assert spk2loihi("simulate", network, "--json", folder / "simulate.json").code == 0
    simulated = json.loads((folder / "simulate.json").read_text())
    here = next(p for p in points if (p["timesteps"], p["encoding"]) == (4, "rate"))
    assert here["score"] == simulated["score"]
    assert here["synops_per_sample"] == simulated["synops"]["per_sample"]
    assert here["latency_steps"] == simulated["latency_steps"]


def test_teacher_is_fine_tuned_once_and_points_are_what_train_makes(
    swept: tuple[Path, Outcome], tiny_task: TinyTask, tmp_path: Path
) -> None:
    folder, outcome = swept
    assert outcome.out.count("teacher: epoch 1/1") == 1
    teacher = ["--teacher", str(tiny_task.teacher)]
    alone = spk2loihi("train", *tiny_task.data_options, *teacher, *SMALL, "--timesteps", 4, "-o", tmp_path / "model.pt")
    assert alone.code == 0, alone.err
    expected = load_checkpoint(tmp_path / "model.pt").model.state_dict()
    weights = load_checkpoint(folder / "sweep" / "T4-8bit-penalty0" / "model.pt").model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    assert weights.keys() == expected.keys()


def test_finished_points_are_neither_trained_nor_run_again(
    place: Path, tiny_task: TinyTask, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spk2loihi.sweep import measure_network

    def simulate(*arguments: Any, **rest: Any) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(measure_network, "simulate", simulate)
    before = points_of(place)
    (place / "sweep.json").unlink()
    assert sweep(tiny_task, place).code == 0
    assert trained == []
    assert [{**p, "network": ""} for p in points_of(place)] == [{**p, "network": ""} for p in before]


def test_settling_can_be_added_to_a_finished_sweep(
    place: Path, tiny_task: TinyTask, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, and of a network nothing is run but what is new; its point is what `simulate` says."""
    from spk2loihi.sweep import measure_network

    real, ran = measure_network.simulate, []

    def simulate(backend: Any, *arguments: Any, **rest: Any) -> Any:
        ran.append(backend.timeline.schedule)
        return real(backend, *arguments, **rest)

    monkeypatch.setattr(measure_network, "simulate", simulate)
    outcome = sweep(tiny_task, place, "--schedule", "windowed,settling")
    assert outcome.code == 0, outcome.err
    assert (trained, ran) == ([], ["settling", "settling"])
    points = points_of(place)
    for t in (2, 4):
        windowed, settling = (
            next(p for p in points if (p["timesteps"], p["encoding"], p["schedule"]) == (t, "rate", schedule))
            for schedule in ("windowed", "settling")
        )
        assert settling["score"] == windowed["score"]
        assert settling["synops_per_sample"] > windowed["synops_per_sample"]
        assert settling["mean_latency_steps"] <= settling["latency_steps"] < windowed["latency_steps"]
    assert len(points) == 6
    settle = ["--schedule", "settling", "--json", place / "simulate.json"]
    assert spk2loihi("simulate", place / "T4-8bit-penalty0" / "model.net", *settle).code == 0
    simulated = json.loads((place / "simulate.json").read_text())
    for name in ("latency_steps", "mean_latency_steps", "score"):
        assert settling[name] == simulated[name]
    assert settling["synops_per_sample"] == simulated["synops"]["per_sample"]
    # another stagger of the same network is another run
    record = place / "T4-8bit-penalty0" / "settling.json"
    kept = json.loads(record.read_text())
    assert kept["key"]["stagger"] == settling["stagger"] == 1
    record.write_text(json.dumps({**kept, "key": {**kept["key"], "stagger": 3}}))
    ran.clear()
    assert sweep(tiny_task, place, "--schedule", "settling", "--encoding", "rate").code == 0
    assert ran == ["settling"]


def test_a_network_that_cannot_settle_keeps_its_windows(
    place: Path, tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spk2loihi.simulators import backend

    def check(network: Any) -> None:
        raise UserError("stage layer.0.key: worst-case membrane 9 of a settling run exceeds 8")

    monkeypatch.setattr(backend, "check_settling", check)
    outcome = sweep(tiny_task, place, "--schedule", "windowed,settling")
    assert outcome.code == 0
    assert "T4-8bit-penalty0, settling is left out: stage layer.0.key" in outcome.err
    data = json.loads((place / "sweep.json").read_text())
    assert {(p["timesteps"], p["encoding"]) for p in data["points"]} == {
        (t, e) for t in (2, 4) for e in ("rate", "graded")
    }
    assert [r["name"] for r in data["refused"]] == ["T2-8bit-penalty0, settling", "T4-8bit-penalty0, settling"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "again"),
    [("T4-8bit-penalty0", ["T4-8bit-penalty0"]), ("T4-8bit-penalty0/model.net", []), ("teacher.json", None)],
)
def test_only_what_is_missing_is_made(
    lost: str, again: list[str] | None, place: Path, tiny_task: TinyTask, trained: list[str]
) -> None:
    """A folder is trained again, a network only exported; a teacher of unknown origin is refused."""
    before = points_of(place)
    shutil.rmtree(place / lost) if (place / lost).is_dir() else (place / lost).unlink()
    outcome = sweep(tiny_task, place)
    if again is None:
        assert outcome.code == 2 and "is in the way of the fine-tuned teacher" in outcome.err
        return
    assert outcome.code == 0, outcome.err
    assert trained == again
    for was, now in zip(before, points_of(place), strict=True):
        assert (was["score"], was["synops_per_sample"]) == (now["score"], now["synops_per_sample"])


class _Stopped(Exception):
    pass


@pytest.mark.slow
def test_interrupted_sweep_goes_on(
    place: Path, tmp_path: Path, tiny_task: TinyTask, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the second network: it alone is then trained, to the weights it would have had."""
    from spk2loihi.training.loop import Loop

    optimise, done = Loop._optimise, [0]

    def cut(self: Loop, *batch: Any) -> float:
        done[0] += 1
        if done[0] == 18 + 3 + 2:  # an epoch of the teacher, the first network, a step of the second
            raise _Stopped
        return optimise(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_optimise", cut)
        with pytest.raises(_Stopped):
            sweep(tiny_task, tmp_path / "other")
    assert trained == ["teacher", "T2-8bit-penalty0", "T4-8bit-penalty0"]
    trained.clear()
    assert sweep(tiny_task, tmp_path / "other").code == 0
    assert trained == ["T4-8bit-penalty0"]
    for one, other in zip(points_of(place), points_of(tmp_path / "other"), strict=True):
        assert (one["score"], one["synops_per_sample"]) == (other["score"], other["synops_per_sample"])


def test_networks_that_exist(place: Path, tmp_path: Path, tiny_task: TinyTask, trained: list[str]) -> None:
    networks = sorted(place.glob("*/model.net"))
    outcome = spk2loihi("sweep", "--from-networks", *networks, "-o", tmp_path / "o", "--encoding", "rate")
    assert outcome.code == 0, outcome.err
    assert trained == []
    theirs = [p for p in points_of(place) if p["encoding"] == "rate"]
    for one, other in zip(theirs, points_of(tmp_path / "o"), strict=True):
        other["on_joint_front"] = one["on_joint_front"]  # without graded points there is less to compare
        assert {**one, "name": "", "network": ""} == {**other, "name": "", "network": ""}
    outcome = spk2loihi("sweep", *networks, "-o", tmp_path / "p", "--dev-file", tiny_task.dev_file, "--samples", "7")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "p" / "sweep.json").read_text())["samples"] == 7


def test_a_point_that_cannot_be_made_is_left_out(
    place: Path, tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spk2loihi.export import convert

    (place / "T4-8bit-penalty0" / "model.net").unlink()

    def fold(*arguments: Any) -> None:
        raise UserError("stage layer.0.key: |U| is 9, but 24 bits hold 8: lower --timesteps")

    monkeypatch.setattr(convert, "fold", fold)
    outcome = sweep(tiny_task, place)
    assert outcome.code == 0
    assert "T4-8bit-penalty0 is left out: stage layer.0.key" in outcome.err
    data = json.loads((place / "sweep.json").read_text())
    assert {p["timesteps"] for p in data["points"]} == {2}
    assert [r["name"] for r in data["refused"]] == ["T4-8bit-penalty0"]
    assert "stage layer.0.key" in (place / "sweep.html").read_text()


@pytest.mark.slow
def test_processes_find_what_one_finds(place: Path, tmp_path: Path, tiny_task: TinyTask) -> None:
    outcome = sweep(tiny_task, tmp_path / "two", "--jobs", "2")
    assert outcome.code == 0, outcome.err
    for one, other in zip(points_of(place), points_of(tmp_path / "two"), strict=True):
        assert (one["score"], one["synops_per_sample"]) == (other["score"], other["synops_per_sample"])
    assert "student: epoch 1/1" in (tmp_path / "two" / "T2-8bit-penalty0" / "log.txt").read_text()
