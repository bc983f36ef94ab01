"""What a sweep says, in sentences computed from its points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.data import formatted

#: Points this close to the best score are candidates for the fewest SynOps. Used in the verdict only.
_NEAR = 0.01
_SETTLING_COSTS = {
    "latency_steps": "steps (of the slowest sentence)",
    "synops_per_sample": "SynOps",
    "host_elements_per_sample": "elements through host operations",
}


def label(point: Mapping[str, Any]) -> str:
    """``T = 8, 4 bits, graded, penalty 1``; values that every sweep has by default are left out."""
    parts = [f"T = {point['timesteps']}", f"{point['bits']:g} bits", point["encoding"]]
    if point["schedule"] != "windowed":
        parts.append(point["schedule"])
    if point["rate_penalty"]:
        parts.append(f"penalty {point['rate_penalty']:g}")
    if point["preset"] != "spikingbert":
        parts.append(str(point["preset"]))
    return ", ".join(parts)


def score_of(point: Mapping[str, Any], metric: str) -> str:
    """The score; of several seeds the mean and the standard deviation."""
    score, std = formatted(point["score"], metric), point["score_std"]
    return score if std is None else f"{score.removesuffix(' %')} ± {formatted(std, metric)}"


def verdict(data: Mapping[str, Any]) -> list[str]:
    """Front, default configuration, cheapest point near the best, and energy against the same-shape ANN."""
    points, metric = data["points"], data["metric"]
    front = [p for p in points if p["on_front"]]
    sentences = [
        f"{len(front)} of {len(points)} points are on the front of their encoding: no other point reaches their "
        f"{metric} without more SynOps or more time steps."
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
            f"The front ignores chance. Over {n:,} sentences the standard error of an accuracy is about "
            f"{error:.2g} points, so smaller differences between points may be chance."
        )
    if len({p["preset"] for p in data["points"]}) > 1:
        lines.append(
            "The presets leave different work to a host. LayerNorm, softmax and GELU of spikingbert are counted as "
            "host operations, not as SynOps, and the built-in tables have no price for them; neurocore has none "
            "after the embedding."
        )
    if any(p["schedule"] == "settling" for p in data["points"]):
        lines.append(
            "Settling and windowed points of the rate encoding share a front, because a SynOp adds a weight in both. "
            "The latency of a settling point is that of its slowest sentence. The front does not include the other "
            "costs of settling: every neuron must send spikes of -1, something must detect that the network is "
            "silent, and host operations are computed again whenever a drive has changed."
        )
    lines += _training_caveats(data["points"])
    lines += [
        "A spike adds a weight; a graded message adds the product of a weight and its payload. Their SynOps are "
        "different operations, so each encoding has its own front. Chip tables charge the same price for both, "
        "because no price for the latter has been published; bare arithmetic charges an addition for one and a "
        "multiply-accumulate for the other.",
        "Energies are counts times prices, not measurements. Nobody has published the price of a SynOp of Loihi 2. "
        "That of loihi2-pilotnet-bound is an upper bound on one workload, and other networks may pay more. The time of "
        "a step depends on the mapping, so latency is in steps (spk2loihi energy estimates seconds).",
    ]
    return lines


def _training_caveats(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many runs are behind a score, and what chose their epochs."""
    several = [p for p in points if p["runs"]]
    lines = []
    if len(several) < len(points):
        each = "Some networks come" if several else "Each network comes"
        lines.append(f"{each} from one training run with one seed.")
    if several:
        lines.append(
            "Figures of several seeds are means, and the steps those of the slowest sentence of all. Their teacher was "
            "held fixed, so the standard deviation is that of the student's training alone."
        )
    if any(p["chosen_on"] == "held-out" for p in points):
        some = "The epoch" if all(p["chosen_on"] == "held-out" for p in points) else "The epoch of some networks"
        lines.append(f"{some} was chosen on the held-out sentences that score it.")
    return lines


def _default_sentence(data: Mapping[str, Any]) -> str:
    default, points = data["default"], data["points"]
    what = f"The default configuration ({label(default)})"
    if not default["points"]:
        return f"{what} is not among the points."
    point = points[default["points"][0]]
    if default["on_front"]:
        return f"{what} is on the front."
    better = [
        p
        for p in points
        if p["on_front"]
        and p["encoding"] == point["encoding"]
        and p["score"] >= point["score"]
        and p["synops_per_sample"] <= point["synops_per_sample"]
        and p["latency_steps"] <= point["latency_steps"]
    ]
    named = " and ".join(f"({label(p)})" for p in better)
    verb = "beats" if len(better) == 1 else "beat"
    return f"{what} is not on the front: {named} {verb} it, at least as good in everything and better in something."


def _settling_sentences(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settling compared with windows of rate spikes, over the networks that were run both ways."""
    windowed = {p["network_sha256"]: p for p in points if (p["schedule"], p["encoding"]) == ("windowed", "rate")}
    settling = [p for p in points if p["schedule"] == "settling" and p["network_sha256"] in windowed]
    pairs = [(p, windowed[p["network_sha256"]]) for p in settling]
    parts = []
    for name, words in _SETTLING_COSTS.items():
        ratios = [p[name] / w[name] for p, w in pairs if w[name]]  # a silent network has no SynOps
        if ratios:
            low, high = fmt.factor(min(ratios)), fmt.factor(max(ratios))
            parts.append(f"{low if low == high else f'{low} to {high}'} times the {words}")
    return [f"Compared with windows of rate spikes, settling takes {', '.join(parts)}."] if parts else []


def _energy_sentences(data: Mapping[str, Any]) -> list[str]:
    points = data["points"]
    sentences = []
    for name, coefficients in data["coefficients"].items():
        for baseline, described in data["coefficients"].items():
            if described["kind"] != "arithmetic" or described["precision"] != "int8":
                continue
            if coefficients["precision"] not in ("", "int8") or coefficients["memory"] != described["memory"]:
                continue  # unlike: with memory on one side only
            ratios = [p["energy_per_sample_nJ"][name] / p["ann_energy_per_sample_nJ"][baseline] for p in points]
            sentences.append(
                f"At the prices of {name} the points cost {fmt.factor(min(ratios))} to {fmt.factor(max(ratios))} times "
                f"the same-shape ANN in int8 ({baseline}), memory traffic {described['memory']} on both sides."
            )
    return sentences
