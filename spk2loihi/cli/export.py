"""`spk2loihi export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.common import (
    DEFAULT_MODEL,
    DEFAULT_NETWORK,
    SCHEDULES,
    check_writable,
    json_option,
    save_numbers,
)
from spk2loihi.errors import UserError


@click.command("export")
@click.argument("model_file", type=click.Path(path_type=Path), default=DEFAULT_MODEL)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=DEFAULT_NETWORK, show_default=True)
@click.option("--schedule", type=click.Choice(SCHEDULES), default="windowed", show_default=True)
@click.option("--encoding", type=click.Choice(["rate", "graded"]), default="rate", show_default=True)
@click.option("--stagger", type=int, help="Settling: steps between the starts of two stages. [default: T // 4]")
@json_option
def command(
    model_file: Path, out: Path, schedule: Any, encoding: Any, stagger: int | None, json_file: Path | None
) -> None:
    """Fold MODEL_FILE into an integer network; writes model.net (netx HDF5)."""
    run(model_file, out, json_file, schedule, encoding, stagger)


def run(
    model_file: Path,
    out: Path,
    json_file: Path | None,
    schedule: Any = "windowed",
    encoding: Any = "rate",
    stagger: int | None = None,
) -> None:
    """The command without its parser."""
    check_writable(out, json_file, inputs=[model_file])
    if schedule != "windowed" and encoding == "graded":
        raise UserError("graded spikes are defined for the windowed schedule only: use --encoding rate")
    from spk2loihi.export.convert import export_checkpoint
    from spk2loihi.files import sha256
    from spk2loihi.versions import versions

    network = export_checkpoint(model_file, out, schedule, encoding, stagger)
    synapses = sum(int(group.fan_out.sum()) for stage in network.stages for group in stage.synapses)
    worst = max(network.stages, key=lambda stage: stage.max_drive)
    numbers = {
        "network": str(out),
        "bytes": out.stat().st_size,
        "sha256": sha256(out),
        "stages": len(network.stages),
        "timesteps": network.timesteps,
        "weight_bits": network.weight_bits,
        "synapses_per_token": synapses,
        "largest_drive": {"stage": worst.name, "bound": worst.max_drive},
        "versions": versions(),
    }
    click.echo(
        f"{out}: {len(network.stages)} stages, {synapses:,} synapses a token, T = {network.timesteps}, "
        f"{network.weight_bits}-bit weights; worst-case drive {worst.max_drive:,} ({worst.name}) fits 24 bits"
    )
    save_numbers(json_file, numbers)
