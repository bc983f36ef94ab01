"""The verdict and caveats of a report: sentences, favourable or not, each computed from its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.estimate import COMPONENTS

#: Ratios this close to 1 count as a tie: no price is known more precisely.
TIE = 0.005


def outcome(ratio: float) -> str:
    """``wins``, ``loses`` or ``ties``: the spiking network against a baseline, from the ratio of their energies."""
    if abs(ratio - 1) <= TIE:
        return "ties"
    return "wins" if ratio < 1 else "loses"


def verdict_sentences(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[str]:
    """Sentences on the outcome, accuracy, operations per synapse, every comparison and convergence, in this order.

    Args:
        report: the dictionary `build_report` assembles, all keys but ``verdict`` and ``caveats`` present.
        sets: the coefficient sets of the report.
    """
    return [
        *_silence(report),
        *_tally(report["comparisons"]),
        *_accuracy(report["accuracy"]),
        _operations(report),
        *_comparisons(report, sets),
        *_convergence(report["convergence"]),
    ]


def _silence(report: Mapping[str, Any]) -> list[str]:
    if report["totals"]["messages"]:
        return []
    return ["The network never fires. It computes nothing, so the savings below mean nothing."]


def _accuracy(accuracy: Mapping[str, Any] | None) -> list[str]:
    if accuracy is None:
        return [
            "Accuracy was not measured in this run, so the savings below may cost accuracy that this report does not "
            "show."
        ]
    metric, student, teacher = accuracy["metric"], accuracy["student"], accuracy.get("teacher")
    if student is None:
        return [
            f"The student's score ({metric}) is undefined, so the savings below may cost quality that this report "
            "does not show."
        ]
    over = f" over {accuracy['samples']:,} sentences" if accuracy.get("samples") else ""
    text = f"The student scores {fmt.score(student, metric)} ({metric}){over}"
    if teacher is None:
        return [f"{text}; the teacher's score was not given."]
    difference = 100 * (student - teacher)
    if abs(difference) < 0.05:
        return [f"{text}, level with the teacher."]
    return [
        (
            f"{text}, {abs(difference):.1f} points {'above' if difference > 0 else 'below'} "
            f"the teacher's {fmt.score(teacher, metric)}."
        )
    ]


def _tally(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    outcomes = [c["outcome"] for c in comparisons]
    lost, total = outcomes.count("loses"), len(outcomes)
    if lost == total:
        return [f"Unfavourable: the spiking network costs more energy than the baseline in all {total} comparisons."]
    if lost == 0:
        return [f"Favourable: the spiking network costs no more than the baseline in any of the {total} comparisons."]
    return [
        (
            f"Mixed: the spiking network loses {lost} of {total} comparisons with a baseline and wins "
            f"{outcomes.count('wins')}. Which comparison matters depends on the hardware that each side would run on."
        )
    ]


def _operations(report: Mapping[str, Any]) -> str:
    value = fmt.factor(report["t_times_density"])
    if _graded(report):
        return (
            f"Where the same-shape ANN makes one multiply-accumulate, the spiking network makes {value}: one for each "
            "graded message that arrives at a synapse, whatever its payload."
        )
    return (
        f"Where the same-shape ANN makes one multiply-accumulate, the spiking network makes {value} additions "
        f"(T × density = {value})."
    )


def _graded(report: Mapping[str, Any]) -> bool:
    return bool(report["network"]["encoding"] == "graded")


def _comparisons(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[str]:
    by_name = {s.name: s for s in sets}
    encoding = report["network"]["encoding"]
    operation = "multiply-accumulate" if _graded(report) else "addition"
    sentences = []
    for set_name, group in groupby(report["comparisons"], key=lambda c: c["coefficients"]):
        coefficients, rows = by_name[set_name], list(group)
        energy = report["per_sample"]["snn"][set_name]
        cost = f"{fmt.energy(energy['total_nJ'])} per sentence"
        price = f"{coefficients.synop_pj(encoding):g} pJ"
        if coefficients.kind == "chip":
            sentences.append(f"With {set_name} ({price} per SynOp) the spiking network costs {cost}: {_against(rows)}.")
            sentences += _chip_details(energy, rows)
            sentences += _either_way(set_name, rows)
        else:
            sentences.append(
                f"Counting each SynOp as one {fmt.precision(coefficients.precision)} {operation} ({set_name}, {price}, "
                f"memory traffic excluded) it costs {cost}: {_against(rows)}."
            )
    return sentences


def _against(rows: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for word, verb in (("loses", "it loses to"), ("wins", "it beats"), ("ties", "it ties with")):
        named = [_baseline(r) + _by_factor(r["ratio"], word) for r in rows if r["outcome"] == word]
        if named:
            parts.append(f"{verb} {_listed(named)}")
    return "; ".join(parts)


def _baseline(comparison: Mapping[str, Any]) -> str:
    return "the " + str(comparison["baseline_label"]).replace(", ", " in ", 1)


def _by_factor(ratio: float, word: str) -> str:
    if word == "ties" or ratio == 0:  # a silent network beats everything by no meaningful factor
        return ""
    return f" by a factor of {fmt.factor(max(ratio, 1 / ratio))}"


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _chip_details(energy: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    sentences = []
    parts = {c: energy["components_nJ"][c] for c in COMPONENTS if energy["components_nJ"][c] > 0}
    if len(parts) > 1:
        ranked = sorted(parts, key=lambda c: -parts[c])
        named = [f"{COMPONENTS[c]} {fmt.share(parts[c] / energy['total_nJ'])}" for c in ranked]
        sentences.append(f"Of that energy, {_listed(named)}.")
    above = [r for r in rows if r["synapse_ratio"] > 1]
    if above:
        hardest = min(above, key=lambda r: r["break_even_t_times_density"])
        sentences.append(
            f"For its synaptic operations alone to cost no more than {_baseline(hardest)}, T × density would "
            f"have to be {fmt.factor(hardest['break_even_t_times_density'])} or less."
        )
    overhead = [_baseline(r) for r in rows if r["overhead_ratio"] > 1]
    if overhead:
        sentences.append(
            f"Everything but the synapses (neuron updates, messages) already costs more than {_listed(overhead)}, "
            "so sparser spikes alone cannot win there."
        )
    return sentences


def _either_way(set_name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Comparisons that the stated bounds of the prices leave open."""
    rows = [r for r in rows if r["ratio_range"] is not None and r["ratio_range"][0] <= 1 <= r["ratio_range"][1]]
    if not rows:
        return []
    named = _listed([_baseline(r) for r in rows])
    return [f"Within the stated bounds of {set_name}, the comparison with {named} could go either way."]


def _convergence(convergence: Mapping[str, Any] | None) -> list[str]:
    if convergence is None:
        return []
    steps, overall = convergence["steps"], convergence["overall"]
    text = (
        f"In the pipelined schedule, the average spiking rates come within {fmt.significant(overall[-1])} of the "
        f"equilibrium after {steps[-1]} steps"
    )
    if convergence["fitted_exponent"] is None:
        return [f"{text}."]
    return [
        f"{text}; from step {convergence['fitted_from']} on the error falls as T^{convergence['fitted_exponent']:.2f} "
        "(theory: T^-1)."
    ]


def _settling(report: Mapping[str, Any]) -> list[str]:
    if report["network"]["schedule"] != "settling":
        return []
    return [
        (
            "Settling: a neuron is charged as active from the start of its stage until its sentence is silent. Spikes "
            "that take others back count as messages and synaptic operations like all others. Detecting that the "
            "network is silent is not charged. The latency is that of the slowest sentence."
        )
    ]


def _streamed(report: Mapping[str, Any]) -> list[str]:
    if report["network"]["schedule"] != "streamed":
        return []
    return [
        (
            "Streamed: every message of every stock process is counted, those that only move a payload along included. "
            "A sentence is charged neuron updates until the next may follow, not for its latency, since the chip works "
            "on several sentences at once."
        )
    ]


def _not_for_a_board(report: Mapping[str, Any]) -> list[str]:
    if report["network"]["schedule"] == "streamed":
        return []
    return [
        (
            "No public software can put this network on a Loihi 2: its soft-reset neurons and attention are processes "
            "of this project alone. A student of the preset stock is made of processes that Intel ships."
        )
    ]


def caveats(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[str]:
    """What a reader must know before quoting a figure. Arguments as for `verdict_sentences`."""
    own = [s.name for s in sets if s.kind == "chip" and s.name != "loihi1-davies2018"]
    loihi2 = "No energy per synaptic operation has been published for Loihi 2, and this report claims none. "
    if own:
        loihi2 += f"The prices of {_listed(own)} are the user's own; all others are proxies."
    else:
        loihi2 += "Its energies are proxies from Loihi 1 and from 45 nm arithmetic, not measurements of a chip."
    lines = [
        loihi2,
        (
            "The Loihi 1 figures include the memory access of a synaptic operation. The 45 nm figures are bare "
            "arithmetic without memory traffic, for the spiking network and for the ANN. Compare only orders of "
            "magnitude between the two. In real accelerators, data movement often costs more than arithmetic."
        ),
        (
            "The arithmetic-only figures are what most papers report. They leave out neuron updates, spike messages "
            "and memory. Also, int8 arithmetic is narrower than the accumulators of either side."
        ),
        (
            "Each message is charged as one spike within a tile. This is a lower bound: hops between tiles and "
            "copies to several cores depend on a mapping that does not exist before compilation."
        ),
        (
            "Every neuron is charged an update in every step of the run: active while it integrates or may fire, "
            "inactive otherwise. A mapping that keeps cores idle outside their windows would cost less."
        ),
        *_settling(report),
        *_streamed(report),
        *_not_for_a_board(report),
        (
            "Additions of fast weights in attention are charged as ordinary synaptic operations, because no chip "
            "figure for them exists."
        ),
        "Static power, input and output, and the host's own energy are not included for any model.",
        (
            "The measured systems are shown for scale only. They ran other networks on other inputs, and include "
            "static power. No estimate uses them."
        ),
    ]
    unbounded = [s.name for s in sets if not s.uncertain]
    if unbounded:
        lines.append(
            f"The sources of {_listed(unbounded)} state no error bounds, so the error of these prices is not known."
        )
    if _graded(report):
        lines.append(
            "Graded messages, which carry a payload, exist on Loihi 2 only. A SynOp is one message at one "
            "synapse. No price for it has been published; the Loihi 1 price charged here is that of a binary spike."
        )
    host = report["totals"]["host"]
    if host:
        named = _listed([f"{op} ({fmt.count(n / report['samples'])})" for op, n in host.items()])
        lines.append(
            f"Host operations, in elements per sentence: {named}. The ANN and the teacher need the same kinds."
        )
    if report["per_sample"]["teacher"] is None:
        lines.append("The teacher's multiply-accumulates were not given, so it is missing from the comparison.")
    return lines
