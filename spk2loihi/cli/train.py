"""`spk2loihi train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from spk2loihi import api
from spk2loihi.choices import GRADIENTS, METRICS, PRECISIONS, STAGES, TRACKERS
from spk2loihi.cli.command import Command
from spk2loihi.cli.common import DEFAULT_MODEL, claimed, data_options, output_options, save_numbers, say, tell
from spk2loihi.cli.config_file import run_file
from spk2loihi.cli.interrupts import to_go_on
from spk2loihi.cli.option_types import PATH

_SAVING_SECONDS = 15.0  # of a step and a checkpoint, where one process trains


@click.command("train", cls=Command)
@data_options
@click.option(
    "--teacher",
    help="Directory or id of a Hugging Face encoder (BERT, DistilBERT, RoBERTa, ...). "
    "[default: the packaged MiniLM, fine-tuned first]",
)
@click.option(
    "--student",
    type=PATH,
    help="A model.pt, a folder of save_pretrained or a hub id to start from; what it was made with (preset, T, bits, "
    "...) stays unless given. [default: none]",
)
@click.option(
    "--preset",
    help="Architecture of the student: spikingbert, neurocore, or stock, for a board. [default: spikingbert]",
)
@click.option(
    "--layers",
    help="Teacher layers to start and learn from: 3 (the first three), 0,2,5, uniform:3 or last:3. [default: all]",
)
@click.option(
    "--hidden",
    type=int,
    help="Width, at most the teacher's: a narrower student starts from principal components. [default: the teacher's]",
)
@click.option("--heads", type=int, help="Attention heads of a layer. [default: of the teacher's width]")
@click.option(
    "--intermediate",
    type=int,
    help="Neurons of a feed-forward part. [default: in proportion to the width]",
)
@click.option(
    "--timesteps", type=int, help="T, steps of a window; of stock the largest payload. [default: 16; stock: 127]"
)
@click.option("--bits", type=float, help="Bits of a weight: 1, 1.58 (ternary), 2 to 8. [default: 8]")
@click.option("--max-tokens", type=int, help="Longest sentence in tokens; longer ones are cut. [default: 64]")
@click.option(
    "--leak",
    type=float,
    help="Share of the membrane lost each step, below 1; runs pipelined only. [default: 0]",
)
@click.option(
    "--feedback",
    type=float,
    help="Bound on the norm of the value neurons' feedback, below 1; runs pipelined only. [default: 0]",
)
@click.option("--solver", help="Fixed-point solver of feedback: anderson or broyden. [default: anderson]")
@click.option(
    "--gradient",
    type=click.Choice(GRADIENTS),
    help="What finds the gradient of feedback's fixed point: its solver, or spikes, as on a chip. [default: solver]",
)
@click.option("--gradient-steps", type=int, help="Time steps of --gradient spide. [default: 64]")
@click.option(
    "--stage",
    type=click.Choice(STAGES),
    default="joint",
    show_default=True,
    help="Training stage: everything at once (joint), one of the three published stages, or all three in order.",
)
@click.option("--corpus", type=PATH, help="Raw text for the general stage, one sentence or paragraph per line.")
@click.option(
    "--hard-labels",
    is_flag=True,
    help="In the prediction stage, learn the labels instead of the teacher's predictions.",
)
@click.option(
    "--temperature", type=float, default=2.0, show_default=True, help="Temperature of the distilled predictions."
)
@click.option(
    "--rate-penalty",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of T x density in the loss; larger means fewer SynOps.",
)
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="Metric for your own data; also says what is asked: a correlation a number, micro_f1 and macro_f1 several "
    "labels, entity_f1 a tag for each word. [default: accuracy]",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Epochs of each training stage. [default: 1 from 60,000 sentences on, up to 20 for fewer]",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Optimiser steps of each training stage, instead of whole epochs."
)
@click.option(
    "--teacher-epochs",
    type=click.IntRange(min=1),
    help="Epochs of the teacher's fine-tuning. [default: as --epochs]",
)
@click.option(
    "--teacher-lr",
    "teacher_learning_rate",
    type=float,
    default=1e-4,
    show_default=True,
    help="Learning rate of the teacher's fine-tuning.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Sentences per step, over all processes.",
)
@click.option(
    "--accumulate",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Compute a batch in this many parts, which takes less memory.",
)
@click.option(
    "--lr", "learning_rate", type=float, default=5e-5, show_default=True, help="Learning rate of the student's weights."
)
@click.option(
    "--average",
    type=float,
    help="Keep an exponential moving average of the student's weights, of this decay (0.99), in their place. "
    "[default: none]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Train with as many seeds, from --seed on, and one teacher: mean, standard deviation and every run.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="Mixed precision in training. auto: bf16 on a CPU where every spike stays what it is.",
)
@click.option(
    "--validation-share",
    type=float,
    help="Share of the training sentences set aside to choose the evaluation that is kept; 0: held-out data choose. "
    "[default: one in 20, 500 to 2,000 sentences]",
)
@click.option("--evaluate-every", type=click.IntRange(min=1), help="Steps between evaluations. [default: an epoch]")
@click.option(
    "--early-stop",
    type=click.IntRange(min=1),
    help="Stop after this many evaluations without a better score. [default: never]",
)
@click.option(
    "--checkpoint-every",
    default="10m",
    show_default=True,
    help="Interval between checkpoints for --resume: steps (500), seconds (90s) or minutes (10m).",
)
@click.option(
    "--log-with",
    type=click.Choice(TRACKERS),
    help="Send losses, scores, T x density and thresholds to this tracker; files go to model.pt.logs. [default: none]",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted run from its last checkpoint.")
@click.option("-o", "--out", type=PATH, default=DEFAULT_MODEL, show_default=True, help="Model to write.")
@output_options
def command(
    out: Path, json_file: Path | None, force: bool, student: Path | None, layers: str | None, **options: Any
) -> None:
    """Train a spiking student from a teacher. Writes model.pt and metrics.json.

    The evaluation that is kept is chosen by a validation part of the training sentences; held-out sentences only score.
    """
    results = [out, out.with_name("metrics.json")]
    with claimed(json_file, student, options=options, results=results, run=run_file(out), force=force):
        to_go_on(
            lambda: "the same options and --resume go on from the last checkpoint" if _begun(out) else None,
            _SAVING_SECONDS if int(os.environ.get("WORLD_SIZE", "1")) == 1 else 0.0,
        )
        from spk2loihi.data import formatted
        from spk2loihi.training.feedback_report import feedback_lines
        from spk2loihi.training.layer_map import parse_layers
        from spk2loihi.training.processes import is_main_process

        result = api.train(out=out, student=student, layers=parse_layers(layers), report=tell, force=force, **options)
        if not is_main_process():
            return
        metrics = result.metrics
        save_numbers(json_file, metrics)
        for line in _seed_lines(metrics):
            say(line)
        best, metric, scores = metrics["best"], metrics["metric"], metrics["scores"]
        found = "".join(f"held-out {name} {formatted(value, name)}, " for name, value in (scores or {}).items())
        teacher = f", teacher {formatted(metrics['teacher_score'], metric)}" if "teacher_score" in metrics else ""
        chosen = f"step {best['step']}, chosen by the {metrics['chosen_on']} {metric} {formatted(best[metric], metric)}"
        say(f"{out}: {found}{chosen}{teacher}, {metrics['wall_s']:.0f} s")
        for line in feedback_lines(metrics.get("feedback", [])):
            say(line)


def _begun(out: Path) -> bool:
    """Whether there is something to go on from."""
    state = f".{out.stem}.resume"
    return out.with_name(state).is_file() or any(out.parent.glob(f"{out.stem}-seed*/{state}"))


def _seed_lines(metrics: dict[str, Any]) -> list[str]:
    """Every run of several seeds, then mean and spread; nothing of a single run."""
    if "seeds" not in metrics:
        return []
    from spk2loihi.data import formatted

    found, metric = metrics["seeds"], metrics["metric"]
    where = metrics["chosen_on"] if metrics["scores"] is None else "held-out"
    lines = [f"seed {run['seed']}: {where} {metric} {formatted(run['score'], metric)}" for run in found["runs"]]
    mean = f"mean of {len(found['runs'])} seeds: {where} {metric} {formatted(found['mean'], metric)}"
    lines.append(f"{mean}, standard deviation {formatted(found['std'], metric)}")
    if "retained" in found:
        share, error = (formatted(found["retained"][name], "accuracy") for name in ("mean", "standard_error"))
        lines.append(f"of the teacher's {formatted(metrics['teacher_score'], metric)}: {share}, standard error {error}")
    if "sampling_error" in found:
        sentences = metrics["manifest"]["data"]["held_out"]["examples"]
        error = formatted(found["sampling_error"], metric)
        lines.append(f"{sentences} held-out sentences alone give each score a standard error of {error}")
    return [*lines, f"seed {found['chosen']} has the best {metrics['chosen_on']} {metric}, and is the model kept:"]
