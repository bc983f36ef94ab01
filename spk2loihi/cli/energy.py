"""`spk2loihi energy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.cli.common import (
    PATH,
    check_outputs,
    command_line,
    data_options,
    encoding_option,
    json_option,
    network_argument,
    samples_option,
    save_numbers,
    say,
    stagger_option,
)
from spk2loihi.errors import UserError


@click.command("energy")
@network_argument
@click.option("--coefficients", multiple=True, metavar="NAME|FILE", help="A price table of your own; repeatable.")
@click.option("-o", "--out", type=PATH, default="energy.html", show_default=True, help="Page to write.")
@click.option("--text", help="The sentence to show spike by spike. [default: a held-out one]")
@samples_option
@click.option(
    "--schedule",
    type=click.Choice(["windowed", "settling"]),
    default="windowed",
    show_default=True,
    help="When stages may fire.",
)
@encoding_option
@stagger_option
@data_options
@json_option
def command(network_file: Path, out: Path, json_file: Path | None, **options: Any) -> None:
    """Count the operations of held-out sentences, estimate their energy, and compare it with ANNs.

    Writes energy.html, and energy.json beside it.
    """
    if out.suffix == ".json":
        raise UserError(f"{out} is the place of the report's numbers, not of its page: name an .html file as `out`")
    check_outputs(out, out.with_suffix(".json"), json_file, inputs=(network_file,))
    report = api.energy(network_file, command=command_line(), **options)
    path_json = report.save(out)
    for headline in report.data["headline"]:
        say(f"{headline['label']}: {headline['text']}")
    for sentence in report.verdict:
        say(sentence)
    say(f"{out} and {path_json}")
    save_numbers(json_file, report.to_dict())
