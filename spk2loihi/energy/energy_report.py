"""The energy report: one dictionary from counters, written as `energy.json` and `energy.html`.

Layout of the dictionary (energies in nJ a sample unless the key says otherwise; counts are totals over ``samples``)::

    format               "spk2loihi-energy/1"
    samples              sentences the counters were summed over
    network              the given network summary
    accuracy             the given scores, or null
    headline             [{key, label, value, text, note, question}]: the figures on top of the page
    verdict, caveats     sentences
    verdict_fields       for each sentence of the verdict, the JSON pointers of the values it was made from
    t_times_density      SynOps / dense operations
    totals               counters summed over stages, ``host`` by operation, ``dense``
    per_sample           {synops, dense, messages, totals: counters, ``host`` by operation,
                          synops_per_update: null without updates,
                          snn: {set: {label, memory, synop_pJ, components_nJ, component_shares, total_nJ,
                                 total_range_nJ, with_static_nJ: static power charged to SynOps as well, or null,
                                 reference_synops_per_update: of the workload that the set's bound holds for, or null,
                                 not_included, not_included_per_sample}},
                          baselines: {id: {label, model, coefficients, precision, macs, total_nJ, total_range_nJ,
                                 memory, and with memory traffic added: memory_coefficients, batch,
                                 parts_nJ {arithmetic, weights, activations}, accesses {weights, activations}}},
                          teacher: its macs, or null}
    break_even           {set: {baseline id: T x density below which the SynOps alone cost less}}
    tally                {total, wins, loses, ties, and the same for memory included and excluded}: outcomes of the
                          comparisons
    comparisons          [{coefficients, baseline, baseline_label, memory, batch, snn_nJ, baseline_nJ, ratio, factor
                           (ratio or its inverse, null for 0), synapse_ratio, overhead_ratio, ratio_range,
                           break_even_t_times_density, outcome}]; ratios are SNN / baseline, memory on both sides or on
                          neither; a range is [low, high] of the bounds of the prices, or null: none stated
    layers               [{name, kind, asr (null: does not fire, or spikes unknown), t_times_density, neurons,
                           messages, synops, attention_synops, dense, active_updates, inactive_updates, host,
                           per_sample {the same counts}, energy_per_sample_nJ: {set: {...}}, energy_total_nJ: {set}}]
    groups               {encoder_layer, part: [{name, stages, and the figures of a layer for all of them}]}
    encodings            rate beside graded (`compare_encodings`), or null: streamed, or not measured
    time                 seconds (`estimate_time`), or null: no partition
    fit                  {board, fits, cores, cores_available, chips, chips_available, refused: [stage]}, or null
    verification         of `spk2loihi verify`, or null
    coefficients         {set: {kind, memory, bound, within_synop, precision, scope, values: [{name, charged_for, value,
                          low, high, unit, source, scope}]}}
    references           [{system, workload, energy_mj, dynamic_mj, note, source}]: measurements of other networks
    neurobench           NeuroBench's metrics (`neurobench_metrics`), or null
    sentence             one recorded sentence (`spk2loihi.analysis.spike_record`), or null
    convergence          the given curves with ``overall``, ``fitted_exponent`` and ``fitted_from``, or null
    provenance           as given
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, get_args

from spk2loihi import formatting as fmt
from spk2loihi.analysis.convergence import convergence_data
from spk2loihi.choices import Encoding
from spk2loihi.energy import estimate
from spk2loihi.energy.ann_memory import AnnWork
from spk2loihi.energy.breakdown import grouped_rows, stage_rows
from spk2loihi.energy.caveats import caveats
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.coefficients import CHARGED_FOR, CoefficientSet, Memory
from spk2loihi.energy.comparison import Priced, baselines, compare, price_network
from spk2loihi.energy.energy_verdict import verdict_sentences
from spk2loihi.energy.estimate import Energy
from spk2loihi.energy.headline import headline
from spk2loihi.energy.pilotnet_bound import NAME, SYNOPS_PER_UPDATE
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
    teacher: AnnWork | None = None,
    coefficient_sets: Sequence[CoefficientSet] = (),
    convergence: Mapping[str, Any] | None = None,
    accuracy: Mapping[str, Any] | None = None,
    spikes: Mapping[str, int] | None = None,
    neurobench: Mapping[str, Any] | None = None,
    sentence: Mapping[str, Any] | None = None,
    encodings: Mapping[str, Any] | None = None,
    time: Mapping[str, Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    verification: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the report says, as JSON-ready data (layout: see the module).

    Args:
        stages: counters of every stage, summed over ``samples`` sentences.
        network_summary: at least ``schedule``, ``encoding``, ``timesteps``, ``steps``, ``latency_steps`` and
            ``weights``, the parameters of the same-shape ANN's linear maps (`summarise_network`); ``unit`` of what is
            counted over, a sentence if not given; whatever else it holds is shown too. With ``encoding`` "graded" a
            SynOp is one message with a payload: in bare arithmetic a multiply-accumulate, not an addition.
        teacher: what the teacher does for one average sample; None leaves it out and says so.
        coefficient_sets: the user's own sets. The built-in ones are always reported as well.
        convergence: ``steps`` (n,), ``mean_abs_error`` {stage: (n,)} of |ASR(t) - equilibrium ASR|, optionally
            ``overall`` (n,) and ``score`` (n,).
        accuracy: ``metric``, ``student``, optionally ``teacher`` and ``samples``. Scores are fractions, not per cent.
        spikes: sum of |n| by stage over the samples, for the average spiking rates. Needed with graded messages only:
            with rate encoding messages are spikes.
        neurobench: the metrics of `neurobench_metrics`.
        sentence: what `record_sentence` recorded.
        encodings: of `compare_encodings`.
        time: of `estimate_time`.
        fit: ``fit`` of the layout.
        verification: `spk2loihi.simulators.Verification.to_dict`.
        provenance: checksums, versions, command, date, seed: shown as given.

    Raises:
        UserError: there is nothing to report on: no samples, or no synapses.
        ValueError: the teacher does nothing, or a convergence curve has not one point per step.
    """
    if teacher is not None and not teacher.macs > 0:
        raise ValueError(f"the teacher's macs are {teacher.macs}, not above zero")
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
    summary = {"unit": "sentence", **network_summary}
    encoding: Encoding = summary["encoding"]
    pricing = [s for s in sets if s.prices_networks]
    ann = AnnWork(
        estimate.dense_operations(stages) / samples, summary["weights"], tuple(ops.neurons / samples for ops in stages)
    )
    energies = {s.name: estimate.network_energy(stages, s, encoding) for s in pricing}
    own = {s.name: price_network(stages, s, samples, encoding) for s in pricing}
    others = baselines(ann, teacher, sets)
    comparisons = [
        compare(
            s, _nanojoules(energies[s.name], samples), own[s.name], key, row, other, ann.macs * s.synop_pj(encoding)
        )
        for s in pricing
        for key, (row, other) in others.items()
        if own[s.name].memory == other.memory
    ]
    updates = estimate.neuron_updates(stages)
    totals = _totals(stages)
    report: dict[str, Any] = {
        "format": FORMAT,
        "samples": samples,
        "network": plain(summary),
        "accuracy": None if accuracy is None else _accuracy(accuracy),
        "t_times_density": t_times_density,
        "totals": totals,
        "per_sample": {
            "synops": estimate.synops(stages) / samples,
            "dense": ann.macs,
            "messages": totals["messages"] / samples,
            "totals": _averages(totals, samples),
            "synops_per_update": estimate.synops(stages) / updates if updates else None,
            "snn": {s.name: _priced(stages, s, energies[s.name], own[s.name], samples, encoding) for s in pricing},
            "baselines": {key: row for key, (row, _) in others.items()},
            "teacher": None if teacher is None else plain(teacher.macs),
        },
        "break_even": {
            s.name: {c["baseline"]: c["break_even_t_times_density"] for c in comparisons if c["coefficients"] == s.name}
            for s in pricing
        },
        "tally": {
            **_tally(comparisons),
            **{m: _tally([c for c in comparisons if c["memory"] == m]) for m in get_args(Memory)},
        },
        "comparisons": comparisons,
        "encodings": plain(dict(encodings)) if encodings is not None else None,
        "time": plain(dict(time)) if time is not None else None,
        "fit": plain(dict(fit)) if fit is not None else None,
        "verification": plain(dict(verification)) if verification is not None else None,
        "layers": stage_rows(stages, samples, summary, spikes, pricing),
        "groups": grouped_rows(stages, samples, summary, spikes, pricing),
        "coefficients": {s.name: _described(s) for s in sets},
        "references": [asdict(reference) for reference in REFERENCES],
        "neurobench": plain(dict(neurobench)) if neurobench is not None else None,
        "sentence": plain(dict(sentence)) if sentence is not None else None,
        "convergence": convergence_data(convergence) if convergence is not None else None,
        "provenance": plain(dict(provenance or {})),
    }
    report["headline"] = headline(report, sets)
    verdict = verdict_sentences(report, pricing)
    report["verdict"] = [sentence.text for sentence in verdict]
    report["verdict_fields"] = [list(sentence.fields) for sentence in verdict]
    report["caveats"] = caveats(report, sets)
    return report


def _accuracy(given: Mapping[str, Any]) -> dict[str, Any]:
    accuracy: dict[str, Any] = plain(dict(given))
    student, teacher = accuracy["student"], accuracy.get("teacher")
    apart = None if student is None or teacher is None else 100 * (student - teacher)
    return {**accuracy, "points_above_teacher": apart}


def _priced(
    stages: Sequence[StageOps],
    coefficients: CoefficientSet,
    energy: Energy,
    priced: Priced,
    samples: int,
    encoding: Encoding,
) -> dict[str, Any]:
    """The spiking network at the prices of one set: a value of ``per_sample.snn``."""
    left_out = estimate.not_included(stages, coefficients)
    components = _nanojoules(energy, samples)
    static = coefficients.picojoules("synop_with_static")
    return {
        "label": _label(coefficients, encoding),
        "memory": coefficients.memory,
        "synop_pJ": coefficients.synop_pj(encoding),
        "components_nJ": components,
        "component_shares": {c: nj / priced.nanojoules if priced.nanojoules else 0.0 for c, nj in components.items()},
        "total_nJ": priced.nanojoules,
        "total_range_nJ": priced.range,
        "with_static_nJ": None if static is None else estimate.synops(stages) * static / samples / 1e3,
        "reference_synops_per_update": SYNOPS_PER_UPDATE if coefficients.name == NAME else None,
        "not_included": left_out,
        "not_included_per_sample": _averages(left_out, samples),
    }


def _tally(comparisons: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = Counter(c["outcome"] for c in comparisons)
    return {"total": len(comparisons), **{word: found[word] for word in ("wins", "loses", "ties")}}


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
        "memory": coefficients.memory,
        "bound": coefficients.bound or None,
        "within_synop": list(coefficients.within_synop),
        "precision": coefficients.precision,
        "scope": coefficients.scope,
        "values": [{**asdict(c), "charged_for": charged_for[c.name]} for c in coefficients.coefficients],
    }
