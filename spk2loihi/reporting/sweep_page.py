"""`sweep.html`: the sweep's data as one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import escape

from spk2loihi import formatting as fmt
from spk2loihi.data import formatted
from spk2loihi.files import json_writer, text_writer, write_together
from spk2loihi.outputs import Output, check_outputs
from spk2loihi.reporting import sweep_figures as figures
from spk2loihi.reporting.templates import environment, page_style
from spk2loihi.sweep.sweep_verdict import label, score_of


class SweepReport:
    """A sweep: its data (layout: `spk2loihi.sweep.sweep_report`), its page and its verdict."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    def to_dict(self) -> dict[str, Any]:
        """What `sweep.json` holds."""
        return dict(self.data)

    @property
    def points(self) -> list[dict[str, Any]]:
        """One point for every network and every way it was run."""
        return list(self.data["points"])

    @property
    def verdict(self) -> list[str]:
        """The verdict, in sentences."""
        return list(self.data["verdict"])

    def save(self, folder: str | Path, force: bool = False) -> None:
        """Write ``sweep.json`` and ``sweep.html``, both of them before either name is touched.

        Args:
            force: replace files of these names that are no sweeps.
        """
        page, data = report_outputs(Path(folder))
        text = render_html(self.data)
        check_outputs([page, data], force=force)
        write_together({data.path: json_writer(self.to_dict()), page.path: text_writer(text)})

    def _repr_html_(self) -> str:
        front = "".join(
            f"<tr><td>{escape(label(p))}</td><td>{formatted(p['score'], self.data['metric'])}</td>"
            f"<td>{fmt.count(p['synops_per_sample'])} SynOps</td><td>{p['latency_steps']:,} steps</td></tr>"
            for p in self.points
            if p["on_front"]
        )
        return f"<table>{front}</table>" + "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdict)


def report_outputs(folder: Path) -> list[Output]:
    """What `SweepReport.save` writes."""
    return [
        Output(folder / "sweep.html", "sweep page", "page"),
        Output(folder / "sweep.json", "JSON of a sweep", "numbers"),
    ]


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
        score_of=score_of,
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
