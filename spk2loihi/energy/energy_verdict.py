"""The verdict of a report: sentences, favourable or not, each made from values of the report and saying from which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.estimate import COMPONENTS
from spk2loihi.energy.telling import Sentence, Telling, listed
from spk2loihi.energy.verdict_run import run_sentences

Rows = Sequence[tuple[int, Mapping[str, Any]]]
"""Comparisons, with their place in the report."""

#: Numbers of SynOps per neuron update that differ by less are called the same: the chip's counter differs by 1 %.
_ALIKE = 0.05


def verdict_sentences(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[Sentence]:
    """On the outcome, correctness, operations, every comparison, time, encodings, fit and convergence, in this order.

    Args:
        report: the dictionary `build_report` assembles, all keys but ``verdict`` and ``caveats`` present.
        sets: those of the report that price spiking networks.
    """
    before, after = run_sentences(report)
    compared = [sentence for s in sets for sentence in _comparisons(report, s)]
    return [*_silence(report), *_tally(report), *before, _operations(report), *compared, *after]


def _silence(report: Mapping[str, Any]) -> list[Sentence]:
    if report["totals"]["messages"]:
        return []
    tell = Telling(report)
    tell("totals", "messages")
    return [tell.sentence("The network never fires. It computes nothing, so the savings below mean nothing.")]


def _tally(report: Mapping[str, Any]) -> list[Sentence]:
    """The outcome in a word, and how often: with memory on both sides, and without on either."""
    tell, tally = Telling(report), report["tally"]
    word = "Mixed"
    if tally["loses"] in (0, tally["total"]):
        word = "Unfavourable" if tally["loses"] else "Favourable"
        tell("tally", "loses")

    def lost(memory: str, where: str) -> str:
        return f"{tell('tally', memory, 'loses')} of {tell('tally', memory, 'total')} comparisons {where}"

    parts = [
        lost(memory, where)
        for memory, where in (("included", "with memory on both sides"), ("excluded", "as bare arithmetic"))
        if tally[memory]["total"]
    ]
    return [tell.sentence(f"{word}: against ANNs, the spiking network loses {listed(parts)}.")]


def _operations(report: Mapping[str, Any]) -> Sentence:
    tell = Telling(report)
    value = tell("t_times_density", form=fmt.factor)
    if report["network"]["encoding"] == "graded":
        return tell.sentence(
            f"Where the same-shape ANN makes one multiply-accumulate, the spiking network makes {value}: one for each "
            "graded message that arrives at a synapse, whatever its payload."
        )
    return tell.sentence(
        f"Where the same-shape ANN makes one multiply-accumulate, the spiking network makes {value} additions "
        f"(T × density = {value})."
    )


def _comparisons(report: Mapping[str, Any], prices: CoefficientSet) -> list[Sentence]:
    rows = [(i, c) for i, c in enumerate(report["comparisons"]) if c["coefficients"] == prices.name]
    tell = Telling(report)
    name = tell("comparisons", rows[0][0], "coefficients")
    unit = report["network"]["unit"]
    cost = f"{tell('per_sample', 'snn', prices.name, 'total_nJ', form=fmt.energy)} per {unit}"
    price = f"{tell('per_sample', 'snn', prices.name, 'synop_pJ', form=lambda pj: f'{pj:g}')} pJ"
    memory = f"memory traffic {tell('per_sample', 'snn', prices.name, 'memory')}"
    if prices.kind == "chip":
        at_most = "at most " if prices.bound else ""
        opening = f"With {name} ({at_most}{price} per SynOp, {memory}) the spiking network costs {cost}"
    else:
        operation = "multiply-accumulate" if report["network"]["encoding"] == "graded" else "addition"
        precision = tell("coefficients", prices.name, "precision", form=fmt.precision)
        opening = f"Counting each SynOp as one {precision} {operation} ({name}, {price}, {memory}) it costs {cost}"
    sentences = [tell.sentence(f"{opening}: {_against(tell, rows)}.")]
    if prices.kind == "chip":
        sentences += _price_scope(report, prices) + _chip_details(report, prices.name, rows)
        sentences += _either_way(report, rows)
    return sentences


def _against(tell: Telling, rows: Rows) -> str:
    """By batch, if there is one: an ANN at batch 1 and the same at batch 64 are different machines."""
    parts = []
    for batch, group in groupby(sorted(rows, key=lambda row: row[1]["batch"] or 0), key=lambda row: row[1]["batch"]):
        same, where = list(group), ""
        if batch is not None:
            where = f"at batch {tell('comparisons', same[0][0], 'batch')} "
        for word, verb in (("loses", "it loses to"), ("wins", "it beats"), ("ties", "it ties with")):
            named = [
                _baseline(tell, i, batched=False) + _by_factor(tell, i, c) for i, c in same if c["outcome"] == word
            ]
            if named:
                parts.append(f"{where}{verb} {listed(named)}")
    return "; ".join(parts)


def _baseline(tell: Telling, index: int, batched: bool = True) -> str:
    """``same-shape ANN, int8, batch 64`` as a reader says it."""
    model, *rest = tell("comparisons", index, "baseline_label").split(", ")
    return f"the {model} in {rest[0]}" + "".join(f" at {words}" for words in rest[1:] if batched)


def _by_factor(tell: Telling, index: int, comparison: Mapping[str, Any]) -> str:
    if comparison["outcome"] == "ties" or comparison["factor"] is None:  # a silent network beats all, meaninglessly
        return ""
    return f" by a factor of {tell('comparisons', index, 'factor', form=fmt.factor)}"


def _price_scope(report: Mapping[str, Any], prices: CoefficientSet) -> list[Sentence]:
    """An upper bound holds where it was measured; a network with fewer SynOps per neuron update may pay more."""
    reference = report["per_sample"]["snn"][prices.name]["reference_synops_per_update"]
    own = report["per_sample"]["synops_per_update"]
    if reference is None or own is None:
        return []
    tell = Telling(report)
    text = (
        f"The price of {tell('comparisons', _first(report, prices.name), 'coefficients')} is an upper bound on its own "
        f"workload, which made "
        f"{tell('per_sample', 'snn', prices.name, 'reference_synops_per_update', form=fmt.significant)} SynOps per "
        f"neuron update. This network makes {tell('per_sample', 'synops_per_update', form=fmt.significant)}"
    )
    if abs(own / reference - 1) <= _ALIKE:
        return [tell.sentence(text + ": about as many.")]
    dearer = own < reference
    return [
        tell.sentence(text + (", so its SynOps may cost more than that." if dearer else ", so they may cost less."))
    ]


def _first(report: Mapping[str, Any], name: str) -> int:
    return next(i for i, c in enumerate(report["comparisons"]) if c["coefficients"] == name)


def _chip_details(report: Mapping[str, Any], name: str, rows: Rows) -> list[Sentence]:
    sentences = []
    shares = report["per_sample"]["snn"][name]["component_shares"]
    parts = sorted((c for c in COMPONENTS if shares[c]), key=lambda c: -shares[c])
    if len(parts) > 1:
        tell = Telling(report)
        named = [
            f"{COMPONENTS[c]} {tell('per_sample', 'snn', name, 'component_shares', c, form=fmt.share)}" for c in parts
        ]
        sentences.append(tell.sentence(f"Of that energy, {listed(named)}."))
    above = [(i, c) for i, c in rows if c["synapse_ratio"] > 1]
    if above:
        tell, hardest = Telling(report), min(above, key=lambda row: row[1]["break_even_t_times_density"])[0]
        sentences.append(
            tell.sentence(
                f"For its synaptic operations alone to cost no more than {_baseline(tell, hardest)}, T × density would "
                f"have to be {tell('comparisons', hardest, 'break_even_t_times_density', form=fmt.factor)} or less."
            )
        )
    overhead = [i for i, c in rows if c["overhead_ratio"] > 1]
    if overhead:
        tell = Telling(report)
        named = [_baseline(tell, i) for i in overhead]
        all_of_them = "any of these ANNs" if len(overhead) == len(rows) > 1 else listed(named)
        sentences.append(
            tell.sentence(
                f"Everything but the synapses (neuron updates, messages) already costs more than {all_of_them}, so "
                "sparser spikes alone cannot win there."
            )
        )
    return sentences


def _either_way(report: Mapping[str, Any], rows: Rows) -> list[Sentence]:
    """Comparisons that the stated bounds of the prices leave open."""
    still = [i for i, c in rows if c["ratio_range"] is not None and c["ratio_range"][0] <= 1 <= c["ratio_range"][1]]
    if not still:
        return []
    tell = Telling(report)
    name = tell("comparisons", still[0], "coefficients")
    named = listed([_baseline(tell, i) for i in still])
    return [
        tell.sentence(f"Within the stated bounds of prices, the comparison of {name} with {named} could go either way.")
    ]
