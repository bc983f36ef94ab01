"""`spk2loihi run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import claimed, file_options, given, output_options, save_numbers, say, say_reading, seconds
from spk2loihi.cli.option_types import PATH


@click.command("run", cls=Command)
@click.argument("network_file", type=PATH)
@click.option("--input", "inputs", type=PATH, required=True, help="Input array (.npy); the last axis is time.")
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
@file_options
@output_options
def command(network_file: Path, inputs: Path, out: Path, json_file: Path | None, force: bool, **options: Any) -> None:
    """Run arrays through any netx or NIR network: spikes in, spikes out, bit for bit as stock Lava computes them.

    The input has the shape (*shape, steps), or (samples, *shape, steps) for a batch.
    """
    from spk2loihi.outputs import Output

    arrays = Output(out, "file of arrays", "arrays")
    with claimed(json_file, network_file, inputs, outputs=[arrays], force=force):
        result = api.run(network_file, inputs, **given(options))
        result.save(out, force)
        numbers = result.to_dict()
        save_numbers(json_file, numbers)
        say(
            f"{result.samples} sample(s), {result.steps} steps, {numbers['output_messages']} output messages, "
            f"{seconds(result.wall_s, result.compile_s)} ({result.backend}): {out}"
        )
        say_reading(result.reading)
