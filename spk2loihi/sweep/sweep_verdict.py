"""What a sweep says, in sentences computed from its points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.data import formatted

#: A score this far below the best is worth a saving to many users; a choice for the sentence, nothing else.
_NEAR = 0.01
_SETTLING_COSTS = {
    "latency_steps": "steps (those of the slowest sentence)",
    "synops_per_sample": "SynOps",
    "host_elements_per_sample": "elements through host operations",
}


def label(point: Mapping[str, Any]) -> str:
    """``T = 8, 4 bits, graded, penalty 1``; what is the default of every sweep is left out."""
    parts = [f"T = {point['timesteps']}", f"{point['bits']:g} bits", point["encoding"]]
    if point["schedule"] != "windowed":
        parts.append(point["schedule"])
    if point["rate_penalty"]:
        parts.append(f"penalty {point['rate_penalty']:g}")
    if point["preset"] != "spikingbert":
        parts.append(str(point["preset"]))
    return ", ".join(parts)


def verdict(data: Mapping[str, Any]) -> list[str]:
    """Front, default configuration, cheapest point near the best, and energy against the same-shape ANN."""
    points, metric = data["points"], data["metric"]
    front = [p for p in points if p["on_front"]]
    sentences = [
        f"{len(front)} of {len(points)} points lie on the front of their encoding: no other reaches their {metric} "
        "without more SynOps or more time steps."
    ]
    sentences.append(_default_sentence(data))
    best = max(points, key=lambda p: p["score"])
    for encoding in dict.fromkeys(p["encoding"] for p in points):
        near = [p for p in front if p["encoding"] == encoding and p["score"] >= best["score"] - _NEAR]
        if near:
            choice = min(near, key=lambda p: p["synops_per_sample"])
            sentences.append(
                f"{encoding.capitalize()} encoding: within {100 * _NEAR:g} point of the best {metric} "
                f"({formatted(best['score'], metric)}), {label(choice)} has the fewest SynOps: "
                f"{formatted(choice['score'], metric)}, "
                f"{fmt.count(choice['synops_per_sample'])} SynOps, {choice['latency_steps']:,} steps."
            )
    return [*sentences, *_settling_sentences(points), *_energy_sentences(data)]


def caveats(data: Mapping[str, Any]) -> list[str]:
    """What the points do not say."""
    n, metric = data["samples"], data["metric"]
    lines = []
    if metric == "accuracy":
        best = max(p["score"] for p in data["points"])
        error = 100 * math.sqrt(max(best * (1 - best), 1 / n) / n)
        lines.append(
            f"The front takes scores as they are. Over {n:,} sentences the standard error of an accuracy is about "
            f"{error:.2g} points, so smaller differences between points may be chance."
        )
    if len({p["preset"] for p in data["points"]}) > 1:
        lines.append(
            "Presets differ in what they leave to a host: LayerNorm, softmax and GELU of spikingbert are counted, but "
            "neither SynOps nor priced by the built-in tables; neurocore has none."
        )
    if any(p["schedule"] == "settling" for p in data["points"]):
        lines.append(
            "Settling is in one front with windowed rate, because a SynOp adds a weight in both; its latency is that "
            "of the slowest sentence. The front does not weigh what else it needs: spikes of -1 from every neuron, "
            "somebody to notice the silence, and functions on a host computed anew whenever a drive has changed."
        )
    lines += [
        "Each network is one training run with one seed; its epoch was chosen on the held-out sentences that score it.",
        "A graded message adds the product of a weight and its payload, a spike adds a weight: their SynOps are "
        "different operations, so the encodings have a front each. Energies price both alike on a chip, for want of a "
        "published price, and as multiply-accumulates and additions in bare arithmetic.",
        "Energies are counts times published prices, not measurements; no price has been published for Loihi 2. Step "
        "times depend on the mapping, so latency is in steps.",
    ]
    return lines


def _default_sentence(data: Mapping[str, Any]) -> str:
    default, points = data["default"], data["points"]
    what = f"The default configuration ({label(default)})"
    if not default["points"]:
        return f"{what} is not among the points."
    point = points[default["points"][0]]
    if default["on_front"]:
        return f"{what} lies on the front."
    better = [
        p
        for p in points
        if p["on_front"]
        and p["encoding"] == point["encoding"]
        and p["score"] >= point["score"]
        and p["synops_per_sample"] <= point["synops_per_sample"]
        and p["latency_steps"] <= point["latency_steps"]
    ]
    named = " and of ".join(f"({label(p)})" for p in better)
    return f"{what} does not lie on the front: that of {named} beats it, as good in everything and better in something."


def _settling_sentences(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settling against windows of rate spikes, over networks that were run both ways."""
    windowed = {p["network_sha256"]: p for p in points if (p["schedule"], p["encoding"]) == ("windowed", "rate")}
    settling = [p for p in points if p["schedule"] == "settling" and p["network_sha256"] in windowed]
    pairs = [(p, windowed[p["network_sha256"]]) for p in settling]
    parts = []
    for name, words in _SETTLING_COSTS.items():
        ratios = [p[name] / w[name] for p, w in pairs if w[name]]  # a silent network has no SynOps
        if ratios:
            low, high = fmt.factor(min(ratios)), fmt.factor(max(ratios))
            parts.append(f"{low if low == high else f'{low} to {high}'} times its {words}")
    return [f"Settling, a network takes {', '.join(parts)} in windows of rate spikes."] if parts else []


def _energy_sentences(data: Mapping[str, Any]) -> list[str]:
    points = data["points"]
    sentences = []
    for name, coefficients in data["coefficients"].items():
        if coefficients["kind"] != "chip":
            continue
        for baseline, described in data["coefficients"].items():
            if described["kind"] != "arithmetic" or described["precision"] != "int8":
                continue
            ratios = [p["energy_per_sample_nJ"][name] / p["ann_energy_per_sample_nJ"][baseline] for p in points]
            sentences.append(
                f"At the prices of {name} the points cost {fmt.factor(min(ratios))} to {fmt.factor(max(ratios))} times "
                f"the same-shape ANN in int8 ({baseline})."
            )
    return sentences
