"""`spk2loihi export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.choices import ENCODINGS, SCHEDULES
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import DEFAULT_MODEL, DEFAULT_NETWORK, claimed, output_options, save_numbers, say, tell
from spk2loihi.cli.config_file import run_file
from spk2loihi.cli.option_types import PATH


@click.command("export", cls=Command)
@click.argument("model_file", type=PATH, default=DEFAULT_MODEL)
@click.option("-o", "--out", type=PATH, default=DEFAULT_NETWORK, show_default=True, help="Network file to write.")
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    help="When populations fire. [default: windowed; the only ones of stock: streamed, of leak or feedback: pipelined]",
)
@click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    help="How a count n travels: n spikes, or one message with payload n. [default: rate; the stock preset: graded]",
)
@click.option(
    "--stagger",
    type=int,
    help="Settling schedule: steps between the starts of successive depths, 0 to T. [default: T // 4]",
)
@click.option(
    "--bundle",
    type=PATH,
    help="Stock preset: also write this folder, whose run.py runs the network on a machine that has Lava alone.",
)
@output_options
def command(
    model_file: Path,
    out: Path,
    schedule: Any,
    encoding: Any,
    stagger: int | None,
    bundle: Path | None,
    json_file: Path | None,
    force: bool,
) -> None:
    """Fold MODEL_FILE into an integer network and write it as netx HDF5.

    MODEL_FILE is a model.pt, a folder written by save_pretrained, or a repository of the hub (OWNER/NAME).
    The schedule, encoding and stagger given here become the network's defaults. Later commands can override them.
    """
    with claimed(json_file, model_file, results=[out], run=run_file(out), force=force):
        from spk2loihi.files import sha256, written
        from spk2loihi.versions import versions

        net = api.export(
            model_file, out, schedule=schedule, encoding=encoding, stagger=stagger, bundle=bundle, force=force
        )
        network = net.network
        worst = max(network.stages, key=lambda stage: stage.max_drive)
        numbers = {
            "network": str(out),
            "bytes": written(out).stat().st_size,
            "sha256": sha256(written(out)),
            "stages": len(network.stages),
            "timesteps": network.timesteps,
            "weight_bits": network.weight_bits,
            "synapses_per_token": network.synapses,
            "largest_drive": {"stage": worst.name, "bound": worst.max_drive},
            "versions": versions(),
        }
        save_numbers(json_file, numbers)
        if bundle is not None:
            tell(f"{bundle}: copy it to a machine with Lava, and there: python run.py")
        say(
            f"{out}: {len(network.stages)} stages, {network.synapses:,} synapses per token, T = {network.timesteps}, "
            f"{network.weight_bits}-bit weights; worst-case drive {worst.max_drive:,} ({worst.name}) fits 24 bits"
        )
