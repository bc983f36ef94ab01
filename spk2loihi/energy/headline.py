"""The headline figures at the top of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficients import CoefficientSet


def headline(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[dict[str, Any]]:
    """The figures that answer a question (is it right, is it cheap, does it fit, how long does it take), and others.

    The energy is the least favourable like-with-like ratio of the first chip set to an ANN.

    Args:
        report: the dictionary `build_report` assembles, up to ``headline``.
        sets: its coefficient sets; the first chip set is the one shown.
    """
    network, per_sample, unit = report["network"], report["per_sample"], report["network"]["unit"]
    graded = network["encoding"] == "graded"
    included = "attention included; " if report["totals"]["attention_synops"] else ""
    window = network["timesteps"] if graded or network["schedule"] == "settling" else network["steps"]
    return [
        _score(report),
        _energy(report, next(s for s in sets if s.kind == "chip")),
        _fit(report["fit"]),
        _seconds(report["time"], unit),
        _figure(
            "t_times_density",
            "SynOps per ANN operation" if graded else "T × density",
            report["t_times_density"],
            fmt.significant(report["t_times_density"]),
            _per_ann_operation(graded, published=unit == "sentence"),
        ),
        _figure(
            "synops_per_sample",
            f"SynOps per {unit}",
            per_sample["synops"],
            fmt.count(per_sample["synops"]),
            f"{included}ANN: {fmt.count(per_sample['dense'])} multiply-accumulates",
        ),
        _figure(
            "latency_steps",
            "Latency",
            network["latency_steps"],
            f"{network['latency_steps']:,} steps",
            f"{network['schedule']} schedule, {network['encoding']} spikes, T = {window}",
        ),
    ]


def _figure(
    key: str, label: str, value: float | None, text: str, note: str, question: str | None = None
) -> dict[str, Any]:
    return {"key": key, "label": label, "value": value, "text": text, "note": note, "question": question}


def _per_ann_operation(graded: bool, published: bool) -> str:
    if graded:
        return "multiply-accumulates with graded messages per multiply-accumulate of the ANN"
    aside = " (SpikingBERT as published: 16 × 0.205 = 3.28)" if published else ""
    return f"additions per multiply-accumulate of the ANN{aside}"


def _score(report: Mapping[str, Any]) -> dict[str, Any]:
    accuracy, verification = report["accuracy"], report["verification"]
    question = "Is it right?"
    checked = "not verified in this run"
    if verification is not None:
        samples = fmt.count(verification["samples"])
        checked = f"verified: {verification['mismatches']:,} mismatches with Lava on {samples} sentences"
    if accuracy is None or accuracy["student"] is None:
        return _figure("score", "Accuracy", None, "not measured", f"no labels in this run; {checked}", question)
    metric, student, teacher = accuracy["metric"], accuracy["student"], accuracy.get("teacher")
    note = f"teacher {fmt.score(teacher, metric)}" if teacher is not None else "teacher not given"
    if accuracy.get("samples"):
        note += f", over {accuracy['samples']:,} sentences"
    text = fmt.score(student, metric)
    return _figure("score", metric.capitalize(), student, text, f"{note}; {checked}", question)


def _fit(fit: Mapping[str, Any] | None) -> dict[str, Any]:
    question = "Does it fit?"
    if fit is None:
        return _figure("fit", "Cores", None, "not asked", "no partition in this run", question)
    cores = f"{fmt.count(fit['cores'])} of {fmt.count(fit['cores_available'])} cores"
    text = ("yes" if fit["fits"] else "no") + f": {cores}"
    if fit["refused"]:
        text, cores = "no", f"not one neuron of {fit['refused'][0]} fits a core"
    note = f"{fit['board']}; by this project's own partition"
    return {
        **_figure("fit", "Cores", fit["cores"], text, note, question),
        "outcome": "wins" if fit["fits"] else "loses",
    }


def _seconds(time: Mapping[str, Any] | None, unit: str) -> dict[str, Any]:
    question = "How long does it take?"
    if time is None:
        return _figure(
            "seconds", "Time to an answer", None, "not known", "no partition, or a part fits no core", question
        )
    rate = f"{fmt.significant(time['samples_per_second'])} {unit}s a second"
    if time["step_us_given"] is not None:
        text, note = fmt.duration(time["seconds"]), f"{rate}, at {time['step_us_given']:g} µs a step, as given"
    else:
        low, high = fmt.duration(time["seconds"]), fmt.duration(time["seconds_high"])
        amount, prefixed = low.split(" ")
        text = low if low == high else f"{amount if high.endswith(f' {prefixed}') else low} to {high}"
        step = f"{fmt.significant(time['measured_step_us'])} µs a step"
        note = f"at most {rate}; from one measured run: SynOps alone, or its {step}"
    return _figure("seconds", "Time to an answer", time["seconds"], text, note, question)


def _energy(report: Mapping[str, Any], chip: CoefficientSet) -> dict[str, Any]:
    rows = [c for c in report["comparisons"] if c["coefficients"] == chip.name and c["baseline"].startswith("ann:")]
    worst = max(rows, key=lambda c: c["ratio"])
    energy = fmt.energy(report["per_sample"]["snn"][chip.name]["total_nJ"])
    note = f"{energy} against the {worst['baseline_label']}; "
    alone = [c for c in rows if c["batch"] == 1]
    if worst["batch"] not in (None, 1) and alone:
        hardest = max(alone, key=lambda c: c["ratio"])
        note += f"{_times(hardest)} at batch 1; "
    memory = "with memory on both sides" if worst["memory"] == "included" else "without memory on either side"
    text, note = _times(worst), f"{note}{memory}, at the prices of {chip.name}"
    figure = _figure("energy_ratio", "Energy", worst["ratio"], text, note, "Is it cheap?")
    return {**figure, "outcome": worst["outcome"]}


def _times(comparison: Mapping[str, Any]) -> str:
    relation = {"wins": "less", "loses": "more", "ties": "the same"}[comparison["outcome"]]
    if comparison["outcome"] == "ties" or comparison["factor"] is None:
        return relation
    return f"{fmt.factor(comparison['factor'])}× {relation}"
