"""`spk2loihi export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.choices import ENCODINGS, SCHEDULES
from spk2loihi.cli.common import DEFAULT_MODEL, DEFAULT_NETWORK, PATH, check_outputs, json_option, save_numbers, say


@click.command("export")
@click.argument("model_file", type=PATH, default=DEFAULT_MODEL)
@click.option("-o", "--out", type=PATH, default=DEFAULT_NETWORK, show_default=True, help="Network file to write.")
@click.option("--schedule", type=click.Choice(SCHEDULES), default="windowed", show_default=True)
@click.option("--encoding", type=click.Choice(ENCODINGS), default="rate", show_default=True)
@click.option("--stagger", type=int, help="Settling schedule: steps between the starts of stages. [default: T // 4]")
@json_option
def command(
    model_file: Path, out: Path, schedule: Any, encoding: Any, stagger: int | None, json_file: Path | None
) -> None:
    """Fold MODEL_FILE into an integer network and write it as netx HDF5.

    MODEL_FILE is a model.pt or a folder that save_pretrained wrote. The schedule and encoding given here are the
    network's defaults; every later command can override them.
    """
    check_outputs(out, json_file, inputs=(model_file,))
    from spk2loihi.versions import versions

    net = api.export(model_file, out, schedule=schedule, encoding=encoding, stagger=stagger)
    network = net.network
    worst = max(network.stages, key=lambda stage: stage.max_drive)
    numbers = {
        "network": str(out),
        "bytes": out.stat().st_size,
        "sha256": net.sha256,
        "stages": len(network.stages),
        "timesteps": network.timesteps,
        "weight_bits": network.weight_bits,
        "synapses_per_token": network.synapses,
        "largest_drive": {"stage": worst.name, "bound": worst.max_drive},
        "versions": versions(),
    }
    say(
        f"{out}: {len(network.stages)} stages, {network.synapses:,} synapses a token, T = {network.timesteps}, "
        f"{network.weight_bits}-bit weights; worst-case drive {worst.max_drive:,} ({worst.name}) fits 24 bits"
    )
    save_numbers(json_file, numbers)
