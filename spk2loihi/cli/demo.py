"""`spk2loihi demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from spk2loihi.cli import energy, export, simulate, train, verify
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import claimed, output_options, save_numbers, say, tell
from spk2loihi.cli.config_file import run_file
from spk2loihi.cli.interrupts import to_go_on
from spk2loihi.cli.option_types import PATH

_STEPS = 96  # of the student, which starts close to its teacher; an epoch has 225
_NUMBERS = ("simulate", "simulate-cpu", "verify")
_REPEATABLE = ("model.pt", "model.net", "simulate.json", "simulate-cpu.json", "energy.html")


@click.command("demo", cls=Command)
@click.option("-o", "--out", type=PATH, default="spk2loihi-demo", show_default=True, help="Folder to write into.")
@output_options
@click.pass_context
def command(context: click.Context, out: Path, json_file: Path | None, force: bool) -> None:
    """Run the whole chain on the embedded reviews: train, export, simulate, verify and energy."""
    from spk2loihi.outputs import Output, check_outputs
    from spk2loihi.reporting.energy_page import report_outputs
    from spk2loihi.training.train import outputs, teacher_folder, teacher_output

    made = [
        *outputs(out / "model.pt"),
        teacher_output(teacher_folder(out / "model.pt")),
        Output(out / "model.net", "network file", "network"),
        *(Output(out / f"{name}.json", "file of numbers", "numbers") for name in _NUMBERS),
        *report_outputs(out / "energy.html"),
        *(Output(run_file(out / name), "run file", "run") for name in _REPEATABLE),
    ]
    with claimed(json_file, force=force, folder=out):
        check_outputs(made, force=force)
        _demo(context, out, json_file, force)


def _demo(context: click.Context, out: Path, json_file: Path | None, force: bool) -> None:
    started = time.perf_counter()
    network = out / "model.net"
    tell("== spk2loihi train")
    context.invoke(train.command, out=out / "model.pt", steps=_STEPS, force=force)
    to_go_on(lambda: None)
    verification = None
    tell("== spk2loihi export model.pt")
    context.invoke(export.command, model_file=out / "model.pt", out=network, force=force)
    tell("== spk2loihi simulate")
    context.invoke(simulate.command, network_file=network, json_file=out / "simulate.json", force=force)
    if sys.version_info < (3, 11):
        tell("== spk2loihi simulate --backend cpu")
        context.invoke(
            simulate.command, network_file=network, backend="cpu", json_file=out / "simulate-cpu.json", force=force
        )
        tell("== spk2loihi verify")
        verification = context.invoke(verify.command, network_file=network, json_file=out / "verify.json", force=force)
    else:
        say("Lava needs Python 3.10: simulate --backend cpu and verify are skipped")
    tell("== spk2loihi energy")
    context.invoke(
        energy.command, network_file=network, out=out / "energy.html", verification=verification, force=force
    )
    wall = time.perf_counter() - started
    say(f"done in {wall:.0f} s: open {out / 'energy.html'}")
    tell("for a Loihi 2 board: spk2loihi train --preset stock, made of processes that Intel ships (docs/chip.md)")
    save_numbers(json_file, {"folder": str(out), "wall_s": wall})
