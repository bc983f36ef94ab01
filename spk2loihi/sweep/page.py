"""`sweep.html`: the sweep's data as one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spk2loihi.data import formatted
from spk2loihi.energy import formatting as fmt
from spk2loihi.energy.template import environment, page_style
from spk2loihi.sweep import figures
from spk2loihi.sweep.verdict import label


def render_html(data: Mapping[str, Any]) -> str:
    """The page for a dictionary of `build_sweep`, or for one read back from `sweep.json`.

    Every string of the dictionary is escaped; the page loads nothing and runs no script.
    """
    templates = environment("spk2loihi", "sweep")
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
