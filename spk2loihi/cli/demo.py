"""`spk2loihi demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from spk2loihi.cli import energy, export, simulate, train, verify
from spk2loihi.cli.common import json_option, save_numbers


@click.command("demo")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default="spk2loihi-demo", show_default=True, help="Folder."
)
@json_option
def command(out: Path, json_file: Path | None) -> None:
    """Train, export, simulate in Lava and in the emulator, verify, and report, on the embedded default."""
    started = time.perf_counter()
    no_data = dict.fromkeys(
        ("task", "data_dir", "train_file", "dev_file", "text_column", "text_pair_column", "label_column")
    )
    network = out / "model.net"
    click.echo("== spk2loihi train")
    train.run(no_data, out / "model.pt", None)
    click.echo("== spk2loihi export model.pt")
    export.run(out / "model.pt", network, None)
    click.echo("== spk2loihi simulate")
    simulate.run(network, "emulator", out / "simulate.json")
    if sys.version_info < (3, 11):
        click.echo("== spk2loihi simulate --backend cpu")
        simulate.run(network, "cpu", out / "simulate-cpu.json")
        click.echo("== spk2loihi verify")
        verify.run(network, (), out / "verify.json")
    else:
        click.echo("Lava needs Python 3.10: simulate --backend cpu and verify are left out")
    click.echo("== spk2loihi energy")
    energy.run(network, out / "energy.html", None)
    wall = time.perf_counter() - started
    click.echo(f"done in {wall:.0f} s: open {out / 'energy.html'}")
    save_numbers(json_file, {"folder": str(out), "wall_s": wall})
