"""What a reader must know before quoting a figure of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.coefficient_registry import BUILTIN_SETS
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.telling import listed


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
    if report["network"]["schedule"] == "streamed" or report["network"]["unit"] != "sentence":
        return []
    return [
        (
            "No public software can put this network on a Loihi 2: its soft-reset neurons and attention are processes "
            "of this project alone. A student of the preset stock is made of processes that Intel ships."
        )
    ]


def _attention(report: Mapping[str, Any]) -> list[str]:
    if not report["totals"]["attention_synops"]:
        return []
    return [
        (
            "Additions of fast weights in attention are charged as ordinary synaptic operations, because no chip "
            "figure for them exists."
        )
    ]


def caveats(report: Mapping[str, Any], sets: Sequence[CoefficientSet]) -> list[str]:
    """What a reader must know before quoting a figure. Arguments as for `verdict_sentences`, but all sets."""
    own = [s.name for s in sets if s.kind == "chip" and s.name not in BUILTIN_SETS]
    loihi2 = (
        "Nobody has published the energy of a synaptic operation of Loihi 2. The price of loihi2-pilotnet-bound is an "
        "upper bound of one convolutional workload on one board, where all dynamic power was charged to SynOps. It "
        "bounds nothing on another network. "
    )
    if own:
        loihi2 += f"The prices of {listed(own)} are the user's own; all others are proxies."
    else:
        loihi2 += "All energies here are estimates, not measurements of this network on a chip."
    lines = [
        loihi2,
        (
            "Memory is on both sides of a comparison or on neither. The chips' prices contain the memory access of a "
            "synaptic operation; they are compared with ANNs that move their data. Bare additions are compared with "
            "bare multiply-accumulates."
        ),
        (
            "An ANN's memory traffic is the least there can be: each weight read once a batch, each activation written "
            "and read once, from the smallest memory that holds them, all further reuse free, and DRAM at the cheaper "
            "end of its range. That favours the ANN. Its 45 nm prices favour the spiking network, whose chips are made "
            "in finer processes: 14 nm (Loihi 1) and Intel 4 (Loihi 2)."
        ),
        (
            "A batch of 64 reads weights once for 64 samples, which a server can do and an answer at once (batch 1) "
            "cannot. The spiking network keeps its weights where they are used, and has no batch."
        ),
        (
            "The arithmetic-only figures are what most papers report. They leave out neuron updates, spike messages "
            "and memory. Also, int8 arithmetic is narrower than the accumulators of either side."
        ),
        (
            "Time: SynOps are spread evenly over the cores of a layer, and only they fill a step. One run of one "
            "network was measured. Sentences shorter than the longest leave cores idle, and the busiest core busier."
        ),
        (
            "Each message is charged as one spike within a tile. This is a lower bound: hops between tiles and "
            "copies to several cores depend on a mapping that does not exist before compilation."
        ),
        (
            "Where updates have a price, every neuron is charged one in every step of the run: active while it "
            "integrates or may fire, inactive otherwise. A mapping that keeps cores idle outside their windows would "
            "cost less."
        ),
        *_settling(report),
        *_streamed(report),
        *_not_for_a_board(report),
        *_attention(report),
        "Static power, input and output, and the host's own energy are not included for any model.",
        (
            "The measured systems are shown for scale only: they ran other networks on other inputs, and include "
            "static power. The price of loihi2-pilotnet-bound and the time of a step were derived from PilotNet LIF."
        ),
    ]
    unbounded = [s.name for s in sets if not s.uncertain]
    if unbounded:
        lines.append(
            f"The sources of {listed(unbounded)} state no error bounds, so the error of these prices is not known."
        )
    if report["network"]["encoding"] == "graded":
        lines.append(
            "Graded messages, which carry a payload, exist on Loihi 2 only. A SynOp is one message at one "
            "synapse. No price for it has been published; the prices of chips charged here are those of binary spikes."
        )
    host = report["totals"]["host"]
    if host:
        named = listed([f"{op} ({fmt.count(n / report['samples'])})" for op, n in host.items()])
        lines.append(
            f"Host operations, in elements per {report['network']['unit']}: {named}. The ANN and the teacher need the "
            "same kinds."
        )
    if report["per_sample"]["teacher"] is None and report["network"]["unit"] == "sentence":
        lines.append("The teacher's multiply-accumulates were not given, so it is missing from the comparison.")
    return lines
