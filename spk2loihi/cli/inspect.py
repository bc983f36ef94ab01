"""`spk2loihi inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    claimed,
    layers_option,
    network_argument,
    output_options,
    reading_options,
    save_numbers,
    say_findings,
    say_reading,
)
from spk2loihi.cli.tables import console, print_table

_HEADINGS = ("stage", "window", "neurons", "synapses", "weights", "soma", "threshold", "one spike is", "bound |U|")


@click.command("inspect", cls=Command)
@network_argument
@layers_option
@reading_options
@output_options
def command(network_file: Path, num_layers: int | None, json_file: Path | None, force: bool, **reading: Any) -> None:
    """Show what is in NETWORK_FILE.

    Of a network of spk2loihi export: the stages with shapes, bits, thresholds, soma functions and the scale of their
    integers. Of any other netx or NIR file: the layers with shapes, parameters of the neurons, weights, bits and
    delays, and what of it a Loihi 2 would not take.
    """
    with claimed(json_file, network_file, force=force):
        n = api.inspect(network_file, num_layers=num_layers, **reading)
        (_print_file if "format" in n else _print)(network_file, n)
        say_reading(n.get("reading"))
        save_numbers(json_file, n)


def _print_file(network_file: Path, n: dict[str, Any]) -> None:
    from spk2loihi.formatting import printable

    screen = console()
    known = "" if n["input_shape_known"] else " or larger"
    screen.print(
        printable(
            f"{network_file}: {n['format']}, input {_shape(n['input_shape'])}{known}, output "
            f"{_shape(n['output_shape'])}, {n['neurons']:,} neurons, {n['synapses']:,} synapses"
        )
    )
    headings = ("layer", "type", "shape", "neurons", "synapses", "weights", "bits", "bias", "delay", "neuron")
    rows = []
    for r in n["layers"]:
        held = [f"{name} {_range(value)}" for name, value in r["parameters"].items() if value is not None]
        rows.append((
            str(r["number"]), r["type"], _shape(r["shape"]), "" if r["neurons"] is None else f"{r['neurons']:,}",
            f"{r['synapses']:,}" if r["synapses"] else "", _range(r["weights"]), str(r["bits"] or ""),
            _range(r["bias"]), _range(r["delay"]), f"{r['neuron'] or ''} {', '.join(held)}".strip(),
        ))  # fmt: skip
    print_table(headings, rows, left=("type", "neuron"))
    screen.print(
        "synapses: weights other than 0, counted for every output; weights: range in the file; bits: of the widest; "
        "shapes: (x, y, channel)"
    )
    say_findings(n["preflight"])


def _shape(shape: list[int] | None) -> str:
    return "" if shape is None else " x ".join(map(str, shape))


def _range(value: Any) -> str:
    """A number or text, or the ends of a range."""
    if isinstance(value, list):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}..{value[1]}"
    return "" if value is None else str(value)


def _steps(n: dict[str, Any]) -> str:
    """What a network with leak or feedback has and no other."""
    steps = "" if n["steps"] is None else f" for {n['steps']} steps"
    return f"{steps}, decay {n['decay']} / 4096" if n["decay"] else steps


def _print(network_file: Path, n: dict[str, Any]) -> None:
    from spk2loihi.formatting import printable

    screen = console()
    screen.print(
        printable(
            f"{network_file}: T = {n['timesteps']}, up to {n['max_tokens']} tokens, {n['weight_bits']}-bit weights, "
            f"{n['schedule']}{_steps(n)}, {n['encoding']}, stagger {n['stagger']}; "
            f"task {n['task']['name']} ({', '.join(n['task']['labels'])})"
        )
    )
    rows = [
        (
            r["name"], str(r["window"]), r["neurons"], f"{r['synapses']:,}", r["weights"], r["soma"] or "",
            (r["requantise"] or str(r["threshold"])) if r["fires"] else "readout", f"{r['unit']:.5g}",
            f"{r['max_drive']:,}",
        )
        for r in n["layers"]
    ]  # fmt: skip
    print_table(_HEADINGS, rows, left=("stage", "weights", "soma"))
    screen.print(
        "neurons: for one token (L tokens); synapses: weights other than 0 for one token, shared by all tokens; "
        "one spike is: float value of one spike (for a readout, of one membrane unit)"
    )
    if n["processes"] is not None:
        from spk2loihi.chip.evidence import graded_processes

        screen.print(
            "streamed: threshold is the weight of the synapses that requantise. Evidence that the processes run on a "
            f"Loihi 2: {graded_processes()}"
        )
