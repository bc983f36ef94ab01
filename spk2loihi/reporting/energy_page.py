"""`energy.html`: the report dictionary as one self-contained page.

The page embeds `energy.json` itself, and its script draws every plot from it. Each number of the page is an element
with ``data-pointer``, the JSON pointer (RFC 6901) of the value in `energy.json`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficients import CHARGED_FOR
from spk2loihi.energy.estimate import COMPONENTS
from spk2loihi.energy.telling import pointer
from spk2loihi.errors import UserError
from spk2loihi.files import json_writer, text_writer, write_together
from spk2loihi.outputs import Output, check_outputs
from spk2loihi.reporting.templates import asset, environment, page_style

_SCRIPTS = ("core.js", "tables.js", "bars.js", "plots.js", "curve.js", "sentence.js")
_FORMS: dict[str, Callable[[Any], str]] = {
    "energy": fmt.energy,
    "millijoule": lambda mj: fmt.energy(mj * 1e6),
    "duration": fmt.duration,
    "count": fmt.count,
    "significant": fmt.significant,
    "plain": str,
}


class EnergyReport:
    """An energy report: its data (layout: `spk2loihi.energy.energy_report`), its page and its verdict.

    Attributes:
        sources: the files it was made from, which it never replaces.
    """

    def __init__(self, data: Mapping[str, Any], sources: Sequence[Path] = ()) -> None:
        self.data = data
        self.sources = sources

    def to_dict(self) -> dict[str, Any]:
        """What `energy.json` holds."""
        return dict(self.data)

    @property
    def verdict(self) -> list[str]:
        """The verdict, in sentences."""
        return list(self.data["verdict"])

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the page to ``path`` and the data beside it, with the suffix .json; returns the path of the data.

        Both are written, then both renamed.

        Args:
            force: replace files that are no energy reports.

        Raises:
            UserError: a file cannot be written, or must not be replaced, or ``path`` is the place of the data.
        """
        page = Path(path)
        if page.suffix == ".json":
            raise UserError(
                f"{page} is the place of the report's numbers, not of its page: choose an .html file as `out`"
            )
        text = render_html(self.data)
        check_outputs(report_outputs(page), self.sources, force=force)
        write_together({page.with_suffix(".json"): json_writer(self.to_dict()), page: text_writer(text)})
        return page.with_suffix(".json")

    def _repr_html_(self) -> str:
        figures = "".join(
            f"<tr><td>{escape(f['question'] or f['label'])}</td><td><b>{escape(f['text'])}</b></td>"
            f"<td>{escape(f['note'])}</td></tr>"
            for f in self.data["headline"]
        )
        return f"<table>{figures}</table>" + "".join(f"<p>{escape(sentence)}</p>" for sentence in self.verdict)


def report_outputs(page: Path) -> list[Output]:
    """What `EnergyReport.save` writes."""
    return [
        Output(page, "energy page", "page"),
        Output(page.with_suffix(".json"), "JSON of an energy report", "numbers"),
    ]


def render_html(data: Mapping[str, Any]) -> str:
    """The page for a dictionary of `build_report`, or for one read back from `energy.json`.

    Every string of the dictionary is escaped. The page loads nothing, and its content security policy allows no script
    but its own.
    """
    script = "\n".join(["(() => {", *(asset(name) for name in _SCRIPTS), "})();"])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    def number(*path: str | int, form: str = "count") -> Markup:
        value: Any = data
        for key in path:
            value = value[key]
        if value is None:
            return Markup("–")
        return Markup('<data value="{}" data-pointer="{}" data-form="{}">{}</data>').format(
            json.dumps(value), pointer(*path), form, _FORMS[form](value)
        )

    return (
        environment()
        .get_template("energy.html.jinja")
        .render(
            data=data,
            unit=data["network"]["unit"],
            number=number,
            made={name: value for name, value in data["provenance"].items() if name != "feedback"},
            pointer=pointer,
            flat=_flat,
            chip_sets=[name for name, s in data["coefficients"].items() if s["kind"] == "chip"],
            charged_for=CHARGED_FOR["chip"],
            subtitle=_subtitle(data),
            style=page_style(),
            script=Markup(script),
            script_digest=digest,
            embedded=Markup(_embedded({"report": data, "components": COMPONENTS})),
        )
    )


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that no HTML parser can mistake for the end of its element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _subtitle(data: Mapping[str, Any]) -> str:
    network = data["network"]
    config = network.get("config", {})
    parts = [
        data["provenance"].get("task"),
        config.get("preset"),
        f"{config['num_hidden_layers']} layers × {config['hidden_size']}" if "num_hidden_layers" in config else None,
        f"T = {network['timesteps']}",
        f"{network['weight_bits']:g}-bit weights" if "weight_bits" in network else None,
        f"{network['schedule']} schedule",
        f"{network['encoding']} encoding",
    ]
    return " · ".join(str(part) for part in parts if part)


def _flat(tree: Mapping[str, Any], *path: str) -> Iterator[tuple[str, str, str]]:
    """Nested dictionaries as (dotted key, pointer, text) rows."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, *path, key)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield ".".join([*path[1:], key]), pointer(*path, key), text
