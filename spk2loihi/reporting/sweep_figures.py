"""The sweep's figures, each a pure function from the data to one inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from spk2loihi import formatting as fmt
from spk2loihi.data import formatted
from spk2loihi.reporting.svg import INK, render, style
from spk2loihi.sweep.axes import Way

_WIDTH = 5.0  # inches, as in the energy report
_PANEL = 2.7  # height of a panel in inches
_LABEL_WIDTH, _LABEL_HEIGHT = 0.11, 0.07  # of a point's label, in parts of the panel
_INKS = ("synapse", "neuron", "routing", "host", "attention", "baseline")
_MARKERS = {"rate": "o", "graded": "D", "settling": "^"}  # by way

Point = Mapping[str, Any]


def score_against_synops(data: Mapping[str, Any]) -> str:
    """Score against SynOps per sentence: a panel for each encoding, its front joined by steps."""
    points = data["points"]
    encodings = list(dict.fromkeys(p["encoding"] for p in points))
    with style("synops"):
        figure = Figure(figsize=(_WIDTH, 0.5 + _PANEL * len(encodings)), layout="constrained")
        panels = figure.subplots(len(encodings), 1, squeeze=False, sharey=True)[:, 0]
        for axes, encoding in zip(panels, encodings, strict=True):
            here = [p for p in points if p["encoding"] == encoding]
            _panel(axes, data, here, lambda p: p["synops_per_sample"], fmt.count_tick)
            axes.set_xlabel(f"SynOps per sentence, {encoding} encoding")
        _legend(figure, points)
        front = "; ".join(f"{_name(p)} {formatted(p['score'], data['metric'])}" for p in points if p["on_front"])
        return render(figure, "synops", f"{data['metric']} against SynOps per sentence. On the front: {front}.")


def score_against_latency(data: Mapping[str, Any]) -> str:
    """Score against time steps of a run, of its slowest sentence; log scale."""
    return _single(data, "latency", lambda p: p["latency_steps"], lambda v: f"{v:,.0f}", "time steps of a run")


def score_against_energy(data: Mapping[str, Any], set_name: str, index: int) -> str:
    """Score against energy per sentence by one price table, log scale. ``index`` keeps ids apart."""
    words = f"energy per sentence, {set_name}"
    return _single(data, f"energy{index}", lambda p: p["energy_per_sample_nJ"][set_name], fmt.energy_tick, words)


def _single(
    data: Mapping[str, Any], name: str, cost: Callable[[Point], float], tick: Callable[[float], str], words: str
) -> str:
    points = data["points"]
    with style(name):
        figure = Figure(figsize=(_WIDTH, 0.5 + _PANEL), layout="constrained")
        axes = figure.add_subplot()
        _panel(axes, data, points, cost, tick)
        axes.set_xlabel(words)
        _legend(figure, points)
        low, high = (tick(pick(cost(p) for p in points)) for pick in (min, max))
        return render(figure, name, f"{data['metric']} against {words}, from {low} to {high}.")


def _panel(
    axes: Axes,
    data: Mapping[str, Any],
    points: Sequence[Point],
    cost: Callable[[Point], float],
    tick: Callable[[float], str],
) -> None:
    inks = _inks(data["points"])
    for encoding in dict.fromkeys(p["encoding"] for p in points):
        front = sorted((p for p in points if p["on_front"] and p["encoding"] == encoding), key=cost)
        if len(front) > 1:
            costs, scores = [cost(p) for p in front], [_shown(data, p) for p in front]
            best = [max(scores[: i + 1]) for i in range(len(scores))]  # best score for at most that cost
            axes.step(costs, best, where="post", color=INK["muted"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for p in points:
        axes.plot(
            cost(p),
            _shown(data, p),
            marker=_MARKERS[_way(p)],
            markersize=7 if p["on_front"] else 5,
            color=INK[inks[_kind(p)]],
            fillstyle="full" if p["on_front"] else "none",
            linestyle="none",
            zorder=3 if p["on_front"] else 2,
        )
    _teacher(axes, data, points)
    costs = [cost(p) for p in points]
    if min(costs) > 0 and max(costs) > 4 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.margins(x=0.14, y=0.14)
    axes.xaxis.set_major_formatter(lambda value, _: tick(value))
    axes.tick_params(axis="x", labelcolor=INK["muted"])
    axes.set_ylabel(f"{data['metric']} (%)" if _scale(data) == 100 else data["metric"])
    _label(axes, data, points, cost)


def _teacher(axes: Axes, data: Mapping[str, Any], points: Sequence[Point]) -> None:
    """The teacher's score as a line, unless it would squeeze the points together."""
    if data["teacher_score"] is None:
        return
    scores, level = [_shown(data, p) for p in points], data["teacher_score"] * _scale(data)
    room = max(max(scores) - min(scores), _scale(data) / 50)
    if min(scores) - room <= level <= max(scores) + room:
        axes.axhline(level, color=INK["ink"], linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            "teacher", (0, level), (2, 3), xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=7.5
        )


def _label(axes: Axes, data: Mapping[str, Any], points: Sequence[Point], cost: Callable[[Point], float]) -> None:
    """T and rate penalty beside the points, front first, where labels do not overlap."""
    taken: list[tuple[float, float]] = []
    axes.autoscale_view()
    for p in sorted(points, key=lambda p: (not p["on_front"], -p["score"])):
        place = (cost(p), _shown(data, p))
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(place))
        if all(abs(x - a) > _LABEL_WIDTH or abs(y - b) > _LABEL_HEIGHT for a, b in taken):
            taken.append((x, y))
            axes.annotate(
                _name(p),
                place,
                (5, -9),
                textcoords="offset points",
                fontsize=7.5,
                color=INK["ink" if p["on_front"] else "muted"],
            )


def _kind(point: Point) -> str:
    preset = "" if point["preset"] == "spikingbert" else f", {point['preset']}"
    return f"{point['bits']:g} bits{preset}"


def _way(point: Point) -> str:
    return Way(point["schedule"], point["encoding"]).name


def _inks(points: Sequence[Point]) -> dict[str, str]:
    kinds = dict.fromkeys(_kind(p) for p in points)
    return {kind: _INKS[i % len(_INKS)] for i, kind in enumerate(kinds)}


def _name(point: Point) -> str:
    return f"T{point['timesteps']}" + (f" λ{point['rate_penalty']:g}" if point["rate_penalty"] else "")


def _scale(data: Mapping[str, Any]) -> int:
    return 100 if data["metric"] in ("accuracy", "f1") else 1


def _shown(data: Mapping[str, Any], point: Point) -> float:
    return float(point["score"] * _scale(data))


def _legend(figure: Figure, points: Sequence[Point]) -> None:
    handles = [
        Line2D([], [], color=INK[ink], marker="s", linestyle="none", label=kind) for kind, ink in _inks(points).items()
    ]
    handles += [
        Line2D([], [], color=INK["muted"], marker=_MARKERS[way], linestyle="none", label=way)
        for way in dict.fromkeys(map(_way, points))
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, handlelength=1, columnspacing=1.2, fontsize=8)
