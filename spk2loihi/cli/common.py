"""Options and output shared by the commands."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from spk2loihi.data import Examples, TaskSpec, load_held_out, task_spec
from spk2loihi.errors import UserError
from spk2loihi.files import write_json
from spk2loihi.network import Network

DATA_OPTIONS = (
    "task", "data_dir", "train_file", "dev_file", "dataset", "text_column", "text_pair_column", "label_column",
)  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

SCHEDULES = ("windowed", "pipelined", "settling")
DEFAULT_MODEL = "model.pt"
DEFAULT_NETWORK = "model.net"

json_option = click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the numbers here.")
samples_option = click.option(
    "--samples", type=click.IntRange(min=1), help="How many held-out sentences. [default: all; 8 where Lava runs]"
)
network_argument = click.argument("network_file", type=click.Path(path_type=Path), default=DEFAULT_NETWORK)
schedule_option = click.option(
    "--schedule", type=click.Choice(SCHEDULES), help="When gates open. [default: the file's]"
)
stagger_option = click.option(
    "--stagger", type=int, help="Settling: steps between the starts of two stages, 0 to T. [default: the file's]"
)
encoding_option = click.option(
    "--encoding", type=click.Choice(["rate", "graded"]), help="n spikes, or one message n. [default: the file's]"
)
timesteps_option = click.option("--timesteps", type=int, help="Steps of a pipelined run; most steps of a settling one.")


def data_options(command: F) -> F:
    """Where sentences come from; none given: the embedded reviews, or the task a network file remembers."""
    for option in reversed(
        (
            click.option("--task", help="GLUE task, e.g. SST-2 (with --data-dir)."),
            click.option("--data-dir", type=click.Path(path_type=Path), help="Folder in GLUE's layout."),
            click.option("--train-file", type=click.Path(path_type=Path), help="CSV, TSV or JSONL."),
            click.option("--dev-file", type=click.Path(path_type=Path), help="CSV, TSV or JSONL, held out."),
            click.option("--dataset", help="Hugging Face data set: ID or ID:CONFIGURATION."),
            click.option("--text-column", help="Column of the text. [default: text]"),
            click.option("--text-pair-column", help="Column of a second text."),
            click.option("--label-column", help="Column of the label. [default: label]"),
        )
    ):
        command = option(command)
    return command


def training_task(options: dict[str, Any]) -> TaskSpec:
    """The task the data options name, or the embedded reviews."""
    return task_spec(**options)


def held_out_task(network: Network, options: dict[str, Any]) -> TaskSpec:
    """The task of the data options, with the network's labels, or the one the network file remembers."""
    if any(value is not None for value in options.values()):
        own = any(options.get(place) is not None for place in ("train_file", "dev_file", "dataset"))
        return task_spec(**options, labels=network.task["labels"], metric=network.task["metric"] if own else None)
    return TaskSpec.from_dict(network.task)


def held_out(network: Network, options: dict[str, Any], samples: int | None) -> tuple[TaskSpec, Examples]:
    """Held-out sentences: of the data options, or of the task the network file remembers."""
    spec = held_out_task(network, options)
    examples = load_held_out(spec)
    return spec, examples if samples is None else examples.take(samples)


def save_numbers(json_file: Path | None, numbers: dict[str, Any]) -> None:
    if json_file is not None:
        write_json(json_file, numbers)


def check_writable(*paths: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output place before hours of work, not after."""
    for path in paths:
        if path is not None:
            try:
                _check_writable(path)
            except OSError as error:
                raise UserError(
                    f"{path} cannot be written ({error.strerror or error}): choose another place with -o"
                ) from None
            if any(same.exists() and path.exists() and path.samefile(same) for same in inputs):
                raise UserError(f"{path} is the file to read, so it cannot be written: choose another place with -o")


def _check_writable(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder or a device, not a file: name a file with -o")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{path} cannot be written, because {parent} is not a folder: choose another place with -o")
    made = Path(tempfile.mkdtemp(dir=parent, prefix=".spk2loihi-"))  # permissions do not tell for every file system
    made.rmdir()
