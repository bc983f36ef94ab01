"""`spk2loihi fit`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    DEFAULT_NETWORK,
    claimed,
    given,
    layers_option,
    output_options,
    reading_options,
    save_numbers,
    say,
    say_findings,
    say_reading,
)
from spk2loihi.cli.option_types import PATH
from spk2loihi.cli.tables import print_table

_bits_option = click.option("--bits", type=float, help="Bits of a weight: 1, 1.58 (ternary), 2 to 8. [default: 8]")


@click.command("fit", cls=Command)
@click.argument("network_file", type=PATH, required=False)
@click.option(
    "--board",
    default="kapoho-point",
    show_default=True,
    help="oheo-gulch, kapoho-point, hala-point, or a JSON file.",
)
@click.option("--preset", help="Of the student. [default: spikingbert]")
@click.option("--layers", help="Of the student, as of train: 3, 0,2,5, uniform:3 or last:3. [default: 6]")
@click.option("--hidden", type=int, help="Width. [default: 384]")
@click.option("--intermediate", type=int, help="Neurons of a feed-forward part. [default: 4 x hidden]")
@click.option("--heads", type=int, help="Attention heads of a layer. [default: 12]")
@click.option("--max-tokens", "tokens", type=int, help="Longest sentence in tokens. [default: 64]")
@partial(reading_options, bits=_bits_option)
@click.option("--timesteps", type=int, help="T, which sets the width of fast weights. [default: 16]")
@click.option("--input", "inputs", type=PATH, help="Input array (.npy) to look at, too.")
@layers_option
@click.option("--strict", is_flag=True, help="Exit with code 1 if the network does not fit.")
@output_options
def command(
    network_file: Path | None,
    board: str,
    inputs: Path | None,
    num_layers: int | None,
    layers: str | None,
    strict: bool,
    json_file: Path | None,
    force: bool,
    **shape: Any,
) -> None:
    """Check whether NETWORK_FILE [default: model.net] fits a Loihi 2 board, and what would make it fit.

    NETWORK_FILE is of spk2loihi export, or any other netx or NIR file. Of the latter the command also says what of it
    a Loihi 2 would not take; with --input, of the input, too.

    With options under "Network", and no NETWORK_FILE, the command sizes a student that is yet to be trained. Of a
    network of the stock preset, --max-tokens says how long its sentences may be.
    """
    sizes = given(shape)
    if layers is not None:
        from spk2loihi.training.layer_map import count_layers

        sizes["layers"] = count_layers(layers)
    path = network_file if network_file is not None or sizes else Path(DEFAULT_NETWORK)
    with claimed(json_file, path, inputs, options={"board": board}, force=force):
        report = api.fit(path, board, inputs=inputs, num_layers=num_layers, **sizes)
        _print(report.to_dict())
        say_reading(report.to_dict().get("reading"))
        save_numbers(json_file, report.to_dict())
    if strict and not report.fits:
        sys.exit(1)


def _print(n: dict[str, Any]) -> None:
    unrolled = "slots" not in n  # a streamed network has one token a step, and nothing to share over tokens
    headings = ("layer", "neurons", "synapses", "cores", *["unrolled"] * unrolled, "binding limit", "used", "host")
    rows = [
        (
            layer["name"], f"{layer['neurons']:,}", f"{layer['synapses']:,}", f"{layer['cores']:,}",
            *[_count(layer["cores_unrolled"])] * unrolled, layer["binding_limit"] or "",
            "" if layer["utilisation"] is None else f"{layer['utilisation']:.0%}", ", ".join(layer["host"]),
        )
        for layer in n["layers"]
    ]  # fmt: skip
    print_table(headings, rows, left=("layer", "binding limit", "host"))
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
