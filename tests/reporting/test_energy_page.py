"""The page of the energy report loads nothing, escapes all, and holds what its JSON holds."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from spk2loihi.energy import Coefficient, CoefficientSet
from spk2loihi.errors import UserError
from spk2loihi.reporting.energy_page import EnergyReport, render_html
from support.energy_stages import ACCURACY, SUMMARY, report, stages
from support.html_page import Page

HOSTILE = '<script>alert("1")</script> $\\frac{ --> "\' id="x" &amp; </style>'


@pytest.fixture(scope="module")
def page_source() -> str:
    return render_html(report())


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
    assert _pointed(page_source, report()) > 100


def test_feedback_of_the_training() -> None:
    data = report()
    without = render_html(data)
    solves = {"solves": 1234, "unconverged": 5, "mean_iterations": 6.25, "largest_residual": 7.5e-5}
    never = {"solves": 0, "unconverged": 0, "mean_iterations": None, "largest_residual": None}
    record = {"stage": "layer.0.value", "limit": 0.5, "norm": 0.375, "forward": solves, "backward": never}
    data["provenance"]["feedback"] = [record]
    source = render_html(data)
    assert _pointed(source, data) == _pointed(without, report()) + 8
    text = Page(source).text
    for part in ("Feedback, as the training left it", "layer.0.value", "0.375", "6.25", "7.50e-05", "1,234"):
        assert part in text, part
    assert "Feedback, as" not in Page(without).text


def _pointed(source: str, data: dict[str, Any]) -> int:
    """How many numbers point into ``data``, all of them rightly."""
    found = 0
    for tag, attributes in Page(source).tags:
        if tag == "data":
            value: Any = data
            for key in (attributes["data-pointer"] or "").split("/")[1:]:
                key = key.replace("~1", "/").replace("~0", "~")
                value = value[int(key)] if isinstance(value, list) else value[key]
            assert json.loads(attributes["value"] or "") == value
            found += 1
    return found


def test_a_failed_write_leaves_no_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spk2loihi.reporting.energy_page.render_html", lambda data: "page")
    (tmp_path / "energy.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        EnergyReport(report()).save(tmp_path / "energy.html")
    assert [p.name for p in tmp_path.iterdir()] == ["energy.json"]


def test_the_same_report_gives_the_same_bytes(page_source: str) -> None:
    assert render_html(report()) == page_source
