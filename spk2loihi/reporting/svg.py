"""Matplotlib figures as SVG fit for inlining: colours from the page's CSS, ids unique in the page, no outside links."""

from __future__ import annotations

import html
import io
import re
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

#: CSS variable of the page -> the colour matplotlib draws with. The figures take part in the page's light and dark
#: schemes because each of these stand-ins is replaced by its variable; no other colour may be used in a figure.
INK = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "synapse": "#010203",
    "attention": "#010204",
    "neuron": "#010205",
    "routing": "#010206",
    "host": "#010207",
    "baseline": "#010208",
    "accent": "#010209",
}

#: Text stays text (selectable, in the page's own font); `$` in a stage name must not start a formula.
_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK["ink"],
    "axes.edgecolor": INK["grid"],
    "axes.labelcolor": INK["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": INK["grid"],
    "ytick.color": INK["grid"],
    "xtick.labelcolor": INK["ink"],
    "ytick.labelcolor": INK["ink"],
    "legend.frameon": False,
    "legend.labelcolor": INK["ink"],
}

_VARIABLE = {colour: f"var(--{name})" for name, colour in INK.items()}


def style(name: str) -> Any:
    """Context in which to build and render the figure called ``name``; equal figures give equal bytes."""
    return rc_context({**_RC, "svg.hashsalt": name})


def render(figure: Figure, name: str, label: str) -> str:
    """The figure as one ``<svg>`` element.

    Args:
        name: prefix of every id; unique among the figures of a page.
        label: what a reader who cannot see the figure is told.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'style="[^"]*"', _restyle, svg)
    svg = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'xlink:href="#([^"]*)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", svg)
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    assert view_box is not None
    opening = f'<svg viewBox="{view_box[1]}" role="img" aria-label="{html.escape(label)}">'
    return re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1).strip()


def _restyle(match: re.Match[str]) -> str:
    text = re.sub(r"#[0-9a-f]{6}\b", lambda c: _VARIABLE.get(c[0], c[0]), match[0])
    return text.replace("'DejaVu Sans'", "var(--font)")
