"""Does a network fit a board: the partition, and what it says, as JSON-ready data.

Layout::

    board, fits, chips, chips_available, cores, cores_available, cores_per_chip
    cores_unrolled        cores without weight sharing over tokens; null where a layer then fits no core
    neurons, synapses     of the whole network, every token's copy counted
    layers                [{name, kind, neurons, synapses, cores, cores_unrolled, binding_limit, utilisation,
                            fullest_core: {limit: used}, weight_bits, fan_in, host, refused}]
    host                  [{layer, operation, neurons, reason}]
    refused               [{layer, limit, value, allowed}]: populations of which not one neuron fits a core
    remedies              [{change, from, to, cores, text}]; empty where it fits
    limits                [{name, value, unit, source, certainty}]

``binding_limit`` is what keeps a layer from fewer cores (null: one core is enough); ``utilisation`` the share of that
limit used on the layer's fullest core, of the most used limit where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from spk2loihi.fit.boards import Board
from spk2loihi.fit.partition import Placement, partition
from spk2loihi.fit.population import Population
from spk2loihi.fit.remedies import remedies
from spk2loihi.fit.rules import RULES, Sharing
from spk2loihi.network.soma import SOMAS

EMBEDDING = "embedding"

#: Operation -> why it runs on the host or on an embedded processor of the chip.
REASONS: dict[str, str] = {
    EMBEDDING: "a table look-up by token id: the tables are larger than synaptic memory, and nothing spikes yet",
    **{kind: soma.host_reason for kind, soma in SOMAS.items() if soma.on_host},
}


class FitReport:
    """Whether a network fits a board, and how (layout of the data: see the module)."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    def to_dict(self) -> dict[str, Any]:
        return dict(self.data)

    @property
    def fits(self) -> bool:
        return bool(self.data["fits"])

    def _repr_html_(self) -> str:
        n = self.data
        rows = "".join(
            f"<tr><td>{escape(layer['name'])}</td><td>{layer['cores']:,} cores</td>"
            f"<td>{layer['binding_limit'] or ''}</td></tr>"
            for layer in n["layers"]
        )
        verdict = "fits" if self.fits else "does not fit"
        return (
            f"<p><b>{verdict}</b> on {escape(n['board'])}: {n['cores']:,} of {n['cores_available']:,} cores</p>"
            f"<table>{rows}</table>"
        )


def check_fit(
    populations: Sequence[Population], board: Board, outside: Collection[str] = (), remedied: bool = True
) -> dict[str, Any]:
    """The partition of ``populations`` over ``board`` (layout: see the module).

    Args:
        outside: populations that stand for what arrives from outside the chip: others read them, but they take no core.
        remedied: look for ``remedies``; else the list is empty.
    """

    def placed(sharing: Sharing) -> list[Placement]:
        return [p for p in partition(populations, board, sharing) if p.population.name not in outside]

    placements, unrolled = placed("shared"), placed("unrolled")
    populations = [p.population for p in placements]
    cores = sum(p.cores for p in placements)
    refused = [{"layer": p.population.name, **asdict(p.refused)} for p in placements if p.refused]
    fits = not refused and cores <= board.cores
    return {
        "board": board.name,
        "fits": fits,
        "chips": math.ceil(cores / board.cores_per_chip),
        "chips_available": board.chips,
        "cores": cores,
        "cores_available": board.cores,
        "cores_per_chip": board.cores_per_chip,
        "cores_unrolled": None if any(p.refused for p in unrolled) else sum(p.cores for p in unrolled),
        "neurons": sum(p.neurons for p in populations),
        "synapses": sum(p.synapses for p in populations),
        "layers": [_layer(p, u, board) for p, u in zip(placements, unrolled, strict=True)],
        "host": [
            {"layer": p.name, "operation": operation, "neurons": p.neurons, "reason": REASONS[operation]}
            for p in populations
            for operation in host_operations(p)
        ],
        "refused": refused,
        "remedies": [] if fits or not remedied else remedies(populations, board),
        "limits": [asdict(limit) for limit in board.limits.values()],
    }


def _layer(placement: Placement, unrolled: Placement, board: Board) -> dict[str, Any]:
    p, core = placement.population, placement.core
    used = {name: rule(core) for name, rule in RULES.items()} if core is not None else {}
    shares = {name: value / board.limits[name].value for name, value in used.items() if name in _OF_A_CORE}
    binding = placement.refused or placement.binding
    limit = None if binding is None else binding.limit
    return {
        "name": p.name,
        "kind": p.kind,
        "neurons": p.neurons,
        "synapses": p.synapses,
        "cores": placement.cores,
        "cores_unrolled": None if unrolled.refused else unrolled.cores,
        "binding_limit": limit,
        "utilisation": None if not shares else shares[limit] if limit in shares else max(shares.values()),
        "fullest_core": used,
        "weight_bits": max([i.bits for i in p.inputs], default=None),
        "fan_in": p.fan_in,
        "host": host_operations(p),
        "refused": None if placement.refused is None else asdict(placement.refused),
    }


#: Limits on what a core holds in total; the others are limits on a single weight or neuron.
_OF_A_CORE = tuple(name for name in RULES if name not in ("weight_width", "fan_in"))


def host_operations(population: Population) -> list[str]:
    """Operations of a stage done outside the neurocores, once a window; its neurons themselves are on neurocores."""
    operations = [EMBEDDING] if population.kind == "input" else []
    return operations + ([population.soma] if population.soma in REASONS else [])
