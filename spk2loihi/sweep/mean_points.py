"""Points that differ in the seed of their training alone, as one: means, and the spread of the score."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

_MEANS = (
    "score", "synops_per_sample", "messages_per_sample", "dense_per_sample", "host_elements_per_sample",
    "mean_latency_steps", "t_times_density", "mean_rate",
)  # fmt: skip
_MEANS_BY_SET = ("energy_per_sample_nJ", "ann_energy_per_sample_nJ")
_SAME = ("name", "preset", "layers", "timesteps", "bits", "rate_penalty", "encoding", "schedule")
_OF_A_RUN = ("seed", "network", "network_sha256", "score")


def mean_points(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One point for all that have the same name, configuration and way to run.

    A point of several seeds gets ``runs``, with seed, network and score of each, and ``score_std``, the standard
    deviation of a sample; of one seed they are empty and null. Averages over sentences become averages over networks
    too; ``latency_steps`` are those of the slowest. The network of a point is that of its first seed.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for point in points:
        groups[tuple(point[name] for name in _SAME)].append(point)
    return [_mean(sorted(group, key=lambda point: point["seed"] or 0)) for group in groups.values()]


def _mean(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scores = [point["score"] for point in group]
    if len(group) == 1:
        return {**group[0], "score_std": None, "runs": []}
    merged = {
        **group[0],
        "score_std": statistics.stdev(scores),
        "runs": [{name: point[name] for name in _OF_A_RUN} for point in group],
        **{name: statistics.fmean(point[name] for point in group) for name in _MEANS},
    }
    for name in _MEANS_BY_SET:
        merged[name] = {key: statistics.fmean(point[name][key] for point in group) for key in group[0][name]}
    merged["latency_steps"] = max(point["latency_steps"] for point in group)
    return merged
