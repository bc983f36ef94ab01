"""The page of a sweep stands alone, and fits a phone and a desk."""

from __future__ import annotations

import json
import re
from pathlib import Path

from spk2loihi.reporting.sweep_page import render_html
from spk2loihi.sweep.sweep_report import build_sweep
from support.chromium import Chromium, needs_browser
from support.sweep_records import record, settling_record


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
    assert page.count("<svg") == 4  # SynOps, two chips, steps
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
        for width, cards in ((390, 1), (1200, 4)):
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
