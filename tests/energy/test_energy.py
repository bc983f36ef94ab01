"""Energy: counts times coefficients, comparisons that may be lost, and a page that loads nothing and escapes all."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spk2loihi import formatting as fmt
from spk2loihi.energy import (
    BUILTIN_SETS,
    HOROWITZ_FP32,
    HOROWITZ_INT8,
    LOIHI1,
    Coefficient,
    CoefficientSet,
    break_even_t_times_density,
    build_report,
    coefficient_registry,
    load_coefficients,
    network_energy,
    not_included,
    stage_energy,
    t_times_density,
)
from spk2loihi.energy.measure_energy import summarise_network
from spk2loihi.errors import UserError
from spk2loihi.network.network import Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.run_config import RunConfig, Timeline
from spk2loihi.reporting.energy_page import EnergyReport, render_html
from spk2loihi.simulators.counters import StageOps

SAMPLES = 4
SUMMARY = {"schedule": "windowed", "encoding": "rate", "timesteps": 16, "steps": 16, "latency_steps": 49}
ACCURACY = {"metric": "accuracy", "student": 0.884, "teacher": 0.898, "samples": 872}
CONVERGENCE = {
    "steps": [1, 2, 4, 8],
    "mean_abs_error": {"query": [0.4, 0.2, 0.1, 0.05], "scores": [0.2, 0.1, 0.05, 0.0]},
    "score": [0.5, 0.6, 0.8, 0.88],
}
HOSTILE = '<script>alert("1")</script> $\\frac{ --> "\' id="x" &amp; </style>'


def stages() -> list[StageOps]:
    return [
        StageOps(
            "embedding", "embedding", neurons=800, messages=3200, active_updates=12_800, inactive_updates=25_600,
            host={"embedding": 800, "layernorm": 800},
        ),
        StageOps(
            "query", "linear", neurons=800, messages=2000, synops=500_000, dense=100_000, active_updates=25_600,
            inactive_updates=12_800,
        ),
        StageOps(
            "scores", "scores", neurons=100, messages=50, attention_synops=30_000, dense=20_000, active_updates=3200,
            inactive_updates=1600, host={"softmax": 100},
        ),
        StageOps("readout", "readout", neurons=8, synops=1000, dense=1600, active_updates=128, inactive_updates=264),
    ]  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "network_summary": SUMMARY,
        "teacher_macs": 60_000.0,
        "convergence": CONVERGENCE,
        "accuracy": ACCURACY,
        "provenance": {"seed": 0, "versions": {"numpy": "1.26.4"}},
    }
    return build_report(given.pop("stages", None) or changes.pop("stages", stages()), SAMPLES, **{**given, **changes})


@pytest.fixture(scope="module")
def page_source() -> str:
    return render_html(report())


def spikingbert() -> list[StageOps]:
    """SpikingBERT's published point, synapses only: T = 16 at density 0.205."""
    return [StageOps("all", "linear", neurons=1000, messages=3280, synops=3_280_000, dense=1_000_000)]


# --- counts times coefficients -------------------------------------------------------------------------------------


def test_loihi_energy_is_counts_times_the_published_figures() -> None:
    energy = network_energy(stages(), LOIHI1)
    assert energy.synapse == pytest.approx(23.6 * (500_000 + 30_000 + 1000))
    assert energy.neuron == pytest.approx(
        81 * (12_800 + 25_600 + 3200 + 128) + 52 * (25_600 + 12_800 + 1600 + 264)
    )  # fmt: skip
    assert energy.routing == pytest.approx(1.7 * (3200 + 2000 + 50))
    assert energy.host == 0.0
    assert energy.total == pytest.approx(energy.synapse + energy.neuron + energy.routing)


@pytest.mark.parametrize(("coefficients", "add", "mac"), [(HOROWITZ_FP32, 0.9, 4.6), (HOROWITZ_INT8, 0.03, 0.23)])
def test_bare_arithmetic_charges_one_addition_a_synop_and_nothing_else(
    coefficients: CoefficientSet, add: float, mac: float
) -> None:
    assert network_energy(stages(), coefficients).total == pytest.approx(add * 531_000)
    assert network_energy(stages(), coefficients, "graded").total == pytest.approx(mac * 531_000)
    assert set(not_included(stages(), coefficients)) == {
        "neuron_active", "neuron_inactive", "spike", "host.embedding", "host.layernorm", "host.softmax",
    }  # fmt: skip


def test_host_operations_are_counted_but_not_priced_for_loihi() -> None:
    assert not_included(stages(), LOIHI1) == {"host.embedding": 800, "host.layernorm": 800, "host.softmax": 100}


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


def test_a_stage_prices_its_own_host_operations_where_the_set_knows_them() -> None:
    own = CoefficientSet(
        "own", "chip", "here", (Coefficient("synop", 1, "pJ", "s", "h"), Coefficient("host.softmax", 2, "nJ", "s", "h"))
    )
    assert stage_energy(stages()[2], own).host == pytest.approx(100 * 2000)
    assert "host.softmax" not in not_included(stages(), own)


# --- T x density, break-even, verdict ------------------------------------------------------------------------------


def test_t_times_density_and_break_even() -> None:
    assert t_times_density(spikingbert()) == pytest.approx(16 * 0.205)
    assert break_even_t_times_density(LOIHI1, HOROWITZ_INT8) == pytest.approx(0.23 / 23.6)
    assert break_even_t_times_density(HOROWITZ_FP32, HOROWITZ_FP32) == pytest.approx(4.6 / 0.9)
    assert break_even_t_times_density(HOROWITZ_INT8, HOROWITZ_FP32, 2.0) == pytest.approx(2 * 4.6 / 0.03)
    break_even = report()["break_even"]
    assert break_even["loihi1-davies2018"]["ann:horowitz-45nm-fp32"] == pytest.approx(4.6 / 23.6)
    teacher = 60_000 / (121_600 / SAMPLES) * 4.6 / 23.6
    assert break_even["loihi1-davies2018"]["teacher:horowitz-45nm-fp32"] == pytest.approx(teacher)


def test_the_published_point_of_spikingbert_loses_and_the_report_says_so() -> None:
    data = report(stages=spikingbert())
    row = next(
        c
        for c in data["comparisons"]
        if c["coefficients"] == "loihi1-davies2018" and c["baseline"] == "ann:horowitz-45nm-int8"
    )
    routing = 1.7 * 3280 / 3_280_000
    assert row["synapse_ratio"] == pytest.approx(3.28 * 23.6 / 0.23)  # 336.6
    assert row["ratio"] == pytest.approx(3.28 * (23.6 + routing) / 0.23)
    assert row["outcome"] == "loses"
    loihi = next(s for s in data["verdict"] if "loihi1-davies2018" in s)
    assert "loses to" in loihi
    assert "the same-shape ANN in int8 by a factor of 337" in loihi
    assert "beats" not in loihi
    energy = next(item for item in data["headline"] if item["key"] == "energy_ratio")
    assert (energy["text"], energy["outcome"]) == ("337× more", "loses")


def test_a_favourable_network_is_called_favourable() -> None:
    sparse = [StageOps("all", "linear", neurons=10, messages=1, synops=1000, dense=1_000_000)]
    data = report(stages=sparse)
    assert {c["outcome"] for c in data["comparisons"]} == {"wins"}
    assert data["verdict"][0].startswith("Favourable")


def test_a_network_that_always_loses_is_called_unfavourable() -> None:
    dense = [StageOps("all", "linear", neurons=10, messages=1, synops=1_000_000_000, dense=1_000_000)]
    assert report(stages=dense, teacher_macs=None)["verdict"][0].startswith("Unfavourable")


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
    data = report(teacher_macs=None, accuracy=None)
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


def test_no_set_claims_to_be_loihi_2() -> None:
    for name, coefficients in BUILTIN_SETS.items():
        assert "loihi2" not in name
        for c in coefficients.coefficients:
            assert all((c.unit, c.source, c.scope))
    assert any("No energy per synaptic operation has been published for Loihi 2" in c for c in report()["caveats"])


def test_nothing_to_report_on_is_refused() -> None:
    with pytest.raises(UserError, match="0 samples"):
        build_report(stages(), 0, network_summary=SUMMARY)
    with pytest.raises(UserError, match="0 synapses"):
        build_report([StageOps("e", "embedding", neurons=1)], 1, network_summary=SUMMARY)
    with pytest.raises(UserError, match="given twice"):
        build_report(stages(), 1, network_summary=SUMMARY, coefficient_sets=[LOIHI1])
    with pytest.raises(ValueError, match="teacher_macs"):
        report(teacher_macs=0.0)


# --- convergence ---------------------------------------------------------------------------------------------------


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


# --- a user's coefficients -----------------------------------------------------------------------------------------


def own_file(**changes: Any) -> dict[str, Any]:
    synop = {"value": 12.5, "unit": "pJ", "source": "board 7, bench supply"}
    return {"name": "my-board", "kind": "chip", "scope": "one board", "coefficients": {"synop": synop}, **changes}


def test_a_users_set_is_read_and_reported_beside_the_builtin_ones(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    entries = {
        "synop": {"value": 12.5, "unit": "fJ", "source": "bench"},
        "neuron_active": {"value": 1, "unit": "nJ", "source": "bench", "scope": "warm"},
    }
    path.write_text(json.dumps(own_file(coefficients=entries)))
    own = load_coefficients(path)
    assert own.synop_pj() == pytest.approx(0.0125)
    assert own.picojoules("neuron_active") == pytest.approx(1000)
    assert [c.scope for c in own.coefficients] == ["one board", "warm"]
    data = report(coefficient_sets=[own])
    assert list(data["coefficients"]) == ["my-board", *BUILTIN_SETS]
    assert data["headline"][-1]["note"].endswith("my-board")


def test_a_users_arithmetic_set_is_a_further_baseline(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    entries = {name: {"value": 0.1, "unit": "pJ", "source": "synthesis"} for name in ("add", "mac")}
    path.write_text(json.dumps(own_file(kind="arithmetic", precision="fp32", coefficients=entries)))
    data = report(coefficient_sets=[load_coefficients(path)])
    assert {"ann:my-board", "teacher:my-board"} <= set(data["per_sample"]["baselines"])


def test_a_set_in_the_users_folder_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coefficient_registry, "user_folder", lambda: tmp_path)
    (tmp_path / "my-board.json").write_text(json.dumps(own_file()))
    assert load_coefficients("my-board").name == "my-board"
    with pytest.raises(UserError, match=r"'other' is not in .*, which has my-board: put"):
        load_coefficients("other")
    with pytest.raises(UserError, match="'loihi1-davies2018' is built in"):
        load_coefficients("loihi1-davies2018")


def test_builtin_sets_are_files_under_their_names() -> None:
    folder = Path(coefficient_registry.__file__).parent / "coefficient_sets"
    assert {path.stem for path in folder.glob("*.json")} == set(BUILTIN_SETS)
    assert all(name == s.name for name, s in BUILTIN_SETS.items())


def bounded(low: float, value: float, high: float) -> CoefficientSet:
    synop = Coefficient("synop", value, "pJ", "bench", "here", low, high)
    return CoefficientSet("own", "chip", "here", (synop,))


def test_bounds_of_prices_become_bounds_of_totals_and_ratios() -> None:
    data = report(coefficient_sets=[bounded(10.0, 12.0, 20.0)])
    own = data["per_sample"]["snn"]["own"]
    assert own["total_range_nJ"] == pytest.approx([10 * 531_000 / SAMPLES / 1e3, 20 * 531_000 / SAMPLES / 1e3])
    assert own["total_nJ"] == pytest.approx(12 * 531_000 / SAMPLES / 1e3)
    row = next(
        c for c in data["comparisons"] if (c["coefficients"], c["baseline"]) == ("own", "ann:horowitz-45nm-fp32")
    )
    assert row["ratio_range"] == pytest.approx([x * 531_000 / (4.6 * 121_600) for x in (10, 20)])
    assert data["per_sample"]["snn"]["loihi1-davies2018"]["total_range_nJ"] is None
    assert any(line.startswith("The sources of loihi1-davies2018,") for line in data["caveats"])
    assert "10.0 to 20.0 pJ" in Page(render_html(data)).text


def test_a_comparison_the_bounds_leave_open_is_called_open() -> None:
    even = 4.6 * 121_600 / 531_000  # pJ a SynOp at which the FP32 ANN costs as much
    open_ = report(coefficient_sets=[bounded(even / 2, even * 0.9, even * 2)])
    assert any("bounds of own, the comparison with the same-shape ANN in FP32" in s for s in open_["verdict"])
    closed = report(coefficient_sets=[bounded(even * 2, even * 3, even * 4)])
    assert not any("either way" in s for s in closed["verdict"])


def test_a_baseline_with_bounds_meets_the_opposite_end_of_another_set_and_the_same_end_of_its_own() -> None:
    mac = Coefficient("mac", 2.0, "pJ", "s", "h", 1.0, 4.0)
    own = CoefficientSet("own", "arithmetic", "h", (Coefficient("add", 1.0, "pJ", "s", "h"), mac), "int4")
    rows = {(c["coefficients"], c["baseline"]): c for c in report(coefficient_sets=[own])["comparisons"]}
    assert rows["own", "ann:own"]["ratio_range"] == pytest.approx([531_000 / (m * 121_600) for m in (4, 1)])
    loihi = network_energy(stages(), LOIHI1).total
    expected = [loihi / (m * 121_600) for m in (4, 1)]
    assert rows["loihi1-davies2018", "ann:own"]["ratio_range"] == pytest.approx(expected)


def test_measured_systems_are_shown_and_never_used() -> None:
    data = report()
    assert data["references"]
    page = render_html(data)
    assert all(html.escape(r["source"]) in page for r in data["references"])
    assert not {"energy_mj", "dynamic_mj"} & {key for row in data["comparisons"] for key in row}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object, but is list"),
        (own_file(extra=1), "'extra'.*unknown"),
        (own_file(name="loihi1-davies2018"), "built-in"),
        (own_file(name="<b>"), "'<b>'"),
        (own_file(kind="gpu"), "'gpu'.*chip, arithmetic"),
        (own_file(precision="int8"), "precision.*arithmetic"),
        (own_file(scope=" "), "scope.*non-empty"),
        (own_file(kind="arithmetic"), "precision.*missing"),
        (own_file(coefficients=None), "coefficients.*missing"),
        (own_file(coefficients={}), "'synop' is missing"),
        (own_file(coefficients={"synops": {}}), "'synops'.*unknown"),
        (own_file(coefficients={"synop": 23.6}), "must be a JSON object, but is float"),
        (own_file(coefficients={"synop": {"value": 1, "source": "s"}}), "unit.*missing"),
        (own_file(coefficients={"synop": {"value": 1, "unit": "pJ"}}), "source.*missing"),
        (own_file(coefficients={"synop": {"value": 1, "unit": "W", "source": "s"}}), "'W'.*fJ, pJ, nJ"),
        (own_file(coefficients={"synop": {"value": -1, "unit": "pJ", "source": "s"}}), "-1.*above zero"),
        (own_file(coefficients={"synop": {"value": 0, "unit": "pJ", "source": "s"}}), "0.*above zero"),
        (own_file(coefficients={"synop": {"value": True, "unit": "pJ", "source": "s"}}), "finite number"),
        (own_file(coefficients={"synop": {"value": float("nan"), "unit": "pJ", "source": "s"}}), "finite number"),
        (own_file(coefficients={"synop": {"value": "1", "unit": "pJ", "source": "s"}}), "finite number"),
        (own_file(coefficients={"synop": {"value": 1, "unit": "pJ", "source": "s", "per": "op"}}), "'per'.*unknown"),
        (own_file(coefficients={"synop": {"value": 1, "low": 1, "unit": "pJ", "source": "s"}}), "both or neither"),
        (own_file(coefficients={"synop": {"value": 1, "low": 2, "high": 3, "unit": "pJ", "source": "s"}}), "outside"),
        (own_file(coefficients={"synop": {"value": 1, "low": 0, "high": 3, "unit": "pJ", "source": "s"}}), "low 0"),
    ],
)
def test_a_bad_coefficient_file_is_refused_in_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        load_coefficients(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_missing_coefficient_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.json cannot be read"):
        load_coefficients(tmp_path / "nowhere.json")


# --- the page ------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects tags, ids, references and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_every_headline_figure_and_verdict_of_the_json(tmp_path: Path) -> None:
    EnergyReport(report()).save(tmp_path / "energy.html")
    source = (tmp_path / "energy.html").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "energy.json").read_text(encoding="utf-8"))
    assert data == report()
    text = Page(source).text
    for item in data["headline"]:
        assert item["label"] in text
        assert item["text"] in text
        assert item["note"] in text
    for sentence in data["verdict"] + data["caveats"]:
        assert sentence in text
    for coefficients in data["coefficients"].values():
        for c in coefficients["values"]:
            assert f"{c['value']} {c['unit']}" in text
            assert c["source"] in text
            assert c["scope"] in text
    assert len(source) < 3_000_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["energy.html", "energy.json"]


def test_the_page_loads_nothing(page_source: str) -> None:
    page = Page(page_source)
    assert not {"img", "iframe", "object", "embed", "base", "image"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert "@import" not in page_source
    assert "url(" not in page_source
    assert "://" not in page_source


def test_the_page_allows_no_script_but_its_own(page_source: str) -> None:
    script = page_source[page_source.rindex("<script>") + len("<script>") : page_source.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attributes["content"] for tag, attributes in Page(page_source).tags if "http-equiv" in attributes)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_every_reference_resolves(page_source: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(page_source).tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]*)"|aria-labelledby="([^"]*)"', page_source)
    assert {r for group in references for r in group if r} <= set(ids)


def test_hostile_strings_are_escaped() -> None:
    hostile = stages()
    hostile[1].name = HOSTILE
    data = report(
        stages=hostile,
        network_summary={**SUMMARY, HOSTILE: HOSTILE},
        provenance={HOSTILE: {HOSTILE: HOSTILE}},
        accuracy={**ACCURACY, "metric": HOSTILE},
        convergence={"steps": [1, 2], "mean_abs_error": {HOSTILE: [0.2, 0.1]}},
        coefficient_sets=[
            CoefficientSet("own", "chip", HOSTILE, (Coefficient("synop", 1.0, "pJ", HOSTILE, HOSTILE),))
        ],
    )  # fmt: skip
    source = render_html(data)
    page = Page(source)
    assert [tag for tag, _ in page.tags].count("script") == 2  # the numbers, and the page's own
    assert HOSTILE in page.text
    assert html.escape("<script>", quote=False) in source
    assert source.count("</style>") == 1
    assert source.count("</script>") == 2


def test_numbers_point_into_the_json(page_source: str) -> None:
    """The page without its script; what the script draws is tested in a browser."""
    data, found = report(), 0
    for tag, attributes in Page(page_source).tags:
        if tag == "data":
            value: Any = data
            for key in (attributes["data-pointer"] or "").split("/")[1:]:
                key = key.replace("~1", "/").replace("~0", "~")
                value = value[int(key)] if isinstance(value, list) else value[key]
            assert json.loads(attributes["value"] or "") == value
            found += 1
    assert found > 100


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
        for name in data["coefficients"]:
            assert group["energy_total_nJ"][name] == pytest.approx(sum(m["energy_total_nJ"][name] for m in members))
    assert groups["encoder_layer"][1]["asr"] == 2050 / (900 * 16)
    assert groups["encoder_layer"][1]["t_times_density"] == 530_000 / 120_000


def test_a_failed_write_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spk2loihi.reporting.energy_page.render_html", lambda data: "page")
    (tmp_path / "energy.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        EnergyReport(report()).save(tmp_path / "energy.html")
    assert [p.name for p in tmp_path.iterdir()] == ["energy.json"]


def test_the_same_report_gives_the_same_bytes(page_source: str) -> None:
    assert render_html(report()) == page_source


# --- small things --------------------------------------------------------------------------------------------------


def test_numbers_read_well() -> None:
    assert [fmt.significant(v) for v in (3.28, 336.6, 0.009746, 41_234, 0, 0.9999, 1e-6)] == [
        "3.28", "337", "0.00975", "41,200", "0", "1.00", "1.00e-06",
    ]  # fmt: skip
    assert [fmt.energy(v) for v in (78_300, 0.00123, 999.96, 0)] == ["78.3 µJ", "1.23 pJ", "1.00 µJ", "0 J"]
    assert [fmt.count(v) for v in (12, 9999, 842_000_000, 999_960)] == ["12", "9,999", "842 M", "1.00 M"]
    assert [fmt.share(v) for v in (0.4567, 0.001, 0.999, 1.0)] == ["46 %", "under 1 %", "over 99 %", "100 %"]
    assert (fmt.precision("fp32"), fmt.precision("int8")) == ("FP32", "int8")


def test_summary_of_a_network() -> None:
    weight = np.array([[1, 0], [3, -2]], np.int64)
    table = np.zeros((1, 2), np.int64)
    network = Network(
        timesteps=16,
        max_tokens=8,
        stages=(
            Stage("embedding", 0, 2, 1024),
            Stage(
                "readout",
                1,
                2,
                1,
                (SynapseGroup("embedding", weight, np.zeros(2, np.int64)),),
                tokens="first",
                fires=False,
            ),
        ),
        embedding=Embedding(table, table, table),
        tokenizer="{}",
        task={},
        config={"layers": 0},
    )
    windowed = summarise_network(Timeline(network, RunConfig(encoding="graded")))
    assert (windowed["encoding"], windowed["latency_steps"], windowed["synapses_per_token"]) == ("graded", 2, 3)
    pipelined = summarise_network(Timeline(network, RunConfig("pipelined", steps=64)))
    assert (pipelined["encoding"], pipelined["steps"], pipelined["latency_steps"]) == ("rate", 64, 65)
