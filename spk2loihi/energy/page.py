"""`energy.html`: the report dictionary as one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spk2loihi.energy import figures
from spk2loihi.energy import formatting as fmt
from spk2loihi.energy.coefficients import CHARGED_FOR


def render_html(data: Mapping[str, Any]) -> str:
    """The page for a dictionary of `build_report`, or for one read back from `energy.json`.

    Every string of the dictionary is escaped; the page loads nothing and runs no script.
    """
    environment = Environment(
        loader=PackageLoader("spk2loihi", "energy"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(energy=fmt.energy, count=fmt.count, significant=fmt.significant, precision=fmt.precision)
    chips = [name for name, s in data["coefficients"].items() if s["kind"] == "chip"]
    return environment.get_template("report.html.jinja").render(
        data=data,
        chip_sets=chips,
        charged_for=CHARGED_FOR["chip"],
        figures={
            "comparison": figures.comparison(data),
            "rates": figures.rates(data),
            "synops": figures.synops(data),
            "energy": {name: figures.energy(data, name, i) for i, name in enumerate(chips)},
            "convergence": figures.convergence(data) if data["convergence"] else None,
        },
        network=_flat(data["network"]),
        provenance=_flat(data["provenance"]),
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested dictionaries as (dotted key, text) rows."""
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
