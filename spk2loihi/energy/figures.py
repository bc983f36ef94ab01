"""The report's figures, each a pure function from the report dictionary to one inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spk2loihi.energy import formatting as fmt
from spk2loihi.energy.estimate import COMPONENTS
from spk2loihi.energy.svg import INK, render, style

_WIDTH = 5.0  # inches; one unit of the SVG is 1/72 inch: a phone shows the figure about as large as it is drawn
_ROW = 0.145  # inches a stage takes in a per-stage figure
_KIND_INK = {
    "embedding": "host",
    "linear": "synapse",
    "scores": "attention",
    "context": "routing",
    "readout": "baseline",
}


def rates(report: Mapping[str, Any]) -> str | None:
    """ASR of every firing stage, coloured by kind. None where no spikes are known (graded messages alone)."""
    layers = [layer for layer in report["layers"] if layer["asr"] is not None]
    if not layers:
        return None
    kinds = list(dict.fromkeys(layer["kind"] for layer in layers))
    with style("rates"):
        figure, axes = _per_stage(layers)
        axes.barh(
            range(len(layers)),
            [layer["asr"] for layer in layers],
            color=[INK[_KIND_INK.get(layer["kind"], "baseline")] for layer in layers],
            height=0.72,
        )
        axes.set_xlabel("average spiking rate (spikes per neuron and step)")
        axes.set_xlim(left=0)
        _legend(figure, axes, [Patch(color=INK[_KIND_INK.get(k, "baseline")], label=k) for k in kinds])
        busiest = max(layers, key=lambda layer: layer["asr"])
        label = f"Average spiking rate of each stage. Highest: {busiest['name']} at {fmt.significant(busiest['asr'])}."
        return render(figure, "rates", label)


def synops(report: Mapping[str, Any]) -> str:
    """SynOps a sample by stage, linear and attention stacked."""
    samples, layers = report["samples"], report["layers"]
    parts = {
        "linear synapses": ("synapse", [layer["synops"] / samples for layer in layers]),
        "attention (fast weights)": ("attention", [layer["attention_synops"] / samples for layer in layers]),
    }
    total = fmt.count(report["per_sample"]["synops"])
    return _stacked(
        "synops", layers, parts, "SynOps a sample", fmt.count_tick, f"SynOps a sample by stage, {total} in all."
    )


def energy(report: Mapping[str, Any], set_name: str, index: int) -> str:
    """Energy a sample by stage for one coefficient set, components stacked. ``index`` keeps ids apart."""
    layers = report["layers"]
    parts = {
        words: (component, [layer["energy_per_sample_nJ"][set_name][component] for layer in layers])
        for component, words in COMPONENTS.items()
    }
    parts = {words: part for words, part in parts.items() if any(part[1])}
    total = fmt.energy(report["per_sample"]["snn"][set_name]["total_nJ"])
    label = f"Energy a sample by stage with {set_name}, stacked by component, {total} in all."
    return _stacked(f"energy{index}", layers, parts, "energy a sample", fmt.energy_tick, label)


def comparison(report: Mapping[str, Any]) -> str:
    """Energy a sample of every model with every coefficient set, log scale."""
    rows = [
        *((f"SNN, {row['label']}", row["total_nJ"], "accent") for row in report["per_sample"]["snn"].values()),
        *((_capital(row["label"]), row["total_nJ"], "baseline") for row in report["per_sample"]["baselines"].values()),
    ]
    rows = sorted(((label, nj, ink) for label, nj, ink in rows if nj > 0), key=lambda row: row[1])
    with style("comparison"):
        figure = Figure(figsize=(_WIDTH, 0.6 + 0.4 * max(len(rows), 1)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if rows:
            lowest, highest = rows[0][1], rows[-1][1]
            left = 10.0 ** math.floor(math.log10(lowest) - 0.3)
            axes.set_xlim(left, highest * (highest / left) ** 0.18)  # room for the value after the longest bar
            axes.set_ylim(-0.4, len(rows))
            widths = [nj - left for _, nj, _ in rows]
            axes.barh(range(len(rows)), widths, left=left, color=[INK[ink] for _, _, ink in rows], height=0.42)
            for y, (label, nj, _) in enumerate(rows):
                axes.annotate(label, (left, y + 0.25), (0, 2), textcoords="offset points", fontsize=8.5)
                axes.annotate(fmt.energy(nj), (nj, y), (5, 0), textcoords="offset points", va="center", weight="bold")
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: fmt.energy_tick(value))
        axes.tick_params(axis="x", labelcolor=INK["muted"])
        axes.set_xlabel("energy a sample (log scale)")
        named = "; ".join(f"{label} {fmt.energy(nj)}" for label, nj, _ in rows)
        return render(figure, "comparison", f"Energy a sample, from least to most: {named}.")


def convergence(report: Mapping[str, Any]) -> str:
    """Mean |ASR - equilibrium| against steps, log-log, with a 1/T guide; the task score below it where given."""
    data = report["convergence"]
    steps, overall, scores = data["steps"], data["overall"], data.get("score")
    heights = [3, 1] if scores else [1]
    with style("convergence"):
        figure = Figure(figsize=(_WIDTH, 4.6 if scores else 3.4), layout="constrained")
        panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        axes = panels[0][0]
        for i, errors in enumerate(data["mean_abs_error"].values()):
            label = "single stages" if i == 0 else None
            axes.plot(steps, _positive(errors), color=INK["muted"], linewidth=0.8, alpha=0.4, label=label)
        axes.plot(
            steps, _positive(overall), color=INK["accent"], linewidth=2.4, marker="o", markersize=5, label="overall"
        )
        anchor = next(((t, e) for t, e in zip(steps, overall, strict=True) if e > 0), None)
        if anchor is not None:
            guide = [anchor[1] * anchor[0] / t for t in steps]
            axes.plot(steps, guide, color=INK["ink"], linewidth=1.2, linestyle=(0, (4, 3)), label="O(1/T)")
        axes.set_xscale("log", base=2)
        if anchor is not None:  # no error at all has no place on a log axis
            axes.set_yscale("log")
        axes.set_ylabel("mean |ASR - equilibrium|")
        axes.legend(loc="lower left")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if scores:
            panels[1][0].plot(steps, scores, color=INK["synapse"], linewidth=2, marker="o", markersize=4)
            panels[1][0].set_ylabel("score")
            panels[1][0].yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
        for panel in (row[0] for row in panels):
            panel.minorticks_off()
            panel.set_xticks(steps, [f"{t:,}" for t in steps])
        panels[-1][0].set_xlabel("time steps T")
        label = (
            f"Mean absolute difference of average spiking rate and equilibrium against time steps, log-log: "
            f"{fmt.significant(overall[0])} after {steps[0]}, {fmt.significant(overall[-1])} after {steps[-1]} steps."
        )
        return render(figure, "convergence", label)


def _stacked(
    name: str,
    layers: Sequence[Mapping[str, Any]],
    parts: Mapping[str, tuple[str, Sequence[float]]],
    axis_label: str,
    form: Any,
    label: str,
) -> str:
    with style(name):
        figure, axes = _per_stage(layers)
        left = [0.0] * len(layers)
        for part, (ink, values) in parts.items():
            axes.barh(range(len(layers)), values, left=left, color=INK[ink], height=0.72, label=part)
            left = [a + b for a, b in zip(left, values, strict=True)]
        axes.set_xlabel(axis_label)
        axes.xaxis.set_major_formatter(lambda value, _: form(value))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        _legend(figure, axes, [Patch(color=INK[ink], label=part) for part, (ink, _) in parts.items()])
        return render(figure, name, label)


def _per_stage(layers: Sequence[Mapping[str, Any]]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, 1.1 + _ROW * max(len(layers), 4)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(range(len(layers)), [_short(layer["name"]) for layer in layers], fontsize=7.5)
    axes.set_ylim(len(layers) - 0.4, -0.6)  # first stage on top
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelcolor=INK["muted"])
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}…"


def _legend(figure: Figure, axes: Axes, handles: Sequence[Patch]) -> None:
    if len(handles) > 1:
        figure.legend(
            handles=list(handles), loc="outside upper left", ncols=4, handlelength=1, columnspacing=1.2, fontsize=8
        )


def _positive(values: Sequence[float]) -> list[float]:
    return [v if v > 0 else math.nan for v in values]  # an exact zero has no place on a log axis
