"""`spk2loihi sweep`."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from spk2loihi.cli import train
from spk2loihi.cli.common import DATA_OPTIONS, check_writable, data_options, held_out_task, json_option
from spk2loihi.errors import UserError
from spk2loihi.files import write_json
from spk2loihi.network import read_network
from spk2loihi.sweep.ways import Way, ways_of

#: Options of `train` that a sweep hands on; T, bits and rate penalty are its own.
TRAINING_OPTIONS = (
    "teacher", "preset", "layers", "max_tokens", "temperature", "metric", "epochs", "steps", "teacher_epochs",
    "teacher_learning_rate", "batch_size", "lr", "seed", "precision", "evaluate_every", "early_stop",
    "checkpoint_every",
)  # fmt: skip
_AXES = ("timesteps", "bits", "rate_penalty")
_TABLE_WIDTH = 200  # where standard output is no terminal

N = TypeVar("N", int, float)


@click.command("sweep")
@click.argument("networks", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from-networks", is_flag=True, help="Train nothing: run the NETWORKS. Naming some says as much.")
@click.option("--timesteps", default="4,8,16", show_default=True, help="Values of T, separated by commas.")
@click.option("--bits", default="8,4", show_default=True, help="Bits of a weight: 1, 1.58 (ternary), 2 to 8.")
@click.option("--encoding", default="rate,graded", show_default=True, help="rate, graded or both.")
@click.option("--schedule", default="windowed", show_default=True, help="windowed, settling or both.")
@click.option("--rate-penalty", default="0", show_default=True, help="Weights of T x density in the loss.")
@data_options
@click.option("--samples", type=click.IntRange(min=1), help="How many held-out sentences to run. [default: all]")
@click.option("--coefficients", multiple=True, metavar="NAME|FILE", help="A price table of your own; repeatable.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Networks at a time.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default="sweep", show_default=True, help="Folder.")
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    networks: tuple[Path, ...],
    from_networks: bool,
    timesteps: str,
    bits: str,
    encoding: str,
    schedule: str,
    rate_penalty: str,
    samples: int | None,
    coefficients: tuple[str, ...],
    jobs: int,
    out: Path,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Score against T, bits, encoding, schedule and rate penalty, with its cost: the Pareto front.

    Trains and exports a network for every T, bits and rate penalty, or takes the NETWORKS you name, and runs each in
    every encoding and schedule. Writes sweep.json and sweep.html into the folder; run again, it goes on where it was
    interrupted.
    """
    data = {name: options.pop(name) for name in DATA_OPTIONS}
    ways = ways_of(_names(encoding), _names(schedule))
    if networks or from_networks:
        _check_nothing_to_train(context, networks)
    axes = {
        "timesteps": _numbers(timesteps, int, "--timesteps"),
        "bits": _numbers(bits, float, "--bits"),
        "rate_penalties": _numbers(rate_penalty, float, "--rate-penalty"),
    }
    for name in ("sweep.json", "sweep.html"):
        check_writable(out / name)
    check_writable(json_file, inputs=networks)
    if json_file is not None and json_file.resolve().parent == out.resolve() and json_file.stem == "sweep":
        raise UserError(f"--json {json_file} is a file that the sweep itself writes: name another")
    from spk2loihi.energy import load_coefficients
    from spk2loihi.reporting.sweep_page import write_sweep
    from spk2loihi.sweep.jobs import run_jobs
    from spk2loihi.sweep.sweep_report import build_sweep
    from spk2loihi.versions import versions

    sets = [load_coefficients(name) for name in coefficients]
    todo = (
        _plan_networks(networks, data, ways, samples, out)
        if networks
        else _plan_training(data, options, axes, ways, samples, out)
    )
    if not networks:
        made = sum(job.settings is None for job in todo)
        click.echo(f"{len(todo)} networks, {made} of them there already")
    records: list[dict[str, Any]] = []
    refused = []
    for i, outcome in enumerate(run_jobs(todo, jobs, click.echo), 1):
        for record in outcome.records:
            records.append({**record, "name": outcome.job.name})
            click.echo(f"[{i}/{len(todo)}] {outcome.job.name}: {_said(record)}")
        for name, reason in outcome.refused.items():
            refused.append({"name": name, "reason": reason})
            click.echo(f"[{i}/{len(todo)}] {name} is left out: {reason}", err=True)
    sweep = build_sweep(
        records,
        refused,
        sets,
        {
            "command": " ".join(["spk2loihi", *sys.argv[1:]]),
            "date": datetime.now(timezone.utc).date().isoformat(),
            "versions": versions(),
        },
    )
    write_sweep(out, sweep)
    _print(sweep)
    click.echo(f"{out / 'sweep.html'} and {out / 'sweep.json'}")
    if json_file is not None:
        write_json(json_file, sweep["points"])


command.params[-5:-5] = [p for p in train.command.params if p.name in TRAINING_OPTIONS]


def _plan_training(
    data: dict[str, Any],
    options: dict[str, Any],
    axes: dict[str, Any],
    ways: tuple[Way, ...],
    samples: int | None,
    out: Path,
) -> list[Any]:
    from spk2loihi.cli.common import training_task
    from spk2loihi.sweep.grid import grid
    from spk2loihi.sweep.plan import plan_training
    from spk2loihi.training.distillation import LossWeights
    from spk2loihi.training.settings import TrainSettings

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"a sweep is one process that starts its own, but {os.environ['WORLD_SIZE']} were launched: run it without "
            "accelerate launch, with --jobs"
        )
    spec = training_task({**data, "metric": options.pop("metric")})
    layers, lr = train.parse_layers(options.pop("layers")), options.pop("lr")
    losses = LossWeights(temperature=options.pop("temperature"))
    given = {name: value for name, value in options.items() if value is not None}
    base = TrainSettings(**given, layers=layers, learning_rate=lr, losses=losses)
    return plan_training(spec, base, grid(**axes), ways, samples, out, click.echo)


def _plan_networks(
    networks: tuple[Path, ...], data: dict[str, Any], ways: tuple[Way, ...], samples: int | None, out: Path
) -> list[Any]:
    from spk2loihi.sweep.plan import plan_networks

    given = any(value is not None for value in data.values())
    read = [read_network(network) for network in networks]
    specs = [held_out_task(network, data) if given else None for network in read]
    return plan_networks(networks, specs, ways, samples, out)


def _check_nothing_to_train(context: click.Context, networks: tuple[Path, ...]) -> None:
    if not networks:
        raise UserError("--from-networks needs networks, and 0 are named: add files such as a.net b.net")
    twice = next((n for n in networks if networks.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"network {twice} is named twice: name each once")
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name in (*_AXES, *TRAINING_OPTIONS):
            raise UserError(
                f"{parameter.opts[0]} is for training, but networks are named, which are not trained: leave it out, or "
                "name no networks"
            )


def _numbers(text: str, kind: Callable[[str], N], option: str) -> list[N]:
    try:
        numbers = [kind(part) for part in text.split(",")]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError
        return numbers
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{option} is {text!r}, but it is {what} separated by commas: e.g. {option} 4,8") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def _said(record: dict[str, Any]) -> str:
    from spk2loihi.data import formatted

    key = record["key"]
    return f"{key.get('schedule', key['encoding'])}, {formatted(record['score'], record['metric'])}"


def _steps(point: dict[str, Any]) -> str:
    """Those of the slowest sentence, and the mean where they vary."""
    mean = f", mean {point['mean_latency_steps']:,.0f}" if point["schedule"] == "settling" else ""
    return f"{point['latency_steps']:,}{mean}"


def _print(sweep: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from spk2loihi import formatting as fmt
    from spk2loihi.data import formatted

    console = Console(width=None if Console().is_terminal else _TABLE_WIDTH)
    table = Table()
    chip = next(name for name, s in sweep["coefficients"].items() if s["kind"] == "chip")
    left = ("encoding", "schedule", "preset", "front")
    for heading in (
        "T", "bits", "encoding", "schedule", "penalty", "preset", sweep["metric"], "SynOps", "T x density", "steps",
        f"energy, {chip}", "front",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    for p in sweep["points"]:
        table.add_row(
            str(p["timesteps"]), f"{p['bits']:g}", p["encoding"], p["schedule"], f"{p['rate_penalty']:g}",
            str(p["preset"]), formatted(p["score"], sweep["metric"]), fmt.count(p["synops_per_sample"]),
            fmt.significant(p["t_times_density"]), _steps(p),
            fmt.energy(p["energy_per_sample_nJ"][chip]),
            ("*" if p["on_front"] else "") + (" default" if p["is_default"] else ""),
            style="bold" if p["on_front"] else None,
        )  # fmt: skip
    console.print(table)
    for sentence in sweep["verdict"]:
        click.echo(sentence)
