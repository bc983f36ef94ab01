"""The sweep: the front by brute force, what a point says, networks trained once, and a page that stands alone."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.reporting.sweep_page import render_html
from spk2loihi.simulators.counters import StageOps
from spk2loihi.sweep.axes import TrainingPoint, Way, grid, ways_of
from spk2loihi.sweep.front import mark_front, mark_joint_front, non_dominated
from spk2loihi.sweep.sweep_report import build_sweep
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.settings import TrainSettings
from support.chromium import Chromium, needs_browser
from support.tiny_task import Outcome, TinyTask, spk2loihi

SMALL = ["--max-tokens", "16", "--batch-size", "10", "--lr", "1e-3", "--steps", "3"]
POINTS = ["--timesteps", "2,4", "--bits", "8"]
CONTRACT = {
    "timesteps", "bits", "encoding", "score", "synops_per_sample", "latency_steps", "t_times_density", "on_front",
}  # fmt: skip


# --- the front


@pytest.mark.parametrize("seed", range(20))
def test_front_is_what_nothing_beats(seed: int) -> None:
    """Small integers, so that there are ties in single columns and whole rows that are equal."""
    rows = np.random.default_rng(seed).integers(0, 4, (12, 3)).tolist()

    def beats(a: list[int], b: list[int]) -> bool:
        return a != b and a[0] <= b[0] and a[1] <= b[1] and a[2] <= b[2]

    assert non_dominated(rows) == [not any(beats(a, b) for a in rows) for b in rows]


def point(score: float, synops: float, steps: int, encoding: str = "rate") -> dict[str, Any]:
    return {"score": score, "synops_per_sample": synops, "latency_steps": steps, "encoding": encoding}


def test_front_wants_more_score_and_less_of_the_rest() -> None:
    points = [
        point(0.9, 100, 50),
        point(0.9, 100, 50),  # equal: both stay
        point(0.8, 90, 50),  # fewer SynOps
        point(0.8, 110, 20),  # faster
        point(0.9, 101, 50),  # more SynOps for nothing
        point(0.89, 100, 50),  # a lower score for nothing
        point(0.9, 100, 51),  # slower for nothing
    ]
    assert mark_front(points) == [True, True, True, True, False, False, False]


def test_encodings_have_a_front_each() -> None:
    points = [point(0.9, 100, 50), point(0.9, 60, 10, "graded"), point(0.8, 100, 10, "graded")]
    assert mark_front(points) == [True, True, False]
    assert mark_joint_front(points) == [False, True, False]


def test_schedules_share_the_front_of_their_encoding() -> None:
    """A spike adds a weight in either: settling beats windows, or is beaten, by counts alone."""
    points = [
        {**point(0.9, 100, 600), "schedule": "windowed"},
        {**point(0.9, 130, 160), "schedule": "settling"},  # more SynOps, faster
        {**point(0.9, 90, 150), "schedule": "windowed"},  # of a smaller T: beats both
    ]
    assert mark_front(points[:2]) == [True, True]
    assert mark_front(points) == [False, False, True]


def test_ways_are_every_combination_that_exists() -> None:
    both = ways_of(["graded", "rate"], ["settling", "windowed"])
    assert both == (Way("windowed", "rate"), Way("windowed", "graded"), Way("settling", "rate"))
    assert [way.name for way in both] == ["rate", "graded", "settling"]
    assert ways_of(["rate"], ["settling"]) == (Way("settling", "rate"),)
    assert ways_of(["graded"], ["windowed"]) == (Way("windowed", "graded"),)


def test_grid_is_every_combination_once() -> None:
    points = grid([4, 8, 4], [8.0, 1.58], [0, 0.5])
    assert set(points) == {TrainingPoint(t, b, p) for t, b, p in itertools.product((4, 8), (8, 1.58), (0, 0.5))}
    assert len(points) == len({p.name for p in points}) == 8
    assert TrainingPoint(4, 1.58, 0.5).name == "T4-1.58bit-penalty0.5"
    settings = TrainingPoint(4, 1.58, 0.5).settings(TrainSettings(seed=3))
    assert (settings.timesteps, settings.bits, settings.losses.rate, settings.seed) == (4, 1.58, 0.5, 3)


# --- what a point says


def record(name: str = "a.net", encoding: str = "rate", **changes: Any) -> dict[str, Any]:
    stage = StageOps(
        "all", "linear", neurons=100, messages=400, synops=3000, attention_synops=200, dense=2000, active_updates=50,
        inactive_updates=10,
    )  # fmt: skip
    facts = {"timesteps": 16, "bits": 8, "rate_penalty": 0.0, "preset": "spikingbert", "layers": 2, "seed": 0}
    facts = {**facts, "task": "tiny", **{k: v for k, v in changes.items() if k in facts}}
    made = {
        "key": {
            "network_sha256": "0" * 64,
            "encoding": encoding,
            "sentences": {"examples": 20, "sha256": "1"},
            "metric": "accuracy",
        },
        "network": facts,
        "metric": "accuracy",
        "score": 0.8,
        "samples": 20,
        "latency_steps": 609,
        "mean_rate": 0.1,
        "stages": [stage.to_dict()],
        "teacher_score": 0.85,
        "file": name,
        "name": name,
    }
    return {**made, **{k: v for k, v in changes.items() if k not in facts}}


def test_point_is_counts_times_prices() -> None:
    rate, graded = build_sweep([record(encoding="graded"), record()])["points"]
    assert (rate["encoding"], graded["encoding"]) == ("rate", "graded")
    assert set(rate) >= CONTRACT | {"rate_penalty"}
    assert rate["synops_per_sample"] == 160
    assert rate["t_times_density"] == pytest.approx(1.6)
    energy = rate["energy_per_sample_nJ"]
    assert energy["loihi1-davies2018"] == pytest.approx(
        (3200 * 23.6 + 50 * 81 + 10 * 52 + 400 * 1.7) / 20 / 1e3
    )  # fmt: skip
    assert energy["horowitz-45nm-int8"] == pytest.approx(3200 * 0.03 / 20 / 1e3)
    assert graded["energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(3200 * 0.23 / 20 / 1e3)
    assert rate["ann_energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(2000 * 0.23 / 20 / 1e3)


def settling_record(**changes: Any) -> dict[str, Any]:
    """The same network as `record`, settling: more SynOps, fewer steps, a soma function computed again and again."""
    stage = StageOps(
        "all", "linear", neurons=100, messages=500, synops=3900, attention_synops=260, dense=2000, active_updates=90,
        host={"gelu": 300},
    )  # fmt: skip
    made = record(latency_steps=164, mean_latency_steps=161.5, stages=[stage.to_dict()], **changes)
    made["key"] |= {"schedule": "settling", "stagger": 4}
    return made


def test_settling_is_a_point_beside_its_windows() -> None:
    windowed = record()
    windowed["stages"][0]["host"] = {"gelu": 100}
    data = build_sweep([settling_record(), windowed])
    first, second = data["points"]
    assert (first["schedule"], first["stagger"], first["mean_latency_steps"]) == ("windowed", None, 609)
    assert (second["schedule"], second["stagger"]) == ("settling", 4)
    assert (second["latency_steps"], second["mean_latency_steps"]) == (164, 161.5)  # the slowest, and the average
    assert second["encoding"] == "rate"
    assert (first["host_elements_per_sample"], second["host_elements_per_sample"]) == (5, 15)
    assert [p["is_default"] for p in (first, second)] == [True, False]
    assert [p["on_front"] for p in (first, second)] == [True, True]
    assert second["energy_per_sample_nJ"]["horowitz-45nm-int8"] == pytest.approx(4160 * 0.03 / 20 / 1e3)  # additions
    said = next(sentence for sentence in data["verdict"] if sentence.startswith("Compared with windows"))
    assert "0.269 times the steps" in said and "1.30 times the SynOps" in said and "3.00 times the elements" in said
    assert any(line.startswith("Settling and windowed points of the rate") for line in data["caveats"])
    page = render_html(data)
    assert "settling" in page and ">164<" in page and ">162<" in page
    alone = build_sweep([record(), record(encoding="graded")])
    assert not any("ettling" in line for line in (*alone["verdict"], *alone["caveats"], render_html(alone)))


def test_a_windowed_default_that_settling_beats_says_so() -> None:
    beaten = build_sweep([record(), settling_record(score=0.81)])
    assert beaten["default"]["on_front"] is True  # fewer SynOps
    cheap = settling_record(score=0.81)
    cheap["stages"][0]["synops"] = 2000
    beaten = build_sweep([record(), cheap])
    assert beaten["default"]["on_front"] is False
    assert "(T = 16, 8 bits, rate, settling) beats it" in beaten["verdict"][1]


def test_default_configuration_is_found_and_judged() -> None:
    small = record("small.net", timesteps=8, latency_steps=305)
    alone = build_sweep([small])
    assert (alone["default"]["points"], alone["default"]["on_front"]) == ([], None)
    assert "not among the points" in alone["verdict"][1]
    beaten = build_sweep([small, record()])
    assert [p["is_default"] for p in beaten["points"]] == [True, False]
    assert beaten["default"]["on_front"] is False
    assert "is not on the front: (T = 8, 8 bits, rate) beats it" in beaten["verdict"][1]
    best = build_sweep([small, record(score=0.81)])
    assert best["default"]["on_front"] is True
    assert "(T = 16, 8 bits, rate) is on the front" in best["verdict"][1]
    other = build_sweep([record(preset="neurocore"), record(rate_penalty=1.0), record(bits=4)])
    assert other["default"]["points"] == []


def test_scores_of_other_sentences_do_not_compare() -> None:
    other = record("b.net")
    other["key"]["sentences"] = {"examples": 20, "sha256": "2"}
    with pytest.raises(UserError, match=r"a\.net and b\.net were run on different sentences"):
        build_sweep([record(), other])


def test_page_stands_alone() -> None:
    data = build_sweep(
        [record("<b>x</b>.net"), record(encoding="graded"), record(bits=4, score=0.7, latency_steps=305)],
        [{"name": "T99", "reason": "too <wide>"}],
        provenance={"command": "spk2loihi sweep"},
    )
    page = render_html(json.loads(json.dumps(data)))
    assert "<b>x" not in page and "&lt;b&gt;x" in page
    assert "too &lt;wide&gt;" in page
    assert not re.search(r"<script|<link|@import|(src|href)=\"(?!#)", page)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<svg") == 3
    assert page.count('<tr class="front">') == sum(p["on_front"] for p in data["points"])


@needs_browser
def test_page_in_a_browser(tmp_path: Path) -> None:
    """On a phone and on a desk, in the colours and cards of the energy report."""
    data = build_sweep(
        [record(), record(encoding="graded"), settling_record(), record("T8-8bit-penalty0", timesteps=8)]
    )
    page = tmp_path / "sweep.html"
    page.write_text(render_html(data), encoding="utf-8")
    with Chromium(tmp_path / "profile") as browser:
        for width, cards in ((390, 2), (1200, 4)):
            browser.view(width, "dark")
            browser.open(page)
            assert (browser.complaints, browser.requests) == ([], [page.resolve().as_uri()])
            assert browser.run("document.documentElement.scrollWidth") == width
            columns = browser.run("getComputedStyle(document.querySelector('.cards')).gridTemplateColumns")
            assert len(columns.split()) == cards
            assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 22)"
            heights = browser.run("[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight)")
            assert min(heights) < 40
            assert browser.run("document.querySelector('figure svg').clientWidth > 250")


# --- the command, on a tiny task


def sweep(task: TinyTask, out: Path, *arguments: object) -> Outcome:
    teacher = ["--teacher", str(task.teacher)]
    return spk2loihi("sweep", *task.data_options, *teacher, *SMALL, *POINTS, "-o", out, *arguments)


@pytest.fixture(scope="module")
def swept(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("sweep")
    outcome = sweep(tiny_task, folder / "sweep", "--json", folder / "points.json")
    assert outcome.code == 0, outcome.err
    return folder, outcome


@pytest.fixture
def place(swept: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A folder with a finished sweep."""
    shutil.copytree(swept[0] / "sweep", tmp_path / "sweep")
    return tmp_path / "sweep"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of folders into which `train` writes from now on, in order; ``teacher`` where one is fine-tuned."""
    from spk2loihi.training import fine_tune as tune
    from spk2loihi.training import train as module

    real, tuned, seen = module.train, tune.fine_tune, []

    def train(spec: Any, settings: Any, out: Path, **rest: Any) -> Any:
        seen.append(out.parent.name)
        return real(spec, settings, out, **rest)

    def fine_tune(*arguments: Any) -> Any:
        seen.append("teacher")
        return tuned(*arguments)

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(tune, "fine_tune", fine_tune)
    return seen


def times(folder: Path) -> dict[Path, int]:
    """When each file was last written."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def points_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "sweep.json").read_text())["points"]


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
    from spk2loihi.sweep import measure

    def simulate(*arguments: Any, **rest: Any) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(measure, "simulate", simulate)
    before = points_of(place)
    (place / "sweep.json").unlink()
    assert sweep(tiny_task, place).code == 0
    assert trained == []
    assert [{**p, "network": ""} for p in points_of(place)] == [{**p, "network": ""} for p in before]


def test_settling_can_be_added_to_a_finished_sweep(
    place: Path, tiny_task: TinyTask, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained, and of a network nothing is run but what is new; its point is what `simulate` says."""
    from spk2loihi.sweep import measure

    real, ran = measure.simulate, []

    def simulate(backend: Any, *arguments: Any, **rest: Any) -> Any:
        ran.append(backend.timeline.schedule)
        return real(backend, *arguments, **rest)

    monkeypatch.setattr(measure, "simulate", simulate)
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
        if done[0] == 20 + 3 + 2:  # an epoch of the teacher, the first network, a step of the second
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timesteps", "4,x"], r"--timesteps is '4,x', but it is whole numbers separated by commas"),
        (["--bits", "8,nan"], r"--bits is '8,nan', but it is numbers"),
        (["--timesteps", "4,200"], r"timesteps is 200, but a window has 1 to 127 steps"),
        (["--bits", "8,9"], r"bits is 9, but .* at most 8 bits"),
        (["--rate-penalty", "0,-1"], r"--rate-penalty is -1"),
        (["--encoding", "rate,morse"], r"encoding 'morse' is not known: choose rate or graded"),
        (["--schedule", "pipelined"], r"schedule 'pipelined' is not known: choose windowed or settling"),
        (["--schedule", "windowed,settling", "--encoding", "graded"], r"never graded .*: add rate to --encoding"),
        (["--lr", "7"], r"lr is 7"),
        pytest.param(
            ["--precision", "fp16"],
            r"precision is fp16, but there is no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
        (["--checkpoint-every", "soon"], r"checkpoint-every is 'soon'"),
        (["--preset", "neuro"], r"preset 'neuro' is not known"),
        (["--from-networks"], r"--from-networks needs networks, and 0 are named"),
        (["absent.net"], r"--timesteps is for training"),
        (["--seed", "1"], r"teacher .* was made with other settings or data \(seed\)"),
        (["--temperature", "3"], r"T2-8bit-penalty0/model\.net was made with other settings or data \(losses\)"),
        (["--json", "sweep/sweep.json"], r"--json sweep/sweep\.json is a file that the sweep itself writes"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: list[str], words: str, place: Path, tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    before = times(place.parent)
    outcome = sweep(tiny_task, Path("sweep"), *arguments)
    assert outcome.code == 2, outcome
    assert len(outcome.err.splitlines()) == 1
    assert re.search(words, outcome.err), outcome.err
    assert times(place.parent) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.net"], r"network file absent\.net does not exist"),
        (["absent.net", "--lr", "1e-4"], r"--lr is for training, but networks are named"),
        (["a.net", "b.net", "a.net"], r"network a\.net is named twice"),
    ],
)
def test_wrong_networks(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = spk2loihi("sweep", *arguments)
    assert outcome.code == 2 and re.search(words, outcome.err), outcome
    assert list(tmp_path.iterdir()) == []
