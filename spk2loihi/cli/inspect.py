"""`spk2loihi inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.common import claimed, console, network_argument, output_options, save_numbers

_HEADINGS = ("stage", "window", "neurons", "synapses", "weights", "soma", "threshold", "one spike is", "bound |U|")


@click.command("inspect")
@network_argument
@output_options
def command(network_file: Path, json_file: Path | None, force: bool) -> None:
    """Show the stages of NETWORK_FILE: shapes, bits, thresholds, soma functions and the scale of their integers."""
    with claimed(json_file, network_file, force=force):
        n = api.load(network_file).to_dict()
        _print(network_file, n)
        save_numbers(json_file, n)


def _print(network_file: Path, n: dict[str, Any]) -> None:
    from rich.table import Table

    from spk2loihi.formatting import printable

    screen = console()
    screen.print(
        printable(
            f"{network_file}: T = {n['timesteps']}, up to {n['max_tokens']} tokens, {n['weight_bits']}-bit weights, "
            f"{n['schedule']}, {n['encoding']}, stagger {n['stagger']}; "
            f"task {n['task']['name']} ({', '.join(n['task']['labels'])})"
        )
    )
    table = Table(show_lines=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("stage", "weights", "soma") else "right", no_wrap=True)
    for r in n["layers"]:
        threshold = (r["requantise"] or str(r["threshold"])) if r["fires"] else "readout"
        table.add_row(
            printable(r["name"]), str(r["window"]), r["neurons"], f"{r['synapses']:,}", r["weights"], r["soma"] or "",
            threshold, f"{r['unit']:.5g}", f"{r['max_drive']:,}",
        )  # fmt: skip
    screen.print(table)
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
