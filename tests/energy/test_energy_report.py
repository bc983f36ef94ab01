"""The report: averages, rates, groups, convergence, and what cannot be reported on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spk2loihi.energy import LOIHI1, AnnWork, build_report, network_energy
from spk2loihi.errors import UserError
from spk2loihi.reporting.energy_page import render_html
from spk2loihi.simulators.counters import StageOps
from support.energy_stages import SAMPLES, SUMMARY, report, stages


def test_report_averages_over_samples() -> None:
    data = report()
    loihi = data["per_sample"]["snn"]["loihi1-davies2018"]
    assert loihi["components_nJ"]["synapse"] == pytest.approx(23.6 * 531_000 / SAMPLES / 1000)
    assert loihi["total_nJ"] == pytest.approx(network_energy(stages(), LOIHI1).total / SAMPLES / 1000)
    baselines = data["per_sample"]["baselines"]
    assert baselines["ann:horowitz-45nm-fp32"]["total_nJ"] == pytest.approx(4.6 * 121_600 / SAMPLES / 1000)
    assert baselines["ann:horowitz-45nm-int8"]["total_nJ"] == pytest.approx(0.23 * 121_600 / SAMPLES / 1000)
    assert baselines["teacher:horowitz-45nm-fp32"]["total_nJ"] == pytest.approx(4.6 * 60_000 / 1000)
    assert data["totals"]["synops"] == 501_000
    assert data["totals"]["attention_synops"] == 30_000
    assert data["totals"]["host"] == {"embedding": 800, "layernorm": 800, "softmax": 100}


def test_layers_add_up_to_the_network() -> None:
    data = report()
    for name, snn in data["per_sample"]["snn"].items():
        for component, total in snn["components_nJ"].items():
            parts = [layer["energy_per_sample_nJ"][name][component] for layer in data["layers"]]
            assert sum(parts) == pytest.approx(total)


def test_rates_come_from_messages_or_from_given_spike_counts() -> None:
    rates = {layer["name"]: layer["asr"] for layer in report()["layers"]}
    assert rates == {"embedding": 0.25, "query": 2000 / 800 / 16, "scores": 50 / 100 / 16, "readout": None}
    graded = {**SUMMARY, "encoding": "graded", "steps": 1, "latency_steps": 4}
    assert {layer["asr"] for layer in report(network_summary=graded)["layers"]} == {None}
    given = report(network_summary=graded, spikes={"query": 6400})
    assert [layer["asr"] for layer in given["layers"]] == [None, 0.5, None, None]


def test_groups_are_the_sums_of_their_stages() -> None:
    named = stages()
    named[1].name, named[2].name = "layer.0.query", "layer.0.score"
    data = report(stages=named)
    layers = {layer["name"]: layer for layer in data["layers"]}
    groups = data["groups"]
    assert [group["name"] for group in groups["encoder_layer"]] == ["embedding", "layer 0", "readout"]
    assert [group["name"] for group in groups["part"]] == ["embedding", "query", "score", "readout"]
    for group in groups["encoder_layer"] + groups["part"]:
        members = [layers[name] for name in group["stages"]]
        for key in ("synops", "attention_synops", "dense", "messages", "active_updates", "all_synops", "updates"):
            assert group["per_sample"][key] == sum(member["per_sample"][key] for member in members)
        for name in data["per_sample"]["snn"]:
            assert group["energy_total_nJ"][name] == pytest.approx(sum(m["energy_total_nJ"][name] for m in members))
    assert groups["encoder_layer"][1]["asr"] == 2050 / (900 * 16)
    assert groups["encoder_layer"][1]["t_times_density"] == 530_000 / 120_000


def test_nothing_to_report_on_is_refused() -> None:
    with pytest.raises(UserError, match="0 samples"):
        build_report(stages(), 0, network_summary=SUMMARY)
    with pytest.raises(UserError, match="0 synapses"):
        build_report([StageOps("e", "embedding", neurons=1)], 1, network_summary=SUMMARY)
    with pytest.raises(UserError, match="given twice"):
        build_report(stages(), 1, network_summary=SUMMARY, coefficient_sets=[LOIHI1])
    with pytest.raises(ValueError, match="not above zero"):
        report(teacher=AnnWork(0.0, 1.0, ()))


# --- convergence


def test_convergence_exponent_and_mean() -> None:
    exact = {"steps": np.array([1, 2, 4]), "mean_abs_error": {"a": np.array([0.4, 0.2, 0.1]), "b": [0.2, 0.1, 0.05]}}
    data = report(convergence=exact)["convergence"]
    assert data["overall"] == pytest.approx([0.3, 0.15, 0.075])
    assert (data["fitted_exponent"], data["fitted_from"]) == (pytest.approx(-1.0), 1)
    json.dumps(data)


def test_convergence_is_fitted_where_it_is_one() -> None:
    late = {"steps": [1, 2, 4, 8, 16], "mean_abs_error": {"a": [0.4, 0.4, 0.4, 0.2, 0.1]}}
    data = report(convergence=late)
    assert (data["convergence"]["fitted_exponent"], data["convergence"]["fitted_from"]) == (pytest.approx(-1.0), 4)
    assert any("from step 4 on the error falls as T^-1.00" in sentence for sentence in data["verdict"])


def test_convergence_without_error_or_with_ragged_curves() -> None:
    perfect = report(convergence={"steps": [1, 2], "mean_abs_error": {"a": [0.0, 0.0]}})
    assert perfect["convergence"]["fitted_exponent"] is None
    render_html(perfect)
    with pytest.raises(ValueError, match="curve a has 1 points for 2 steps"):
        report(convergence={"steps": [1, 2], "mean_abs_error": {"a": [0.1]}, "overall": [0.1, 0.1]})
