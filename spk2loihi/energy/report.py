"""The energy report: one dictionary from counters, written as `energy.json` and `energy.html`.

Layout of the dictionary (energies in nJ a sample unless the key says otherwise; counts are totals over ``samples``)::

    format               "spk2loihi-energy/1"
    samples              sentences the counters were summed over
    network              the given network summary
    accuracy             the given scores, or null
    headline             [{key, label, value, text, note}]: the figures on top of the page
    verdict, caveats     sentences
    t_times_density      SynOps / dense operations
    totals               counters summed over stages, ``host`` by operation, ``dense``
    per_sample           {synops, dense, spikes, messages,
                          snn: {set: {label, components_nJ, total_nJ, not_included}},
                          baselines: {id: {label, model, coefficients, precision, macs, total_nJ}},
                          teacher: its macs, or null}
    break_even           {set: {baseline id: T x density below which the SynOps alone cost less}}
    comparisons          [{coefficients, baseline, baseline_label, snn_nJ, baseline_nJ, ratio, synapse_ratio,
                           overhead_ratio, break_even_t_times_density, outcome}]; ratios are SNN / baseline
    layers               [{name, kind, asr, t_times_density, neurons, spikes, messages, synops, attention_synops,
                           dense, active_updates, inactive_updates, host, energy_per_sample_nJ: {set: {...}}}]
    coefficients         {set: {kind, precision, scope, values: [{name, charged_for, value, unit, source, scope}]}}
    convergence          the given curves with ``overall`` and ``fitted_exponent``, or null
    provenance           as given
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from spk2loihi.energy import estimate
from spk2loihi.energy import formatting as fmt
from spk2loihi.energy.coefficients import BUILTIN_SETS, CHARGED_FOR, CoefficientSet
from spk2loihi.energy.estimate import Energy
from spk2loihi.energy.page import render_html
from spk2loihi.energy.summary import plain
from spk2loihi.energy.verdict import caveats, outcome, verdict_sentences
from spk2loihi.errors import UserError
from spk2loihi.simulators.counters import StageOps

FORMAT = "spk2loihi-energy/1"

_COUNTERS = tuple(f.name for f in fields(StageOps) if f.name not in ("name", "kind", "host"))


def build_report(
    stages: Sequence[StageOps],
    samples: int,
    *,
    network_summary: Mapping[str, Any],
    teacher_macs: float | None = None,
    coefficient_sets: Sequence[CoefficientSet] = (),
    convergence: Mapping[str, Any] | None = None,
    accuracy: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the report says, as JSON-ready data (layout: see the module).

    Args:
        stages: counters of every stage, summed over ``samples`` sentences.
        network_summary: at least ``schedule``, ``encoding``, ``timesteps``, ``steps`` and ``latency_steps``
            (`summarise_network`); whatever else it holds is shown too.
        teacher_macs: multiply-accumulates of the teacher for one average sample; None leaves it out and says so.
        coefficient_sets: the user's own sets. The built-in ones are always reported as well.
        convergence: ``steps`` (n,), ``mean_abs_error`` {stage: (n,)} of |ASR(t) - equilibrium ASR|, optionally
            ``overall`` (n,) and ``score`` (n,).
        accuracy: ``metric``, ``student``, optionally ``teacher`` and ``samples``. Scores are fractions, not per cent.
        provenance: checksums, versions, command, date, seed: shown as given.

    Raises:
        UserError: there is nothing to report on: no samples, or no synapses.
        ValueError: ``teacher_macs`` is not above zero, or a convergence curve has not one point per step.
    """
    if teacher_macs is not None and not teacher_macs > 0:
        raise ValueError(f"teacher_macs is {teacher_macs}, not above zero")
    if samples < 1:
        raise UserError(f"The energy report covers {samples} samples, but needs at least 1: raise --samples.")
    t_times_density = estimate.t_times_density(stages)
    if t_times_density is None:
        raise UserError("The network has 0 synapses, but a report needs at least 1: export a trained model.")
    sets = [*coefficient_sets, *BUILTIN_SETS.values()]
    baselines = _baselines(stages, samples, teacher_macs, sets)
    energies = {s.name: estimate.network_energy(stages, s) for s in sets}
    by_name = {s.name: s for s in sets}
    dense = estimate.dense_operations(stages) / samples
    comparisons = [
        _compare(s, energies[s.name], samples, key, row, by_name[row["coefficients"]], dense)
        for s in sets
        for key, row in baselines.items()
    ]
    report: dict[str, Any] = {
        "format": FORMAT,
        "samples": samples,
        "network": plain(dict(network_summary)),
        "accuracy": plain(dict(accuracy)) if accuracy is not None else None,
        "t_times_density": t_times_density,
        "totals": _totals(stages),
        "per_sample": {
            "synops": estimate.synops(stages) / samples,
            "dense": dense,
            "spikes": sum(ops.spikes for ops in stages) / samples,
            "messages": sum(ops.messages for ops in stages) / samples,
            "snn": {
                s.name: {
                    "label": s.name if s.kind == "chip" else f"{fmt.precision(s.precision)} additions only ({s.name})",
                    "components_nJ": _nanojoules(energies[s.name], samples),
                    "total_nJ": energies[s.name].total / samples / 1e3,
                    "not_included": estimate.not_included(stages, s),
                }
                for s in sets
            },
            "baselines": baselines,
            "teacher": plain(teacher_macs),
        },
        "break_even": {
            s.name: {c["baseline"]: c["break_even_t_times_density"] for c in comparisons if c["coefficients"] == s.name}
            for s in sets
        },
        "comparisons": comparisons,
        "layers": [_layer(ops, samples, int(network_summary["steps"]), sets) for ops in stages],
        "coefficients": {s.name: _described(s) for s in sets},
        "convergence": _convergence(convergence) if convergence is not None else None,
        "provenance": plain(dict(provenance or {})),
    }
    report["headline"] = _headline(report, sets)
    report["verdict"] = verdict_sentences(report, sets)
    report["caveats"] = caveats(report, sets)
    return report


def write_report(path_html: str | Path, path_json: str | Path, data: Mapping[str, Any]) -> None:
    """Write both files, each whole or not at all. Both are made before either name is touched.

    Raises:
        UserError: a file cannot be written.
    """
    contents = {
        Path(path_html): render_html(data),
        Path(path_json): json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    }
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in contents}
    try:
        for path, text in contents.items():
            temporary[path].write_text(text, encoding="utf-8")
        for path, written in temporary.items():
            os.replace(written, path)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {path} ({error.strerror}): choose a folder that exists and is writable."
        ) from None
    finally:
        for written in temporary.values():
            with suppress(OSError):
                written.unlink()


def _baselines(
    stages: Sequence[StageOps], samples: int, teacher_macs: float | None, sets: Sequence[CoefficientSet]
) -> dict[str, dict[str, Any]]:
    """The same-shape ANN in every number format, and the teacher in FP32."""
    macs = estimate.dense_operations(stages) / samples
    arithmetic = [s for s in sets if s.kind == "arithmetic"]
    models = [("ann", "same-shape ANN", macs, s) for s in arithmetic]
    if teacher_macs is not None:
        models += [("teacher", "teacher", teacher_macs, s) for s in arithmetic if s.precision == "fp32"]
    return {
        f"{model}:{s.name}": {
            "label": f"{words}, {fmt.precision(s.precision)}" + ("" if s.name in BUILTIN_SETS else f" ({s.name})"),
            "model": model,
            "coefficients": s.name,
            "precision": s.precision,
            "macs": float(count),
            "total_nJ": estimate.ann_energy_pj(count, s) / 1e3,
        }
        for model, words, count, s in models
    }


def _compare(
    coefficients: CoefficientSet,
    energy: Energy,
    samples: int,
    key: str,
    baseline: Mapping[str, Any],
    baseline_set: CoefficientSet,
    dense: float,
) -> dict[str, Any]:
    baseline_nj = baseline["total_nJ"]
    ratio = energy.total / samples / 1e3 / baseline_nj
    return {
        "coefficients": coefficients.name,
        "baseline": key,
        "baseline_label": baseline["label"],
        "snn_nJ": energy.total / samples / 1e3,
        "baseline_nJ": baseline_nj,
        "ratio": ratio,
        "synapse_ratio": energy.synapse / samples / 1e3 / baseline_nj,
        "overhead_ratio": (energy.total - energy.synapse) / samples / 1e3 / baseline_nj,
        "break_even_t_times_density": estimate.break_even_t_times_density(
            coefficients, baseline_set, baseline["macs"] / dense
        ),
        "outcome": outcome(ratio),
    }


def _nanojoules(energy: Energy, samples: int) -> dict[str, float]:
    return {component: pj / samples / 1e3 for component, pj in asdict(energy).items()}


def _totals(stages: Sequence[StageOps]) -> dict[str, Any]:
    totals: dict[str, Any] = {name: sum(getattr(ops, name) for ops in stages) for name in _COUNTERS}
    totals["host"] = {}
    for ops in stages:
        for op, elements in ops.host.items():
            totals["host"][op] = totals["host"].get(op, 0) + elements
    return totals


def _layer(ops: StageOps, samples: int, steps: int, sets: Sequence[CoefficientSet]) -> dict[str, Any]:
    return {
        **ops.to_dict(),
        "asr": estimate.asr(ops, steps),
        "t_times_density": estimate.t_times_density([ops]),
        "energy_per_sample_nJ": {s.name: _nanojoules(estimate.stage_energy(ops, s), samples) for s in sets},
    }


def _described(coefficients: CoefficientSet) -> dict[str, Any]:
    charged_for = CHARGED_FOR[coefficients.kind]
    return {
        "kind": coefficients.kind,
        "precision": coefficients.precision,
        "scope": coefficients.scope,
        "values": [{**asdict(c), "charged_for": charged_for[c.name]} for c in coefficients.coefficients],
    }


def _convergence(given: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = plain(dict(given))
    steps, errors = data["steps"], data["mean_abs_error"]
    overall = data.get("overall") or [sum(column) / len(column) for column in zip(*errors.values(), strict=True)]
    for name, curve in {**errors, "overall": overall, "score": data.get("score") or steps}.items():
        if len(curve) != len(steps) or not steps:
            raise ValueError(f"convergence curve {name} has {len(curve)} points for {len(steps)} steps")
    return {**data, "overall": overall, "fitted_exponent": _exponent(steps, overall)}


def _exponent(steps: Sequence[float], errors: Sequence[float]) -> float | None:
    """Least-squares slope of log error against log steps; None with fewer than two positive errors."""
    points = [(math.log(t), math.log(e)) for t, e in zip(steps, errors, strict=True) if e > 0]
    if len(points) < 2:
        return None
    mean_t, mean_e = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    return sum((t - mean_t) * (e - mean_e) for t, e in points) / spread if spread else None


def _headline(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[dict[str, Any]]:
    network, per_sample = report["network"], report["per_sample"]
    chip = next(s for s in sets if s.kind == "chip")
    worst = max(
        (c for c in report["comparisons"] if c["coefficients"] == chip.name and c["baseline"].startswith("ann:")),
        key=lambda c: c["ratio"],
    )
    relation = {"wins": "less", "loses": "more", "ties": "the same"}[worst["outcome"]]
    ratio = worst["ratio"]
    times = f"{fmt.factor(max(ratio, 1 / ratio))}× {relation}" if ratio and worst["outcome"] != "ties" else relation
    return [
        _score(report["accuracy"]),
        _figure(
            "t_times_density",
            "T × density",
            report["t_times_density"],
            fmt.significant(report["t_times_density"]),
            "additions for one ANN multiply-accumulate (SpikingBERT as published: 16 × 0.205 = 3.28)",
        ),
        _figure(
            "synops_per_sample",
            "SynOps a sample",
            per_sample["synops"],
            fmt.count(per_sample["synops"]),
            f"attention included; the ANN: {fmt.count(per_sample['dense'])} multiply-accumulates",
        ),
        _figure(
            "latency_steps",
            "Latency",
            network["latency_steps"],
            f"{network['latency_steps']:,} steps",
            f"{network['schedule']} schedule, {network['encoding']} spikes, T = {network['steps']}",
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
        return _figure("score", "Accuracy", None, "not measured", "no labelled samples in this run")
    metric, student, teacher = accuracy["metric"], accuracy["student"], accuracy.get("teacher")
    note = f"teacher {fmt.score(teacher, metric)}" if teacher is not None else "teacher not given"
    if accuracy.get("samples"):
        note += f", over {accuracy['samples']:,} samples"
    return _figure("score", metric.capitalize(), student, fmt.score(student, metric), note)
