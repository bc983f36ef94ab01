"""`spk2loihi run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.common import PATH, claimed, output_options, save_numbers, say


@click.command("run")
@click.argument("network_file", type=PATH)
@click.option("--input", "inputs", type=PATH, required=True, help="Input array (.npy); the last axis is time.")
@click.option("--steps", type=click.IntRange(min=1), help="Time steps. [default: the input's]")
@click.option("--out", "-o", type=PATH, required=True, help="File to write the arrays to: .npz or .h5.")
@click.option(
    "--backend",
    type=click.Choice(["emulator", "cpu"]),
    default="emulator",
    show_default=True,
    help="What runs the network: the emulator, or stock Lava (cpu).",
)
@click.option("--record", multiple=True, help="Layers to record: numbers separated by commas, or all; repeatable.")
@click.option("--record-steps", help="Steps to record, START:STOP or START:STOP:STEP. [default: all]")
@click.option("--num-layers", type=click.IntRange(min=1), help="Run only the first layers of the file.")
@click.option("--message-bits", type=int, default=0, help="Bits of the input's payloads; 0 for spikes. [default: 0]")
@click.option("--reset-interval", type=int, help="Steps between resets of CUBA and LOIHI neurons. [default: never]")
@click.option("--reset-offset", type=int, default=0, help="Phase of the resets. [default: 0]")
@click.option("--spike-exp", type=int, default=6, help="Fraction bits of SDNN messages. [default: 6]")
@click.option("--transform", is_flag=True, help="Input holds real values: apply the input layer's weight and bias.")
@output_options
def command(network_file: Path, inputs: Path, out: Path, json_file: Path | None, force: bool, **options: Any) -> None:
    """Run arrays through any netx or NIR network: spikes in, spikes out, bit for bit as stock Lava computes them.

    The input has the shape (*shape, steps), or (samples, *shape, steps) for a batch.
    """
    from spk2loihi.outputs import Output

    arrays = Output(out, "file of arrays", "arrays")
    with claimed(json_file, network_file, inputs, outputs=[arrays], force=force):
        result = api.run(network_file, inputs, **options)
        result.save(out, force)
        numbers = result.to_dict()
        save_numbers(json_file, numbers)
        say(
            f"{result.samples} sample(s), {result.steps} steps, {numbers['output_messages']} output messages, "
            f"{result.wall_s:.2f} s ({result.backend}): {out}"
        )
