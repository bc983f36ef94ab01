"""`spk2loihi energy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    claimed,
    command_line,
    data_options,
    encoding_option,
    file_options,
    given,
    network_argument,
    output_options,
    samples_option,
    save_numbers,
    say,
    say_reading,
    stagger_option,
)
from spk2loihi.cli.config_file import run_file
from spk2loihi.cli.option_types import PATH
from spk2loihi.errors import UserError


@click.command("energy", cls=Command)
@network_argument
@click.option("--coefficients", multiple=True, metavar="NAME|FILE", help="Your own price table; repeatable.")
@click.option(
    "-o",
    "--out",
    type=PATH,
    default="energy.html",
    show_default=True,
    help="Page to write; the numbers go beside it as .json.",
)
@click.option("--text", help="Sentence to show spike by spike. [default: a held-out sentence]")
@samples_option("all")
@click.option(
    "--schedule",
    type=click.Choice(["windowed", "settling", "streamed"]),
    help="When populations fire. [default: windowed; stock: streamed; with leak or feedback: pipelined]",
)
@encoding_option
@stagger_option
@click.option(
    "--board",
    default="kapoho-point",
    show_default=True,
    metavar="NAME|FILE",
    help="Board to place the network on, for its time: as of spk2loihi fit.",
)
@click.option("--step-us", type=float, help="Microseconds of every step. [default: estimated]")
@click.option(
    "--derive",
    type=click.Choice(["loihi2-pilotnet-bound"]),
    help="Only recompute this built-in price: emulator counts, and the power that Intel printed.",
)
@data_options
@click.option("--input", "inputs", type=PATH, help="Input array (.npy); the last axis is time.")
@click.option("--frame-steps", type=int, help="Of --input: steps to one answer. [default: see the guide]")
@file_options
@output_options
def command(
    network_file: Path,
    inputs: Path | None,
    out: Path,
    derive: str | None,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Count the operations of held-out sentences, estimate their energy and time, and compare them with ANNs.

    Any other netx or NIR file runs the array of --input (see spk2loihi run), and an answer of the network takes the
    place of a sentence.

    Writes energy.html and energy.json.
    """
    if derive is not None:
        _derive(derive, json_file, force)
        return
    if out.suffix == ".json":
        raise UserError(f"{out} is the place of the report's numbers, not of its page: name an .html file as `out`")
    from spk2loihi.analysis.spiking_network import SpikingNetwork
    from spk2loihi.energy import coefficient_path
    from spk2loihi.outputs import named_inputs
    from spk2loihi.reporting.energy_page import report_outputs

    reads = [
        network_file,
        *([] if inputs is None else [inputs]),
        *(coefficient_path(name) for name in options["coefficients"]),
    ]
    with claimed(
        json_file, *reads, options=options, outputs=report_outputs(out), run=run_file(out), force=force
    ) as places:
        network = api.read(network_file)
        if isinstance(network, SpikingNetwork):
            places.reads(named_inputs(network.network.task))
        report = api.energy(network, inputs=inputs, command=command_line(), **given(options))
        path_json = report.save(out, force)
        save_numbers(json_file, report.to_dict())
        for figure in report.data["headline"]:
            say(f"{figure['question'] or figure['label']} {figure['text']} ({figure['note']})")
        for sentence in report.verdict:
            say(sentence)
        say_reading(report.data["network"].get("reading"))
        say(f"{out} and {path_json}")


def _derive(name: str, json_file: Path | None, force: bool) -> None:
    with claimed(json_file, force=force):
        derivation = api.derive_price(name)
        save_numbers(json_file, derivation.to_dict())
        for line in derivation.lines():
            say(line)
