"""`spk2loihi sweep`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from spk2loihi import api
from spk2loihi.choices import ENCODINGS
from spk2loihi.cli import train
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import (
    claimed,
    cluster_options,
    command_line,
    data_options,
    output_options,
    save_numbers,
    say,
    tell,
)
from spk2loihi.cli.interrupts import to_go_on
from spk2loihi.cli.option_types import PATH, Several
from spk2loihi.cli.tables import print_table
from spk2loihi.errors import UserError

#: Options of `train` that a sweep passes on. T, bits and rate penalty are its own.
TRAINING_OPTIONS = (
    "teacher", "preset", "layers", "max_tokens", "temperature", "metric", "epochs", "steps", "teacher_epochs",
    "teacher_learning_rate", "batch_size", "accumulate", "learning_rate", "seed", "precision", "evaluate_every",
    "early_stop", "validation_share", "average", "checkpoint_every",
)  # fmt: skip
_AXES = ("timesteps", "bits", "rate_penalty", "seeds")


@click.command("sweep", cls=Command)
@click.argument("networks", nargs=-1, type=PATH)
@click.option("--from-networks", is_flag=True, help="Train nothing and run NETWORKS; implied if any are named.")
@click.option("--timesteps", type=Several(int), default="4,8,16", show_default=True, help="Values of T.")
@click.option(
    "--bits",
    type=Several(float),
    default="8,4",
    show_default=True,
    help="Bits of a weight: among 1, 1.58 (ternary), 2 to 8.",
)
@click.option(
    "--encoding",
    type=Several(click.Choice(ENCODINGS)),
    default="rate,graded",
    show_default=True,
    help="How a count n travels: n spikes, one message with payload n, or one after the other.",
)
@click.option(
    "--schedule",
    type=Several(click.Choice(["windowed", "settling"])),
    default="windowed",
    show_default=True,
    help="When populations fire.",
)
@click.option(
    "--rate-penalty",
    type=Several(float),
    default="0",
    show_default=True,
    help="Weights of T x density in the loss; larger means fewer SynOps.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train each with as many seeds, from --seed on, and one teacher: a point is their mean.",
)
@data_options
@click.option(
    "--samples", type=click.IntRange(min=1), help="Number of held-out sentences to run, from the first. [default: all]"
)
@click.option("--coefficients", multiple=True, metavar="NAME|FILE", help="Your own price table; repeatable.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of networks at a time, each in its own process.",
)
@cluster_options
@click.option("-o", "--out", type=PATH, default="sweep", show_default=True, help="Folder to write into.")
@output_options
@click.pass_context
def command(
    context: click.Context,
    /,
    networks: tuple[Path, ...],
    from_networks: bool,
    timesteps: tuple[int, ...],
    bits: tuple[float, ...],
    encoding: tuple[str, ...],
    schedule: tuple[str, ...],
    rate_penalty: tuple[float, ...],
    seeds: int,
    metric: str | None,
    layers: str | None,
    out: Path,
    json_file: Path | None,
    force: bool,
    **options: Any,
) -> None:
    """Measure score and cost over T, bits, encoding, schedule and rate penalty, and find the Pareto front.

    Trains and exports a network for every T, number of bits and rate penalty, or takes the NETWORKS you name. Runs each
    network in every encoding and schedule. Writes sweep.json and sweep.html into the folder. The same command continues
    an interrupted sweep.
    """
    if networks or from_networks:
        _check_nothing_to_train(context, networks)
    elif int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"a sweep is one process that starts its own, but {os.environ['WORLD_SIZE']} were launched: run it without "
            "accelerate launch, with `jobs`"
        )
    results = [out / "sweep.html", out / "sweep.json"]
    without = (*_AXES, *TRAINING_OPTIONS) if networks else ()
    with claimed(
        json_file, *networks, options=options, results=results, run=out / "run.yaml", without=without, force=force
    ):
        to_go_on(lambda: "the same command goes on where it was")
        from spk2loihi.training.layer_map import parse_layers

        training = {name: options.pop(name) for name in TRAINING_OPTIONS if name not in ("metric", "layers")}
        report = api.sweep(
            networks,
            timesteps=timesteps,
            bits=bits,
            rate_penalties=rate_penalty,
            seeds=seeds,
            encodings=encoding,
            schedules=schedule,
            out=out,
            force=force,
            metric=metric,
            training={**training, "layers": parse_layers(layers)},
            report=tell,
            warn=lambda line: say(line, err=True),
            command=command_line(),
            **options,
        )
        save_numbers(json_file, report.points)
        _print(report.to_dict())
        say(" and ".join(map(str, results)))


_at = next(i for i, p in enumerate(command.params) if p.name == "samples")
command.params[_at:_at] = [p for p in train.command.params if p.name in TRAINING_OPTIONS]


def _check_nothing_to_train(context: click.Context, networks: tuple[Path, ...]) -> None:
    if not networks:
        raise UserError("`from_networks` needs networks, and 0 are named: add files such as a.net b.net")
    twice = next((n for n in networks if networks.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"network {twice} is named twice: name each once")
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
        if given and name in (*_AXES, *TRAINING_OPTIONS):
            raise UserError(
                f"{parameter.opts[0]} is for training, but networks are named, which are not trained: leave it out, or "
                "name no networks"
            )


def _steps(point: dict[str, Any]) -> str:
    """Steps of the slowest sentence, and the mean if they vary."""
    mean = f", mean {point['mean_latency_steps']:,.0f}" if point["schedule"] == "settling" else ""
    return f"{point['latency_steps']:,}{mean}"


def _print(sweep: dict[str, Any]) -> None:
    from spk2loihi import formatting as fmt
    from spk2loihi.sweep.sweep_verdict import score_of

    chip = next(name for name, s in sweep["coefficients"].items() if s["kind"] == "chip")
    headings = (
        "T", "bits", "encoding", "schedule", "penalty", "preset", sweep["metric"], "SynOps", "T x density", "steps",
        fmt.printable(f"energy, {chip}"), "front",
    )  # fmt: skip
    rows = [
        (
            str(p["timesteps"]), f"{p['bits']:g}", p["encoding"], p["schedule"], f"{p['rate_penalty']:g}",
            p["preset"], score_of(p, sweep["metric"]), fmt.count(p["synops_per_sample"]),
            fmt.significant(p["t_times_density"]), _steps(p), fmt.energy(p["energy_per_sample_nJ"][chip]),
            ("*" if p["on_front"] else "") + (" default" if p["is_default"] else ""),
        )
        for p in sweep["points"]
    ]  # fmt: skip
    left = ("encoding", "schedule", "preset", "front")
    print_table(headings, rows, left, bold=[p["on_front"] for p in sweep["points"]])
    for sentence in sweep["verdict"]:
        say(sentence)
