"""`spk2loihi demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from spk2loihi.cli import energy, export, simulate, train, verify
from spk2loihi.cli.common import PATH, json_option, save_numbers, say


@click.command("demo")
@click.option("-o", "--out", type=PATH, default="spk2loihi-demo", show_default=True, help="Folder to write into.")
@json_option
@click.pass_context
def command(context: click.Context, out: Path, json_file: Path | None) -> None:
    """Train, export, simulate, verify and report on the embedded reviews: the whole chain, without options."""
    started = time.perf_counter()
    network = out / "model.net"
    say("== spk2loihi train")
    context.invoke(train.command, out=out / "model.pt")
    say("== spk2loihi export model.pt")
    context.invoke(export.command, model_file=out / "model.pt", out=network)
    say("== spk2loihi simulate")
    context.invoke(simulate.command, network_file=network, json_file=out / "simulate.json")
    if sys.version_info < (3, 11):
        say("== spk2loihi simulate --backend cpu")
        context.invoke(simulate.command, network_file=network, backend="cpu", json_file=out / "simulate-cpu.json")
        say("== spk2loihi verify")
        context.invoke(verify.command, network_file=network, json_file=out / "verify.json")
    else:
        say("Lava needs Python 3.10: simulate --backend cpu and verify are left out")
    say("== spk2loihi energy")
    context.invoke(energy.command, network_file=network, out=out / "energy.html")
    wall = time.perf_counter() - started
    say(f"done in {wall:.0f} s: open {out / 'energy.html'}")
    save_numbers(json_file, {"folder": str(out), "wall_s": wall})
