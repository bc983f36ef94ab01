"""`spk2loihi convert`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import claimed, output_options, reading_options, save_numbers, say
from spk2loihi.cli.option_types import PATH
from spk2loihi.cli.tables import print_table


@click.command("convert", cls=Command)
@click.argument("network_file", type=PATH)
@click.argument("out", type=PATH)
@click.option("--input", "inputs", type=PATH, help="NIR files: compare integers and equations on this array (.npy).")
@reading_options
@output_options
def command(
    network_file: Path, out: Path, inputs: Path | None, json_file: Path | None, force: bool, **reading: Any
) -> None:
    """Convert NETWORK_FILE and write OUT: a NIR file into netx, or a netx file into NIR.

    The numbers of a NIR file become integers: weights of 8 bits, thresholds, biases and decays. A table shows how far
    each is from what it stands for, and another the spikes of every population beside those of NIR's equations.

    A netx file becomes a NIR file that this command reads back to the same integers.
    """
    with claimed(json_file, network_file, inputs, results=[out], force=force):
        n = api.convert(network_file, out, inputs=inputs, force=force, **reading).to_dict()
        save_numbers(json_file, n)
        if n["format"] == "netx":
            _print(n)
        say(f"{out}: {n['format']}, {n['layers']} layers, a step is {n['dt']:g} s")


def _print(n: dict[str, Any]) -> None:
    say("error of each number:")
    print_table(
        ("node", "number", "largest", "rms"),
        [(row["node"], row["number"], f"{row['largest']:.3%}", f"{row['rms']:.3%}") for row in n["errors"]],
        left=("node", "number"),
    )
    say("integers and equations, on the same input:")
    scales = {row["node"]: row for row in n["populations"]}
    rows = [
        (
            row["node"], str(row["layer"]), str(row["delay"]), _units(scales[row["node"]]),
            scales[row["node"]]["limited_by"], f"{row['neurons']:,}", _count(row["spikes"]),
            _count(row["float_spikes"]), f"{row['mean_rate_error']:.5f}", f"{row['largest_rate_error']:.5f}",
        )
        for row in n["comparison"]
    ]  # fmt: skip
    headings = (
        "node", "layer", "late", "units", "limit", "neurons", "spikes", "equations", "mean rate error", "largest",
    )  # fmt: skip
    print_table(headings, rows, left=("node", "limit"))
    say(
        "largest: difference, of the largest number; rms: of the root mean square; late: steps behind NIR; units: of a "
        "potential of 1; limit: why the fewest are no more; rate error: in spikes a step"
    )
    for note in n["notes"]:
        say(f"note: {note}")


def _units(scale: Mapping[str, Any]) -> str:
    fewest, most = f"{scale['units']:.5g}", f"{scale['most_units']:.5g}"
    return fewest if fewest == most else f"{fewest}..{most}"


def _count(value: int | None) -> str:
    return "potential" if value is None else f"{value:,}"
