"""Counters and energies of every stage, and of stages taken together: by encoder layer, and by what they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from operator import add
from typing import Any

from spk2loihi.energy import estimate
from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.simulators.counters import StageOps


def stage_rows(
    stages: Sequence[StageOps],
    samples: int,
    network: Mapping[str, Any],
    spikes: Mapping[str, int] | None,
    sets: Sequence[CoefficientSet],
) -> list[dict[str, Any]]:
    """``layers`` of the report. Arguments as for `build_report`."""
    return [
        {**ops.to_dict(), **_row([ops], samples, network, spikes, sets)}
        for ops in stages
    ]  # fmt: skip


def grouped_rows(
    stages: Sequence[StageOps],
    samples: int,
    network: Mapping[str, Any],
    spikes: Mapping[str, int] | None,
    sets: Sequence[CoefficientSet],
) -> dict[str, list[dict[str, Any]]]:
    """``groups`` of the report: ``encoder_layer`` ("layer 0", embedding, head) and ``part`` (query, ffn_in, ...)."""

    def grouped(name_of: Callable[[str], str]) -> list[dict[str, Any]]:
        members: dict[str, list[StageOps]] = {}
        for ops in stages:
            members.setdefault(name_of(ops.name), []).append(ops)
        return [
            {"name": name, "stages": [ops.name for ops in part], **_row(part, samples, network, spikes, sets)}
            for name, part in members.items()
        ]

    return {"encoder_layer": grouped(_encoder_layer), "part": grouped(lambda name: name.split(".")[-1])}


def _encoder_layer(name: str) -> str:
    if name.startswith("layer."):
        return " ".join(name.split(".")[:2])
    return "head" if name in ("pooler", "classifier") else name


def _row(
    members: Sequence[StageOps],
    samples: int,
    network: Mapping[str, Any],
    spikes: Mapping[str, int] | None,
    sets: Sequence[CoefficientSet],
) -> dict[str, Any]:
    graded = network["encoding"] == "graded"
    fired = [_spikes(ops, spikes, graded) for ops in members]
    total = None if None in fired else sum(n for n in fired if n is not None)
    window = network["timesteps"] if graded else network["steps"]
    slots = window * sum(ops.neurons for ops in members if ops.kind != "readout")  # most spikes there can be
    ops = reduce(add, (replace(one, host=dict(one.host)) for one in members))
    energies = {s.name: estimate.stage_energy(ops, s, network["encoding"]) for s in sets}
    return {
        "spikes": total,
        "asr": total / slots if total is not None and slots else None,
        "t_times_density": estimate.t_times_density([ops]),
        "per_sample": {
            "spikes": None if total is None else total / samples,
            **{
                name: getattr(ops, name) / samples
                for name in ("messages", "synops", "attention_synops", "dense", "active_updates", "inactive_updates")
            },
            "all_synops": (ops.synops + ops.attention_synops) / samples,
            "updates": (ops.active_updates + ops.inactive_updates) / samples,
            "host": {op: n / samples for op, n in ops.host.items()},
        },
        "energy_per_sample_nJ": {
            name: {part: pj / samples / 1e3 for part, pj in asdict(energy).items()} for name, energy in energies.items()
        },
        "energy_total_nJ": {name: energy.total / samples / 1e3 for name, energy in energies.items()},
    }


def _spikes(ops: StageOps, spikes: Mapping[str, int] | None, graded: bool) -> int | None:
    if ops.kind == "readout":
        return 0
    return (spikes or {}).get(ops.name, None if graded else ops.messages)
