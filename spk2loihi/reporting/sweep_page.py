"""`sweep.html`: the sweep's data as one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.data import formatted
from spk2loihi.files import write_atomically, write_json
from spk2loihi.reporting import sweep_figures as figures
from spk2loihi.reporting.templates import environment, page_style
from spk2loihi.sweep.sweep_verdict import label


def render_html(data: Mapping[str, Any]) -> str:
    """The page for a dictionary of `build_sweep`, or for one read back from `sweep.json`.

    Every string of the dictionary is escaped; the page loads nothing and runs no script.
    """
    templates = environment()
    templates.filters.update(energy=fmt.energy, count=fmt.count, significant=fmt.significant)
    chips = [name for name, s in data["coefficients"].items() if s["kind"] == "chip"]
    return templates.get_template("sweep.html.jinja").render(
        style=page_style(),
        data=data,
        best=max(data["points"], key=lambda p: (p["score"], -p["synops_per_sample"])),
        score=lambda value: formatted(value, data["metric"]),
        label=label,
        settling=any(p["schedule"] == "settling" for p in data["points"]),
        figures={
            "synops": figures.score_against_synops(data),
            "latency": figures.score_against_latency(data),
            "energy": {name: figures.score_against_energy(data, name, i) for i, name in enumerate(chips)},
        },
        provenance=[
            (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for key, value in data["provenance"].items()
        ],
    )


def write_sweep(folder: Path, data: Mapping[str, Any]) -> None:
    """Write ``sweep.json`` and ``sweep.html``, each whole or not at all."""
    page = render_html(data)

    def write_page(temporary: Path) -> None:
        temporary.write_text(page, encoding="utf-8")

    write_json(folder / "sweep.json", dict(data))
    write_atomically(folder / "sweep.html", write_page)
