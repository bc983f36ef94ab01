"""`spk2loihi inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from spk2loihi.cli.common import json_option, network_argument, save_numbers
from spk2loihi.network import Network, Stage, read_network


@click.command("inspect")
@network_argument
@json_option
def command(network_file: Path, json_file: Path | None) -> None:
    """Show the layers of NETWORK_FILE: shapes, bits, thresholds, soma functions, and what its integers mean."""
    network = read_network(network_file)
    rows = [_row(network, stage) for stage in network.stages]
    console = Console(width=None if Console().is_terminal else 180)
    console.print(
        f"{network_file}: T = {network.timesteps}, up to {network.max_tokens} tokens, "
        f"{network.weight_bits}-bit weights, {network.schedule}, {network.encoding}, stagger {network.stagger}; "
        f"task {network.task['name']} ({', '.join(network.task['labels'])})"
    )
    table = Table(show_lines=False)
    for heading in (
        "stage",
        "window",
        "neurons",
        "synapses",
        "weights",
        "soma",
        "threshold",
        "one spike is",
        "bound |U|",
    ):
        table.add_column(heading, justify="left" if heading in ("stage", "weights", "soma") else "right", no_wrap=True)
    for r in rows:
        table.add_row(
            r["name"], str(r["window"]), r["neurons"], f"{r['synapses']:,}", r["weights"], r["soma"] or "",
            str(r["threshold"]) if r["fires"] else "readout", f"{r['unit']:.5g}", f"{r['max_drive']:,}",
        )  # fmt: skip
    console.print(table)
    console.print(
        "neurons are a token's (L tokens); synapses are non-zero weights a token, shared by all tokens; "
        "'one spike is' is the float value of one spike (of one unit of the membrane for a readout)"
    )
    save_numbers(
        json_file,
        {
            "network": str(network_file),
            "timesteps": network.timesteps,
            "max_tokens": network.max_tokens,
            "weight_bits": network.weight_bits,
            "schedule": network.schedule,
            "encoding": network.encoding,
            "stagger": network.stagger,
            "task": network.task,
            "layers": rows,
            "provenance": network.provenance,
        },
    )


def _row(network: Network, stage: Stage) -> dict[str, Any]:
    weights = []
    for group in stage.synapses:
        low, high = int(group.exponent.min()), int(group.exponent.max())
        exponent = "" if high == 0 else f" x2^{low}" if low == high else f" x2^{low}..{high}"
        span = f"{group.weight.min()}..{group.weight.max()}{exponent}"
        weights.append(f"skip {span}" if group.one_to_one else span)
    if stage.attention is not None:
        weights.append(f"{stage.attention.kind}: fast weights")
    return {
        "name": stage.name,
        "window": stage.depth,
        "neurons": f"{stage.channels} x L" if stage.is_scores else str(stage.channels),
        "tokens": stage.tokens,
        "synapses": int(np.sum([g.fan_out.sum() for g in stage.synapses], dtype=np.int64)),
        "weights": ", ".join(weights),
        "soma": None if stage.soma is None else stage.soma.kind,
        "threshold": stage.threshold,
        "signed": stage.signed,
        "fires": stage.fires,
        "unit": stage.unit,
        "max_drive": stage.max_drive,
    }
