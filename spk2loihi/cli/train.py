"""`spk2loihi train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.common import (
    DEFAULT_MODEL,
    check_writable,
    data_options,
    json_option,
    percent,
    save_numbers,
    training_task,
)
from spk2loihi.errors import UserError


@click.command("train")
@data_options
@click.option("--teacher", help="Directory or id of a BERT. [default: the packaged MiniLM, fine-tuned first]")
@click.option("--preset", default="spikingbert", show_default=True, help="Architecture of the student.")
@click.option("--layers", help="Teacher layers to start from, e.g. 3 (the first three) or 0,2,5. [default: all]")
@click.option("--hidden", type=int, help="Width; the student starts from the teacher, so it must be the teacher's.")
@click.option("--timesteps", type=int, default=16, show_default=True, help="T, steps of a window.")
@click.option("--bits", type=float, default=8, show_default=True, help="Bits of a weight: 1, 1.58 (ternary), 2 to 8.")
@click.option("--max-tokens", type=int, default=64, show_default=True, help="Longest sentence, in tokens.")
@click.option("--epochs", type=click.IntRange(min=1), default=1, show_default=True, help="Of the student.")
@click.option("--teacher-epochs", type=click.IntRange(min=1), default=1, show_default=True, help="Of fine-tuning.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--lr", type=float, default=5e-5, show_default=True, help="Learning rate of the student's weights.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Continue an interrupted run from its last finished epoch.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=DEFAULT_MODEL, show_default=True)
@json_option
def command(
    teacher: str | None,
    preset: str,
    layers: str | None,
    hidden: int | None,
    timesteps: int,
    bits: float,
    max_tokens: int,
    epochs: int,
    teacher_epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    resume: bool,
    out: Path,
    json_file: Path | None,
    **data: Any,
) -> None:
    """Train a spiking student from a BERT teacher; writes model.pt and metrics.json."""
    run(
        data, out, json_file, resume=resume, teacher=teacher, preset=preset, layers=_layers(layers), hidden=hidden,
        timesteps=timesteps, bits=bits, max_tokens=max_tokens, epochs=epochs, teacher_epochs=teacher_epochs,
        batch_size=batch_size, learning_rate=lr, seed=seed,
    )  # fmt: skip


def run(data: dict[str, Any], out: Path, json_file: Path | None, *, resume: bool = False, **settings: Any) -> None:
    """The command without its parser."""
    check_writable(out, json_file)
    spec = training_task(data)
    from spk2loihi.training.train import TrainSettings, train

    metrics = train(spec, TrainSettings(**settings), out, resume=resume, report=click.echo)
    best = max(metrics["epochs"], key=lambda record: record["score"])["epoch"]
    click.echo(
        f"{out}: {metrics['metric']} {percent(metrics['score'])} (epoch {best}), teacher "
        f"{percent(metrics['teacher_score'])}, {metrics['wall_s']:.0f} s"
    )
    save_numbers(json_file, metrics)


def _layers(text: str | None) -> list[int] | None:
    """ "3" means the first three layers, "0,2,5" those three."""
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--layers {text!r} is not a number or a comma-separated list of teacher layers: e.g. 0,2,5"
        ) from None
    return list(range(numbers[0])) if len(numbers) == 1 else numbers
