"""`spk2loihi verify`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spk2loihi import api
from spk2loihi.cli.common import (
    backend_choice,
    claimed,
    data_options,
    network_argument,
    output_options,
    run_options,
    samples_option,
    save_numbers,
    say,
)

if TYPE_CHECKING:
    from spk2loihi.simulators import Verification


@click.command("verify")
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
@output_options
def command(
    network_file: Path,
    backends: tuple[str, ...],
    samples: int | None,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> Verification:
    """Run sentences on two backends and compare every neuron of every stage at every step.

    If they differ, prints the stage, step and neuron of the first mismatch and exits with code 1.
    """
    from spk2loihi.outputs import named_inputs

    with claimed(json_file, network_file, options=options, force=force) as places:
        net = api.load(network_file)
        places.reads(named_inputs(net.network.task))
        started = time.perf_counter()
        result = api.verify(net, backends, samples=samples or api.VERIFIED_SAMPLES, **options)
        wall = time.perf_counter() - started
        save_numbers(json_file, {**result.to_dict(), "network": str(network_file), "wall_s": wall})
        say(
            f"{' and '.join(result.backends)}, {result.schedule}: {result.mismatches} mismatches in "
            f"{result.spikes_compared:,} neuron-steps of {result.samples} sentences"
            + (f" ({result.populations} populations)" if result.populations else "")
            + f", {wall:.1f} s"
        )
        if result.first_mismatch is not None:
            say("first mismatch: " + ", ".join(f"{k} {v}" for k, v in result.first_mismatch.items()), err=True)
            sys.exit(1)
        return result
