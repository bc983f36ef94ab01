"""`spk2loihi verify`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    backend_choice,
    claimed,
    data_options,
    file_options,
    given,
    network_argument,
    output_options,
    run_options,
    samples_option,
    save_numbers,
    say,
    say_reading,
    seconds,
)
from spk2loihi.cli.option_types import PATH

if TYPE_CHECKING:
    from spk2loihi.simulators import Verification
    from spk2loihi.simulators.verify_file import FileVerification


@click.command("verify", cls=Command)
@network_argument
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=backend_choice,
    help="Backend to compare; give two. [default: emulator and cpu; stepped and cpu when pipelined or streamed]",
)
@samples_option("8")
@run_options
@data_options
@click.option("--input", "inputs", type=PATH, help="Input array (.npy); the last axis is time.")
@click.option("--state-steps", help="Steps after which to compare states, START:STOP[:STEP]. [default: the last]")
@file_options
@output_options
def command(
    network_file: Path,
    backends: tuple[str, ...],
    inputs: Path | None,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> Verification | FileVerification:
    """Run sentences on two backends and compare every neuron of every stage at every step.

    Any other netx or NIR file runs the array of --input, on the emulator and in stock Lava (see spk2loihi run), and
    every message of every layer in every step is compared, and the states after the last.

    If they differ, prints the layer, step and neuron of the first mismatch and exits with code 1.
    """
    from spk2loihi.analysis.spiking_network import SpikingNetwork
    from spk2loihi.compile_time import compile_seconds
    from spk2loihi.outputs import named_inputs

    with claimed(json_file, network_file, inputs, options=options, force=force) as places:
        network = api.read(network_file)
        if isinstance(network, SpikingNetwork):
            places.reads(named_inputs(network.network.task))
        started, compiled = time.perf_counter(), compile_seconds()
        result: Verification | FileVerification = api.verify(network, backends, inputs=inputs, **given(options))
        wall, compiling = time.perf_counter() - started, compile_seconds() - compiled
        save_numbers(
            json_file, {"wall_s": wall, "compile_s": compiling, **result.to_dict(), "network": str(network_file)}
        )
        say(f"{_line(result)}, {seconds(wall, compiling)}")
        say_reading(getattr(result, "reading", None))
        if result.first_mismatch is not None:
            say("first mismatch: " + ", ".join(f"{k} {v}" for k, v in result.first_mismatch.items()), err=True)
            sys.exit(1)
        return result


def _line(result: Verification | FileVerification) -> str:
    from spk2loihi.simulators import Verification

    if isinstance(result, Verification):
        return (
            f"{' and '.join(result.backends)}, {result.schedule}: {result.mismatches} mismatches in "
            f"{result.spikes_compared:,} neuron-steps of {result.samples} sentences"
            + (f" ({result.populations} populations)" if result.populations else "")
        )
    return (
        f"{' and '.join(result.backends)}, {len(result.layers)} layers, {result.samples} sample(s) of {result.steps} "
        f"steps: {result.mismatches} mismatches in {result.compared:,} messages and states ({result.messages:,} "
        f"messages were sent)"
    )
