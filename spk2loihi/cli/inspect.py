"""`spk2loihi inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from spk2loihi import api
from spk2loihi.cli.common import check_outputs, console, json_option, network_argument, save_numbers

_HEADINGS = ("stage", "window", "neurons", "synapses", "weights", "soma", "threshold", "one spike is", "bound |U|")


@click.command("inspect")
@network_argument
@json_option
def command(network_file: Path, json_file: Path | None) -> None:
    """Show the stages of NETWORK_FILE: shapes, bits, thresholds, soma functions, and the scale of their integers."""
    check_outputs(json_file, inputs=(network_file,))
    from rich.table import Table

    from spk2loihi.formatting import printable

    n = api.load(network_file).to_dict()
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
        table.add_row(
            printable(r["name"]), str(r["window"]), r["neurons"], f"{r['synapses']:,}", r["weights"], r["soma"] or "",
            str(r["threshold"]) if r["fires"] else "readout", f"{r['unit']:.5g}", f"{r['max_drive']:,}",
        )  # fmt: skip
    screen.print(table)
    screen.print(
        "neurons: of one token (L tokens); synapses: non-zero weights of one token, shared by all tokens; "
        "one spike is: the float value of one spike (of one membrane unit for a readout)"
    )
    save_numbers(json_file, n)
