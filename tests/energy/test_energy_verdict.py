"""T x density, break-even, and comparisons that may be lost."""

from __future__ import annotations

import pytest

from spk2loihi.energy import t_times_density
from spk2loihi.reporting.energy_page import render_html
from spk2loihi.simulators.counters import StageOps
from support.energy_stages import SAMPLES, SUMMARY, report


def spikingbert() -> list[StageOps]:
    """SpikingBERT's published point, synapses only: T = 16 at density 0.205."""
    return [StageOps("all", "linear", neurons=1000, messages=3280, synops=3_280_000, dense=1_000_000)]


def test_t_times_density_and_break_even() -> None:
    assert t_times_density(spikingbert()) == pytest.approx(16 * 0.205)
    data = report()
    break_even, dense = data["break_even"], 121_600 / SAMPLES
    assert break_even["horowitz-45nm-fp32"]["ann:horowitz-45nm-fp32"] == pytest.approx(4.6 / 0.9)
    teacher = 60_000 / dense * 4.6 / 0.03
    assert break_even["horowitz-45nm-int8"]["teacher:horowitz-45nm-fp32"] == pytest.approx(teacher)
    key = "ann:horowitz-45nm-int8:horowitz-45nm-memory:batch-1"
    nanojoules = data["per_sample"]["baselines"][key]["total_nJ"]
    assert break_even["loihi1-davies2018"][key] == pytest.approx(nanojoules * 1e3 / dense / 23.6)


def test_the_published_point_of_spikingbert_loses_and_the_report_says_so() -> None:
    data = report(stages=spikingbert())
    row = next(
        c
        for c in data["comparisons"]
        if c["coefficients"] == "loihi1-davies2018"
        and c["baseline"].startswith("ann:horowitz-45nm-int8")
        and c["batch"] == 64
    )
    routing = 1.7 * 3280 / 3_280_000
    # 1e6 MACs, 4,000 weights in the SRAM of 8 kB, 250 activations of 64 sentences in that of 32 kB
    ann = 0.23 * 1_000_000 + 10 * 4000 / 8 / 64 * SAMPLES + 20 * 2 * 1000 / 8
    assert row["synapse_ratio"] == pytest.approx(3_280_000 * 23.6 / ann)
    assert row["ratio"] == pytest.approx(3_280_000 * (23.6 + routing) / ann)
    assert row["outcome"] == "loses"
    loihi = next(s for s in data["verdict"] if "loihi1-davies2018" in s)
    assert "at batch 64 it loses to the same-shape ANN in FP32 by a factor of 16.5, the same-shape ANN in int8" in loihi
    assert "beats" not in loihi
    energy = next(item for item in data["headline"] if item["key"] == "energy_ratio")
    assert energy["outcome"] == "loses" and "batch 64" in energy["note"] and "memory on both sides" in energy["note"]


def test_a_favourable_network_is_called_favourable() -> None:
    sparse = [StageOps("all", "linear", neurons=10, messages=1, synops=1000, dense=1_000_000)]
    data = report(stages=sparse)
    assert {c["outcome"] for c in data["comparisons"]} == {"wins"}
    assert data["verdict"][0].startswith("Favourable")


def test_a_network_that_always_loses_is_called_unfavourable() -> None:
    dense = [StageOps("all", "linear", neurons=10, messages=1, synops=1_000_000_000, dense=1_000_000)]
    assert report(stages=dense, teacher=None)["verdict"][0].startswith("Unfavourable")


def test_neuron_updates_alone_can_lose() -> None:
    idle = [StageOps("all", "linear", neurons=10, messages=1, synops=1, dense=1000, inactive_updates=1000)]
    data = report(stages=idle)
    assert any("Everything but the synapses" in s for s in data["verdict"])
    assert not any("synaptic operations alone to cost no more" in s for s in data["verdict"])


def test_a_silent_network_is_not_praised() -> None:
    silent = [StageOps("all", "linear", neurons=10, dense=1000)]
    data = report(stages=silent)
    assert "never fires" in data["verdict"][0]
    assert "never fires" in render_html(data)


def test_missing_teacher_and_missing_accuracy_are_said() -> None:
    data = report(teacher=None, accuracy=None)
    assert not any(key.startswith("teacher") for key in data["per_sample"]["baselines"])
    assert any("missing from the comparison" in line for line in data["caveats"])
    assert any("not measured" in line for line in data["verdict"])
    undefined = report(accuracy={"metric": "pearson", "student": float("nan")})
    assert undefined["accuracy"]["student"] is None
    assert any("undefined" in line for line in undefined["verdict"])


def test_graded_messages_are_multiply_accumulates_and_said_to_be() -> None:
    data = report(network_summary={**SUMMARY, "encoding": "graded", "steps": 1})
    assert data["per_sample"]["snn"]["horowitz-45nm-int8"]["total_nJ"] == pytest.approx(0.23 * 531_000 / SAMPLES / 1e3)
    assert any("Graded messages" in line for line in data["caveats"])
    page = render_html(data)
    assert "additions only" not in page


@pytest.mark.parametrize(
    ("synops", "said"), [(1429, "14.3: about as many."), (500, "may cost more than that."), (5000, "may cost less.")]
)
def test_a_network_is_held_against_the_workload_of_the_bound(synops: int, said: str) -> None:
    one = [StageOps("all", "linear", neurons=10, messages=9, synops=synops, dense=1000, active_updates=100)]
    sentence = next(s for s in report(stages=one)["verdict"] if "an upper bound on its own workload" in s)
    assert "which made 14.3 SynOps per neuron update" in sentence
    assert sentence.endswith(said)
