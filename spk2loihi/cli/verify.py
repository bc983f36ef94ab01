"""`spk2loihi verify`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.common import (
    check_writable,
    data_options,
    encoding_option,
    held_out,
    json_option,
    network_argument,
    samples_option,
    save_numbers,
    schedule_option,
    stagger_option,
    timesteps_option,
)
from spk2loihi.errors import UserError
from spk2loihi.network import read_network, staggered
from spk2loihi.progress import progress_bar

_SAMPLES = 8
_BATCH = {"cpu": 8, "loihi2": 8}


@click.command("verify")
@network_argument
@click.option(
    "--backend", "backends", multiple=True, type=click.Choice(["emulator", "stepped", "cpu", "loihi2"]),
    help="Give it twice. [default: emulator and cpu; stepped and cpu when pipelined]",
)  # fmt: skip
@samples_option
@schedule_option
@encoding_option
@timesteps_option
@stagger_option
@data_options
@json_option
def command(
    network_file: Path,
    backends: tuple[str, ...],
    samples: int | None,
    schedule: Any,
    encoding: Any,
    timesteps: int | None,
    stagger: int | None,
    json_file: Path | None,
    **data: Any,
) -> None:
    """Run sentences on two backends and compare every neuron of every layer at every step.

    Exits with code 1 at the first difference, naming layer, step and neuron.
    """
    run(network_file, backends, json_file, samples or _SAMPLES, schedule, encoding, timesteps, data, stagger)


def run(
    network_file: Path,
    backends: tuple[str, ...],
    json_file: Path | None,
    samples: int = _SAMPLES,
    schedule: Any = None,
    encoding: Any = None,
    timesteps: int | None = None,
    data: dict[str, Any] | None = None,
    stagger: int | None = None,
) -> None:
    """The command without its parser."""
    from spk2loihi.simulators import create_backend, encode, verify

    check_writable(json_file, inputs=[network_file])
    network = read_network(network_file)
    network = staggered(network, schedule or network.schedule, stagger)
    names = backends or ("stepped" if (schedule or network.schedule) == "pipelined" else "emulator", "cpu")
    if len(names) != 2:
        raise UserError(f"verify compares 2 backends, but {len(names)} were given: give --backend twice")
    _, examples = held_out(network, data or {}, samples)
    encoded, _ = encode(network, examples)
    started = time.perf_counter()
    first, second = (create_backend(name, network, schedule, encoding, timesteps) for name in names)
    try:
        with progress_bar() as bar:
            task = bar.add_task(f"verify {names[0]} against {names[1]}", total=len(encoded))
            batch = min(_BATCH.get(name, 32) for name in names)
            numbers = verify(first, second, encoded, batch, lambda n: bar.advance(task, n))
    finally:
        first.close()
        second.close()
    numbers |= {"network": str(network_file), "backends": list(names), "wall_s": time.perf_counter() - started}
    save_numbers(json_file, numbers)
    click.echo(
        f"{names[0]} and {names[1]}, {numbers['schedule']}: {numbers['mismatches']} mismatches in "
        f"{numbers['spikes_compared']:,} neuron-steps of {numbers['samples']} sentences, {numbers['wall_s']:.1f} s"
    )
    if numbers["first_mismatch"] is not None:
        click.echo("first mismatch: " + ", ".join(f"{k} {v}" for k, v in numbers["first_mismatch"].items()), err=True)
        sys.exit(1)
