"""`spk2loihi fit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.common import (
    DEFAULT_NETWORK,
    PATH,
    claimed,
    console,
    layers_option,
    output_options,
    save_numbers,
    say,
    say_findings,
)


@click.command("fit")
@click.argument("network_file", type=PATH, required=False)
@click.option(
    "--board",
    default="kapoho-point",
    show_default=True,
    help="oheo-gulch, kapoho-point, hala-point, or a JSON file.",
)
@click.option("--preset", help="Before training: preset of the student. [default: spikingbert]")
@click.option("--layers", type=int, help="Before training: number of encoder layers. [default: 6]")
@click.option("--hidden", type=int, help="Before training: width. [default: 384]")
@click.option("--intermediate", type=int, help="Before training: feed-forward width. [default: 4 x hidden]")
@click.option("--heads", type=int, help="Before training: number of attention heads. [default: 12]")
@click.option("--seq-len", "tokens", type=int, help="Before training: longest sentence, in tokens. [default: 64]")
@click.option("--bits", type=int, help="Before training, and of NIR files: bits of a weight. [default: 8]")
@click.option("--dt", type=float, help="NIR files: seconds a step. [default: 0.0001]")
@click.option("--exact", is_flag=True, default=None, help="NIR files: refuse numbers that are not whole as they are.")
@click.option("--timesteps", type=int, help="Before training: T, which sets the width of fast weights. [default: 16]")
@click.option("--input", "inputs", type=PATH, help="Other netx and NIR files: input array (.npy) to look at, too.")
@layers_option
@click.option("--strict", is_flag=True, help="Exit with code 1 if the network does not fit.")
@output_options
def command(
    network_file: Path | None,
    board: str,
    inputs: Path | None,
    num_layers: int | None,
    strict: bool,
    json_file: Path | None,
    force: bool,
    **shape: Any,
) -> None:
    """Check whether NETWORK_FILE [default: model.net] fits a Loihi 2 board, and what would make it fit.

    NETWORK_FILE is of spk2loihi export, or any other netx or NIR file. Of the latter the command also says what of it
    a Loihi 2 would not take; with --input, of the input, too.

    With any of the options "Before training", the command sizes a student of that shape instead; give no NETWORK_FILE
    then.
    """
    sizes = {key: value for key, value in shape.items() if value is not None}
    path = network_file if network_file is not None or sizes else Path(DEFAULT_NETWORK)
    with claimed(json_file, path, inputs, options={"board": board}, force=force):
        report = api.fit(path, board, inputs=inputs, num_layers=num_layers, **sizes)
        _print(report.to_dict())
        save_numbers(json_file, report.to_dict())
    if strict and not report.fits:
        sys.exit(1)


def _print(n: dict[str, Any]) -> None:
    from rich.table import Table

    from spk2loihi.formatting import printable

    table = Table(show_lines=False)
    unrolled = "slots" not in n  # a streamed network has one token a step, and nothing to share over tokens
    for heading in ("layer", "neurons", "synapses", "cores", *["unrolled"] * unrolled, "binding limit", "used", "host"):
        left = heading in ("layer", "binding limit", "host")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for layer in n["layers"]:
        used = "" if layer["utilisation"] is None else f"{layer['utilisation']:.0%}"
        table.add_row(
            printable(layer["name"]), f"{layer['neurons']:,}", f"{layer['synapses']:,}", f"{layer['cores']:,}",
            *[_count(layer["cores_unrolled"])] * unrolled, layer["binding_limit"] or "", used, ", ".join(layer["host"]),
        )  # fmt: skip
    console().print(table)
    verdict = "fits" if n["fits"] else "does not fit"
    say(
        f"{n['network'] or 'this student'} {verdict} on {n['board']}: "
        f"{n['cores']:,} of {n['cores_available']:,} cores, {n['chips']:,} of {n['chips_available']:,} chips; "
        + (
            f"sentences of up to {n['slots']} tokens, {n['latency_steps']:,} steps to an answer, another every "
            f"{n['period_steps']:,} steps"
            if "slots" in n
            else f"without weight sharing over {'positions' if 'format' in n else 'tokens'}: "
            f"{_count(n['cores_unrolled'])} cores"
        )
    )
    for r in n["refused"]:
        say(f"{r['layer']}: one neuron exceeds {r['limit']}: {r['value']:,}, limit {r['allowed']:,}")
    for remedy in n["remedies"]:
        say(f"  {remedy['text']}")
    for operation in dict.fromkeys(h["operation"] for h in n["host"]):
        reason = next(h["reason"] for h in n["host"] if h["operation"] == operation)
        say(f"on the host, {operation}: {reason}")
    if "preflight" in n:
        say_findings(n["preflight"])
    if "processes" in n:
        from spk2loihi.chip.evidence import graded_processes

        say(f"evidence that its processes run on a Loihi 2: {graded_processes()}")
    kinds = [limit["certainty"] for limit in n["limits"]]
    say(
        f"limits: {kinds.count('documented')} documented, {kinds.count('inferred')} inferred from published compiler "
        f"output, {kinds.count('assumed')} assumed; see --json and docs/guide/fit.md for values and sources"
    )


def _count(cores: int | None) -> str:
    return "impossible" if cores is None else f"{cores:,}"
