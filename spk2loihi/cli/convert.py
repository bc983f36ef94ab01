"""`spk2loihi convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.common import (
    PATH,
    claimed,
    console,
    output_options,
    reading_options,
    save_numbers,
    say,
)

_HEADINGS = (
    "node", "layer", "late", "units", "limit", "neurons", "spikes", "equations", "mean rate error", "largest",
)  # fmt: skip


@click.command("convert")
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
        from spk2loihi.formatting import printable

        say(printable(f"{out}: {n['format']}, {n['layers']} layers, a step is {n['dt']:g} s"))


def _print(n: dict[str, Any]) -> None:
    from rich.table import Table

    from spk2loihi.formatting import printable

    screen = console()
    errors = Table(title="error of each number", title_justify="left")
    for heading in ("node", "number", "largest", "rms"):
        errors.add_column(heading, justify="right" if heading in ("largest", "rms") else "left", no_wrap=True)
    for row in n["errors"]:
        errors.add_row(printable(row["node"]), row["number"], f"{row['largest']:.3%}", f"{row['rms']:.3%}")
    screen.print(errors)
    scales = {row["node"]: row for row in n["populations"]}
    spikes = Table(title="integers and equations, on the same input", title_justify="left")
    headings = (
        "node",
        "layer",
        "late",
        "units",
        "limit",
        "neurons",
        "spikes",
        "equations",
        "mean rate error",
        "largest",
    )
    for heading in headings:
        spikes.add_column(heading, justify="left" if heading in ("node", "limit") else "right", no_wrap=True)
    for row in n["comparison"]:
        scale = scales[row["node"]]
        spikes.add_row(
            printable(row["node"]), str(row["layer"]), str(row["delay"]), f"{scale['units']:.5g}", scale["limited_by"],
            f"{row['neurons']:,}", _count(row["spikes"]), _count(row["float_spikes"]), f"{row['mean_rate_error']:.5f}",
            f"{row['largest_rate_error']:.5f}",
        )  # fmt: skip
    screen.print(spikes)
    screen.print(
        "largest: difference, of the largest number; rms: of the root mean square; late: steps behind NIR; units: of a "
        "potential of 1; limit: why no more; rate error: in spikes a step"
    )
    for note in n["notes"]:
        say(f"note: {note}")


def _count(value: int | None) -> str:
    return "potential" if value is None else f"{value:,}"
