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
    per_sample           {synops, dense, messages, totals: counters, ``host`` by operation,
                          snn: {set: {label, components_nJ, total_nJ, total_range_nJ, not_included,
                                 not_included_per_sample}},
                          baselines: {id: {label, model, coefficients, precision, macs, total_nJ}},
                          teacher: its macs, or null}
    break_even           {set: {baseline id: T x density below which the SynOps alone cost less}}
    comparisons          [{coefficients, baseline, baseline_label, snn_nJ, baseline_nJ, ratio, synapse_ratio,
                           overhead_ratio, ratio_range, break_even_t_times_density, outcome}]; ratios are
                          SNN / baseline; a range is [low, high] of the bounds of the prices, or null: none stated
    layers               [{name, kind, asr (null: does not fire, or spikes unknown), t_times_density, neurons,
                           messages, synops, attention_synops, dense, active_updates, inactive_updates, host,
                           per_sample {the same counts}, energy_per_sample_nJ: {set: {...}}, energy_total_nJ: {set}}]
    groups               {encoder_layer, part: [{name, stages, and the figures of a layer for all of them}]}
    coefficients         {set: {kind, precision, scope, values: [{name, charged_for, value, low, high, unit, source,
                          scope}]}}
    references           [{system, workload, energy_mj, dynamic_mj, note, source}]: measurements of other networks
    neurobench           NeuroBench's metrics (`neurobench_metrics`), or null
    sentence             one recorded sentence (`spk2loihi.analysis.spike_record`), or null
    convergence          the given curves with ``overall``, ``fitted_exponent`` and ``fitted_from``, or null
    provenance           as given
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.analysis.convergence import convergence_data
from spk2loihi.choices import Encoding
from spk2loihi.energy import estimate
from spk2loihi.energy.breakdown import grouped_rows, stage_rows
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.coefficients import CHARGED_FOR, CoefficientSet
from spk2loihi.energy.energy_verdict import caveats, outcome, verdict_sentences
from spk2loihi.energy.estimate import Energy, ratio_range, total_range
from spk2loihi.energy.headline import headline
from spk2loihi.energy.references import REFERENCES
from spk2loihi.errors import UserError
from spk2loihi.files import plain
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
    spikes: Mapping[str, int] | None = None,
    neurobench: Mapping[str, Any] | None = None,
    sentence: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the report says, as JSON-ready data (layout: see the module).

    Args:
        stages: counters of every stage, summed over ``samples`` sentences.
        network_summary: at least ``schedule``, ``encoding``, ``timesteps``, ``steps`` and ``latency_steps``
            (`summarise_network`); whatever else it holds is shown too. With ``encoding`` "graded" a SynOp is one
            message with a payload: in bare arithmetic a multiply-accumulate, not an addition.
        teacher_macs: multiply-accumulates of the teacher for one average sample; None leaves it out and says so.
        coefficient_sets: the user's own sets. The built-in ones are always reported as well.
        convergence: ``steps`` (n,), ``mean_abs_error`` {stage: (n,)} of |ASR(t) - equilibrium ASR|, optionally
            ``overall`` (n,) and ``score`` (n,).
        accuracy: ``metric``, ``student``, optionally ``teacher`` and ``samples``. Scores are fractions, not per cent.
        spikes: sum of |n| by stage over the samples, for the average spiking rates. Needed with graded messages only:
            with rate encoding messages are spikes.
        neurobench: the metrics of `neurobench_metrics`.
        sentence: what `record_sentence` recorded.
        provenance: checksums, versions, command, date, seed: shown as given.

    Raises:
        UserError: there is nothing to report on: no samples, or no synapses.
        ValueError: ``teacher_macs`` is not above zero, or a convergence curve has not one point per step.
    """
    if teacher_macs is not None and not teacher_macs > 0:
        raise ValueError(f"teacher_macs is {teacher_macs}, not above zero")
    if samples < 1:
        raise UserError(f"The energy report covers {samples} samples, but needs at least 1: raise `samples`.")
    t_times_density = estimate.t_times_density(stages)
    if t_times_density is None:
        raise UserError("The network has 0 synapses, but a report needs at least 1: export a trained model.")
    sets = [*coefficient_sets, *BUILTIN_SETS.values()]
    by_name = {s.name: s for s in sets}
    if len(by_name) < len(sets):
        twice = next(s.name for i, s in enumerate(sets) if s.name in {t.name for t in sets[:i]})
        raise UserError(f"The coefficient set {twice!r} is given twice: rename one of the two.")
    encoding: Encoding = network_summary["encoding"]
    baselines = _baselines(stages, samples, teacher_macs, sets)
    energies = {s.name: estimate.network_energy(stages, s, encoding) for s in sets}
    dense = estimate.dense_operations(stages) / samples
    comparisons = [
        {
            **_compare(s, energies[s.name], samples, key, row, by_name[row["coefficients"]], dense, encoding),
            "ratio_range": ratio_range(stages, s, samples, row, by_name[row["coefficients"]], encoding),
        }
        for s in sets
        for key, row in baselines.items()
    ]
    totals = _totals(stages)
    report: dict[str, Any] = {
        "format": FORMAT,
        "samples": samples,
        "network": plain(dict(network_summary)),
        "accuracy": plain(dict(accuracy)) if accuracy is not None else None,
        "t_times_density": t_times_density,
        "totals": totals,
        "per_sample": {
            "synops": estimate.synops(stages) / samples,
            "dense": dense,
            "messages": totals["messages"] / samples,
            "totals": _averages(totals, samples),
            "snn": {
                s.name: {
                    "label": _label(s, encoding),
                    "components_nJ": _nanojoules(energies[s.name], samples),
                    "total_nJ": energies[s.name].total / samples / 1e3,
                    "total_range_nJ": total_range(stages, s, samples, encoding),
                    "not_included": estimate.not_included(stages, s),
                    "not_included_per_sample": _averages(estimate.not_included(stages, s), samples),
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
        "layers": stage_rows(stages, samples, network_summary, spikes, sets),
        "groups": grouped_rows(stages, samples, network_summary, spikes, sets),
        "coefficients": {s.name: _described(s) for s in sets},
        "references": [asdict(reference) for reference in REFERENCES],
        "neurobench": plain(dict(neurobench)) if neurobench is not None else None,
        "sentence": plain(dict(sentence)) if sentence is not None else None,
        "convergence": convergence_data(convergence) if convergence is not None else None,
        "provenance": plain(dict(provenance or {})),
    }
    report["headline"] = headline(report, sets)
    report["verdict"] = verdict_sentences(report, sets)
    report["caveats"] = caveats(report, sets)
    return report


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
    encoding: Encoding,
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
            coefficients, baseline_set, baseline["macs"] / dense, encoding
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


def _averages(totals: Mapping[str, Any], samples: int) -> dict[str, Any]:
    return {k: _averages(n, samples) if isinstance(n, Mapping) else n / samples for k, n in totals.items()}


def _label(coefficients: CoefficientSet, encoding: Encoding) -> str:
    if coefficients.kind == "chip":
        return coefficients.name
    operations = "multiply-accumulates" if encoding == "graded" else "additions"
    return f"{fmt.precision(coefficients.precision)} {operations} only ({coefficients.name})"


def _described(coefficients: CoefficientSet) -> dict[str, Any]:
    charged_for = CHARGED_FOR[coefficients.kind]
    return {
        "kind": coefficients.kind,
        "precision": coefficients.precision,
        "scope": coefficients.scope,
        "values": [{**asdict(c), "charged_for": charged_for[c.name]} for c in coefficients.coefficients],
    }
