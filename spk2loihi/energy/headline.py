"""The headline figures at the top of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficients import CoefficientSet


def headline(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[dict[str, Any]]:
    """Score, T x density, SynOps, latency and the least favourable energy ratio of the first chip set to an ANN.

    Args:
        report: the dictionary `build_report` assembles, up to ``headline``.
        sets: its coefficient sets; the first chip set is the one shown.
    """
    network, per_sample = report["network"], report["per_sample"]
    chip = next(s for s in sets if s.kind == "chip")
    worst = max(
        (c for c in report["comparisons"] if c["coefficients"] == chip.name and c["baseline"].startswith("ann:")),
        key=lambda c: c["ratio"],
    )
    graded = network["encoding"] == "graded"
    window = network["timesteps"] if graded or network["schedule"] == "settling" else network["steps"]
    relation = {"wins": "less", "loses": "more", "ties": "the same"}[worst["outcome"]]
    ratio = worst["ratio"]
    times = f"{fmt.factor(max(ratio, 1 / ratio))}× {relation}" if ratio and worst["outcome"] != "ties" else relation
    return [
        _score(report["accuracy"]),
        _figure(
            "t_times_density",
            "SynOps per ANN operation" if graded else "T × density",
            report["t_times_density"],
            fmt.significant(report["t_times_density"]),
            "multiply-accumulates with graded messages per multiply-accumulate of the ANN"
            if graded
            else "additions per multiply-accumulate of the ANN (SpikingBERT as published: 16 × 0.205 = 3.28)",
        ),
        _figure(
            "synops_per_sample",
            "SynOps per sentence",
            per_sample["synops"],
            fmt.count(per_sample["synops"]),
            f"attention included; ANN: {fmt.count(per_sample['dense'])} multiply-accumulates",
        ),
        _figure(
            "latency_steps",
            "Latency",
            network["latency_steps"],
            f"{network['latency_steps']:,} steps",
            f"{network['schedule']} schedule, {network['encoding']} spikes, T = {window}",
        ),
        {
            **_figure(
                "energy_ratio",
                "Energy",
                ratio,
                times,
                f"against the {worst['baseline_label']}, at the prices of {chip.name}",
            ),
            "outcome": worst["outcome"],
        },
    ]


def _figure(key: str, label: str, value: float | None, text: str, note: str) -> dict[str, Any]:
    return {"key": key, "label": label, "value": value, "text": text, "note": note}


def _score(accuracy: Mapping[str, Any] | None) -> dict[str, Any]:
    if accuracy is None or accuracy["student"] is None:
        return _figure("score", "Accuracy", None, "not measured", "no labelled sentences in this run")
    metric, student, teacher = accuracy["metric"], accuracy["student"], accuracy.get("teacher")
    note = f"teacher {fmt.score(teacher, metric)}" if teacher is not None else "teacher not given"
    if accuracy.get("samples"):
        note += f", over {accuracy['samples']:,} sentences"
    return _figure("score", metric.capitalize(), student, fmt.score(student, metric), note)
