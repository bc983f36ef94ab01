"""`spk2loihi train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.common import (
    DATA_OPTIONS,
    DEFAULT_MODEL,
    check_writable,
    data_options,
    json_option,
    save_numbers,
    training_task,
)
from spk2loihi.data import METRICS, formatted
from spk2loihi.errors import UserError
from spk2loihi.training.choices import PRECISIONS, STAGES


@click.command("train")
@data_options
@click.option("--teacher", help="Directory or id of a BERT. [default: the packaged MiniLM, fine-tuned first]")
@click.option("--student", type=click.Path(path_type=Path), help="A model.pt to go on from. [default: the teacher]")
@click.option("--preset", help="Architecture of the student. [default: spikingbert, or --student's]")
@click.option(
    "--layers",
    help="Teacher layers to start and learn from: 3 (the first three), 0,2,5, uniform:3 or last:3. [default: all]",
)
@click.option("--hidden", type=int, help="Width; the student starts from the teacher, so it must be the teacher's.")
@click.option("--timesteps", type=int, help="T, steps of a window. [default: 16, or --student's]")
@click.option("--bits", type=float, help="Bits of a weight: 1, 1.58 (ternary), 2 to 8. [default: 8, or --student's]")
@click.option("--max-tokens", type=int, help="Longest sentence, in tokens. [default: 64, or --student's]")
@click.option("--leak", type=float, help="Share of a membrane lost each step; torch only. [default: 0, or --student's]")
@click.option(
    "--feedback",
    type=float,
    help="Norm, below 1, of the value neurons' feedback; torch only. [default: 0, or --student's]",
)
@click.option("--solver", help="Of the fixed point of feedback. [default: anderson, or --student's]")
@click.option(
    "--stage",
    "--stages",
    type=click.Choice(STAGES),
    default="joint",
    show_default=True,
    help="What is distilled: everything at once, one stage of the published three, or all three in order.",
)
@click.option("--corpus", type=click.Path(path_type=Path), help="Raw text of the general stage, a paragraph a line.")
@click.option("--hard-labels", is_flag=True, help="The prediction stage learns the labels, not the teacher's outputs.")
@click.option("--temperature", type=float, default=2.0, show_default=True, help="That softens predictions.")
@click.option(
    "--rate-penalty",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of T x density in the loss: fewer SynOps.",
)
@click.option("--metric", type=click.Choice(METRICS), help="Of your own data; a correlation makes it a regression.")
@click.option("--epochs", type=click.IntRange(min=1), default=1, show_default=True, help="Of each stage.")
@click.option("--steps", type=click.IntRange(min=1), help="Of each stage, in place of whole epochs.")
@click.option("--teacher-epochs", type=click.IntRange(min=1), default=1, show_default=True, help="Of fine-tuning.")
@click.option(
    "--teacher-lr",
    "teacher_learning_rate",
    type=float,
    default=1e-4,
    show_default=True,
    help="Learning rate of fine-tuning.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Of all processes.")
@click.option("--lr", type=float, default=5e-5, show_default=True, help="Learning rate of the student's weights.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="no", show_default=True, help="Mixed precision of training."
)
@click.option("--evaluate-every", type=click.IntRange(min=1), help="Steps. [default: at the end of an epoch only]")
@click.option("--early-stop", type=click.IntRange(min=1), help="Evaluations without a better score. [default: never]")
@click.option(
    "--checkpoint-every", default="10m", show_default=True, help="Steps (500), seconds (90s) or minutes, for --resume."
)
@click.option("--resume", is_flag=True, help="Continue an interrupted run from its last checkpoint.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=DEFAULT_MODEL, show_default=True)
@json_option
def command(
    out: Path,
    json_file: Path | None,
    layers: str | None,
    lr: float,
    metric: str | None,
    rate_penalty: float,
    resume: bool,
    temperature: float,
    **options: Any,
) -> None:
    """Train a spiking student from a BERT teacher; writes model.pt and metrics.json."""
    data = {name: options.pop(name) for name in DATA_OPTIONS} | {"metric": metric}
    run(
        data, out, json_file, resume=resume, layers=parse_layers(layers), learning_rate=lr, temperature=temperature,
        rate_penalty=rate_penalty, **options,
    )  # fmt: skip


def run(
    data: dict[str, Any],
    out: Path,
    json_file: Path | None,
    *,
    resume: bool = False,
    temperature: float = 2.0,
    rate_penalty: float = 0.0,
    student: Path | None = None,
    **settings: Any,
) -> None:
    """The command without its parser; settings that are None are the student's, or the defaults."""
    check_writable(out, json_file, inputs=[] if student is None else [student])
    spec = training_task(data)
    from spk2loihi.training.checkpoint import load_checkpoint
    from spk2loihi.training.distillation import LossWeights
    from spk2loihi.training.processes import is_main_process
    from spk2loihi.training.train import TrainSettings, train

    given = {name: value for name, value in settings.items() if value is not None}
    if student is not None:
        config = load_checkpoint(student).model.config
        same = ("preset", "timesteps", "max_tokens", "leak", "feedback", "solver")
        shape = {name: getattr(config, name) for name in same} | {"bits": config.weight_bits}
        given = {**shape, **given, "student": str(student)}
    if "corpus" in given:
        given["corpus"] = str(given["corpus"])
    wanted = TrainSettings(**given, losses=LossWeights(temperature=temperature, rate=rate_penalty))
    metrics = train(spec, wanted, out, resume=resume, report=click.echo)
    if not is_main_process():
        return
    best, metric = metrics["best"], metrics["metric"]
    scores = ", ".join(f"{name} {formatted(best[name], name)}" for name in best if name not in ("step", "epoch"))
    teacher = f", teacher {formatted(metrics['teacher_score'], metric)}" if "teacher_score" in metrics else ""
    click.echo(f"{out}: {scores} (epoch {best['epoch']}){teacher}, {metrics['wall_s']:.0f} s")
    save_numbers(json_file, metrics)


def parse_layers(text: str | None) -> str | list[int] | None:
    """ "3" means the first three layers, "0,2,5" those three; words are left to `layer_map`."""
    if text is None or text[:1].isalpha():
        return text
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--layers {text!r} is not a number a comma-separated list of teacher layers or uniform:M, "
            "last:M: e.g. 0,2,5 or uniform:3"
        ) from None
    return list(range(numbers[0])) if len(numbers) == 1 else numbers
