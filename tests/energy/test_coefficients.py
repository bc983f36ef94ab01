"""Coefficients of a user: files, names, bounds and what follows from them."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.energy import (
    BUILTIN_SETS,
    Coefficient,
    CoefficientSet,
    coefficient_registry,
    load_coefficients,
)
from spk2loihi.errors import UserError
from spk2loihi.reporting.energy_page import render_html
from support.energy_stages import SAMPLES, report
from support.html_page import Page


def own_file(**changes: Any) -> dict[str, Any]:
    synop = {"value": 12.5, "unit": "pJ", "source": "board 7, bench supply"}
    return {
        "name": "my-board",
        "kind": "chip",
        "memory": "included",
        "scope": "one board",
        "coefficients": {"synop": synop},
        **changes,
    }


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
    assert data["coefficients"]["my-board"]["memory"] == "included"
    assert list(data["coefficients"]) == ["my-board", *BUILTIN_SETS]
    energy = next(figure for figure in data["headline"] if figure["key"] == "energy_ratio")
    assert energy["note"].endswith("my-board")


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


def test_measured_systems_are_shown_and_never_used() -> None:
    data = report()
    assert data["references"]
    page = render_html(data)
    assert all(html.escape(r["source"]) in page for r in data["references"])
    assert not {"energy_mj", "dynamic_mj"} & {key for row in data["comparisons"] for key in row}


# --- bounds


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
    assert any("loihi1-davies2018, horowitz" in line for line in data["caveats"] if line.startswith("The sources of"))
    assert "10.0 to 20.0 pJ" in Page(render_html(data)).text


def test_a_comparison_the_bounds_leave_open_is_called_open() -> None:
    even = 4.6 * 121_600 / 531_000  # pJ a SynOp at which the FP32 ANN costs as much
    open_ = report(coefficient_sets=[bounded(even / 2, even * 0.9, even * 2)])
    assert any("the comparison of own with the same-shape ANN in FP32" in s for s in open_["verdict"])
    closed = report(coefficient_sets=[bounded(even * 2, even * 3, even * 4)])
    assert not any("either way" in s for s in closed["verdict"])


def test_a_baseline_with_bounds_meets_the_opposite_end_of_another_set_and_the_same_end_of_its_own() -> None:
    mac = Coefficient("mac", 2.0, "pJ", "s", "h", 1.0, 4.0)
    own = CoefficientSet("own", "arithmetic", "h", (Coefficient("add", 1.0, "pJ", "s", "h"), mac), "int4")
    rows = {(c["coefficients"], c["baseline"]): c for c in report(coefficient_sets=[own])["comparisons"]}
    assert rows["own", "ann:own"]["ratio_range"] == pytest.approx([531_000 / (m * 121_600) for m in (4, 1)])
    bare = [0.9 * 531_000 / (m * 121_600) for m in (4, 1)]
    assert rows["horowitz-45nm-fp32", "ann:own"]["ratio_range"] == pytest.approx(bare)


# --- refused files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object, but is list"),
        (own_file(extra=1), "'extra'.*unknown"),
        (own_file(name="loihi1-davies2018"), "built-in"),
        (own_file(name="<b>"), "'<b>'"),
        (own_file(kind="gpu"), "'gpu'.*chip, arithmetic, memory"),
        (own_file(memory=None), 'memory .*missing.*"included" or "excluded"'),
        (own_file(memory="yes"), "memory .*'yes'"),
        (own_file(kind="memory", memory="excluded"), 'must be "included"'),
        (own_file(bound="lower"), "bound .*'lower'"),
        (own_file(kind="arithmetic", precision="int8", bound="upper"), "bound .*chip sets"),
        (own_file(within_synop=["synop"]), "within_synop .*names among"),
        (own_file(within_synop=["synop_with_static"]), "within_synop .*names among"),
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
    with pytest.raises(UserError, match=r"nowhere\.json does not exist"):
        load_coefficients(tmp_path / "nowhere.json")
