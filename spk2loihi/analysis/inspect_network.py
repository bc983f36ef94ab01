"""What the integers of a network mean: shapes, bits, thresholds and scales of every stage."""

from __future__ import annotations

from typing import Any

from spk2loihi.chip.evidence import EVIDENCE
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.requantise import Requantise


def inspect_network(network: Network) -> dict[str, Any]:
    """The numbers of ``inspect --json``, but the file's name.

    ``decay``: of all neurons, in units of 1/4096 a step; ``steps``: of a pipelined run, where the file says.

    In ``layers``, ``neurons`` are a token's, ``synapses`` non-zero weights a token, and ``unit`` the float value of one
    spike (of one unit of the membrane for a readout). A stage of a streamed network has ``requantise``, the weights and
    the shift of the synapses in place of a threshold; ``processes`` are the kinds it is made of, and what is known of
    them on a chip.
    """
    return {
        "timesteps": network.timesteps,
        "max_tokens": network.max_tokens,
        "weight_bits": network.weight_bits,
        "schedule": network.defaults.schedule,
        "encoding": network.defaults.encoding,
        "stagger": network.defaults.stagger,
        "steps": network.defaults.steps,
        "decay": network.decay,
        "task": network.task,
        "layers": [_row(network, stage) for stage in network.stages],
        "processes": [each.to_dict() for each in EVIDENCE.values()] if network.streamed else None,
        "provenance": network.provenance,
    }


def _requantise(requantise: Requantise) -> str:
    low, high = int(requantise.weight.min()), int(requantise.weight.max())
    return f"{low if low == high else f'{low}..{high}'} / 2^{requantise.shift}"


def _row(network: Network, stage: Stage) -> dict[str, Any]:
    weights = []
    for group in stage.synapses:
        low, high = int(group.exponent.min()), int(group.exponent.max())
        exponent = "" if high == 0 else f" x2^{low}" if low == high else f" x2^{low}..{high}"
        span = f"{group.weight.min()}..{group.weight.max()}{exponent}"
        kind = "skip " if group.one_to_one else "feedback " if group is stage.feedback else ""
        weights.append(kind + span)
    if stage.attention is not None:
        weights.append(f"{stage.attention.kind}: fast weights")
    return {
        "name": stage.name,
        "window": stage.depth,
        "neurons": f"{stage.channels} x L" if stage.is_scores else str(stage.channels),
        "tokens": stage.tokens,
        "synapses": sum(int(group.fan_out.sum()) for group in stage.synapses),
        "weights": ", ".join(weights),
        "soma": None if stage.soma is None else stage.soma.kind,
        "threshold": stage.threshold,
        "requantise": None if stage.requantise is None else _requantise(stage.requantise),
        "signed": stage.signed,
        "fires": stage.fires,
        "unit": stage.unit,
        "max_drive": stage.max_drive,
    }
