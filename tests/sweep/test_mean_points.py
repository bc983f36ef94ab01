"""Several seeds of one configuration are one point: their mean, and the spread of the score."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from spk2loihi.reporting.sweep_page import render_html
from spk2loihi.sweep.sweep_report import build_sweep
from spk2loihi.sweep.sweep_verdict import score_of
from support.sweep_records import record
from support.tiny_sweep import points_of, sweep
from support.tiny_task import TinyTask


def seeded(seed: int, **changes: object) -> dict:
    return {**record("T16", seed=seed, **changes), "file": f"T16-seed{seed}/model.net"}


def test_a_point_of_several_seeds() -> None:
    scores = (0.80, 0.84, 0.85)
    records = [seeded(seed, score=score, latency_steps=600 + seed) for seed, score in enumerate(scores)]
    records[2]["stages"][0]["synops"] += 3000
    alone = record("other.net", timesteps=8, score=0.7)
    data = build_sweep([*records[::-1], alone])
    point, other = data["points"]
    assert point["score"] == pytest.approx(statistics.mean(scores))
    assert point["score_std"] == pytest.approx(statistics.stdev(scores))
    assert [(run["seed"], run["score"]) for run in point["runs"]] == list(enumerate(scores))
    assert [run["network"] for run in point["runs"]] == [f"T16-seed{seed}/model.net" for seed in range(3)]
    assert point["network"] == "T16-seed0/model.net" and point["latency_steps"] == 602
    assert point["synops_per_sample"] == pytest.approx((2 * 3200 + 6200) / 3 / 20)
    one, more = (build_sweep([r])["points"][0]["energy_per_sample_nJ"] for r in (records[0], records[2]))
    assert point["energy_per_sample_nJ"] == {k: pytest.approx((2 * one[k] + more[k]) / 3) for k in one}
    assert (other["runs"], other["score_std"]) == ([], None)
    assert score_of(point, "accuracy") == "83.00 ± 2.65 %" and score_of(other, "accuracy") == "70.00 %"
    assert score_of(point, "pearson") == "0.8300 ± 0.0265"
    assert "83.00 ± 2.65 %" in render_html(data)
    assert any(line.startswith("Some networks come from one training run") for line in data["caveats"])
    assert any(line.startswith("Figures of several seeds are means") for line in data["caveats"])


def test_what_chose_the_epochs_is_said() -> None:
    def said(*chosen: str) -> list[str]:
        records = [record(f"{i}.net", timesteps=4 + i) for i in range(len(chosen))]
        for made, where in zip(records, chosen, strict=True):
            made["network"]["chosen_on"] = where
        return [line for line in build_sweep(records)["caveats"] if "epoch" in line.lower()]

    assert said("validation", "validation") == []
    assert said("held-out", "held-out") == ["The epoch was chosen on the held-out sentences that score it."]
    assert said("validation", "held-out")[0].startswith("The epoch of some networks was chosen on the held-out")


@pytest.mark.slow
def test_a_sweep_over_seeds(tiny_task: TinyTask, tmp_path: Path, trained: list[str]) -> None:
    out = tmp_path / "sweep"
    options = ["--seeds", 2, "--seed", 5, "--teacher-epochs", 4, "--timesteps", 4, "--encoding", "rate"]
    ran = sweep(tiny_task, out, *options)
    assert ran.code == 0, ran.err
    assert trained == ["teacher", "T4-8bit-penalty0-seed5", "T4-8bit-penalty0-seed6"]
    (point,) = points_of(out)
    assert point["name"] == "T4-8bit-penalty0" and [run["seed"] for run in point["runs"]] == [5, 6]
    metrics = [json.loads((out / f"T4-8bit-penalty0-seed{s}" / "metrics.json").read_text()) for s in (5, 6)]
    assert [run["score"] for run in point["runs"]] == [m["score"] for m in metrics]
    assert metrics[0]["manifest"]["teacher_sha256"] == metrics[1]["manifest"]["teacher_sha256"]
    assert "±" in ran.out
    assert sweep(tiny_task, out, *options).code == 0 and len(trained) == 3
