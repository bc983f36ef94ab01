"""Options and output shared by the commands. Only click is imported here, so that help is instant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TypeVar

import click

from spk2loihi.choices import ARITHMETICS, BACKENDS, ENCODINGS, SCALES, SCHEDULES
from spk2loihi.cli.command import edited_config, is_quiet, json_stream
from spk2loihi.cli.option_types import PATH, STANDARD_OUTPUT

if TYPE_CHECKING:
    from spk2loihi.outputs import Claim, Output

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_MODEL = "model.pt"
DEFAULT_NETWORK = "model.net"

_RUN = "spk2loihi.run"
_TOLD_SECONDS = 0.1  # of compilation

_json_option = click.option(
    "--json",
    "json_file",
    type=PATH,
    help="Write the numbers to this JSON file; - is standard output, where nothing else goes then.",
)
_force_option = click.option("--force", is_flag=True, help="Replace files that spk2loihi has not written.")
network_argument = click.argument("network_file", type=PATH, default=DEFAULT_NETWORK)
schedule_option = click.option(
    "--schedule", type=click.Choice(SCHEDULES), help="When populations fire. [default: the file's]"
)
stagger_option = click.option(
    "--stagger",
    type=int,
    help="Settling schedule: steps between the starts of successive depths, 0 to T. [default: the file's]",
)
encoding_option = click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    help="How a count n travels: n spikes, or one message with payload n. [default: the file's]",
)
arithmetic_option = click.option(
    "--arithmetic",
    type=click.Choice(ARITHMETICS),
    help="Streamed schedule: round as Lava's CPU models do, or as Loihi 2 does. [default: lava]",
)
timesteps_option = click.option(
    "--timesteps", type=int, help="Length of a pipelined run; upper limit of a settling run."
)
layers_option = click.option("--num-layers", type=click.IntRange(min=1), help="Take only the first layers.")
backend_choice = click.Choice(BACKENDS)


def samples_option(default: str) -> Callable[[F], F]:
    """How many sentences; ``default`` says how many without the option."""
    return click.option(
        "--samples",
        type=click.IntRange(min=1),
        help=f"Number of held-out sentences, from the first. [default: {default}]",
    )


def output_options(command: F) -> F:
    """Of every command: all can write their numbers."""
    return _json_option(_force_option(command))


def run_options(command: F) -> F:
    """How a network runs. Without these options it runs as its file says."""
    for option in (arithmetic_option, stagger_option, timesteps_option, encoding_option, schedule_option):
        command = option(command)
    return command


_dt_option = click.option("--dt", type=float, help="NIR files: seconds a step. [default: 0.0001]")
_bits_option = click.option("--bits", type=float, help="NIR files: bits of a weight, 2 to 8. [default: 8]")
_scales_option = click.option(
    "--scales",
    type=click.Choice(SCALES),
    help="NIR files: one scale for the weights of a layer, or one for each channel, which rounds less. "
    "[default: layer]",
)
_exact_option = click.option(
    "--exact", is_flag=True, default=None, help="NIR files: refuse numbers that are not whole as they are."
)


def reading_options(command: F, bits: Callable[[F], F] = _bits_option) -> F:
    """How a NIR file becomes integers (`spk2loihi.netx.reading.Reading`). See `given`.

    Args:
        bits: the option, where a command says more of it.
    """
    for option in (_exact_option, _scales_option, bits, _dt_option):
        command = option(command)
    return command


def file_options(command: F) -> F:
    """How a netx or NIR file runs its input (`spk2loihi.simulators.file_input.FileOptions`). See `given`."""
    for option in reversed(
        (
            click.option(
                "--input-steps",
                "steps",
                type=click.IntRange(min=1),
                help="Time steps of --input: more are cut, fewer padded with zeros. [default: the input's]",
            ),
            layers_option,
            click.option("--message-bits", type=int, help="Bits of the input's payloads; 0 for spikes. [default: 0]"),
            click.option(
                "--reset-interval", type=int, help="Steps between resets of CUBA and LOIHI neurons. [default: never]"
            ),
            click.option("--reset-offset", type=int, help="Phase of the resets. [default: 0]"),
            click.option("--spike-exp", type=int, help="Fraction bits of SDNN messages. [default: 6]"),
            click.option(
                "--transform",
                is_flag=True,
                default=None,
                help="Input holds real values: apply the input layer's weight and bias.",
            ),
            reading_options,
        )
    ):
        command = option(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were typed; the library has the same defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}


def data_options(command: F) -> F:
    """Where sentences come from. Without these: the embedded reviews, or the task that the network file remembers."""
    for option in reversed(
        (
            click.option("--task", help="GLUE task, for example SST-2; needs --data-dir."),
            click.option("--data-dir", type=PATH, help="Folder with the task's files in GLUE's layout."),
            click.option("--train-file", type=PATH, help="Training data: a CSV, TSV, JSONL or Parquet file."),
            click.option("--dev-file", type=PATH, help="Held-out data: a CSV, TSV, JSONL or Parquet file."),
            click.option("--dataset", help="Hugging Face dataset, ID or ID:CONFIGURATION."),
            click.option("--text-column", help="Column with the text. [default: text]"),
            click.option("--text-pair-column", help="Column with the second text of a pair."),
            click.option("--label-column", help="Column with the label. [default: label]"),
        )
    ):
        command = option(command)
    return command


def cluster_options(command: F) -> F:
    """Many processes (`spk2loihi.cluster`). Without these options there is one."""
    for option in (
        click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers share the work."),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="Number of Dask workers on this machine that share the work. [default: none]",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def claimed(
    json_file: Path | None,
    *inputs: Path | None,
    options: Mapping[str, Any] | None = None,
    outputs: Sequence[Output] = (),
    results: Sequence[Path] = (),
    run: Path | None = None,
    without: tuple[str, ...] = (),
    force: bool = False,
    folder: Path | None = None,
) -> Iterator[Claim]:
    """Refuse an unusable output path before the work starts, and lock it (`spk2loihi.outputs.claim`).

    ``json_file``, ``outputs`` and ``results`` appear together, when `save_numbers` is called; or none of them does.

    Args:
        inputs, options: files that are read, and options that may name more.
        outputs: beside ``json_file``.
        results: outputs that a function of the library locks.
        run: where the options go that repeat this run (`config_file.run_file`); None: nowhere.
        without: parameters that do not count in this run.
    """
    from spk2loihi.files import together
    from spk2loihi.outputs import Output, claim, named_inputs, numbers_output

    context = click.get_current_context()
    made = [*outputs, *([] if json_file in (None, STANDARD_OUTPUT) else [numbers_output(json_file)])]
    reads = [*(path for path in inputs if path is not None), *named_inputs(options or {})]
    if run is not None:
        made.append(Output(run, "run file", "run"))
    reads += edited_config()
    with (
        claim(made, reads, force=force, folder=folder) as claim_,
        together([*results, *(output.path for output in made)]),
    ):
        context.meta[_RUN] = None if run is None else (run, without)
        yield claim_


def save_numbers(json_file: Path | None, numbers: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write ``json_file`` if that is asked for; it and the results that belong to it get their names.

    Beside them the options of this run, if `claimed` was told where.
    """
    from spk2loihi.cli.config_file import run_record
    from spk2loihi.files import json_text, rename_waiting, text_writer, write_atomically, write_json

    context = click.get_current_context()
    if context.meta.get(_RUN) is not None:
        run, without = context.meta[_RUN]
        write_atomically(run, text_writer(run_record(context, run, without)))
    if json_file == STANDARD_OUTPUT:
        print(json_text(numbers), end="", file=json_stream(), flush=True)
    elif json_file is not None:
        write_json(json_file, numbers, "json_file")
    rename_waiting()


def command_line() -> str:
    """The command for provenance, its `--config` written out, without what is the default anyway."""
    import shlex

    from spk2loihi.cli.config_file import given_options
    from spk2loihi.formatting import printable

    context = click.get_current_context()
    return printable(shlex.join(["spk2loihi", str(context.command.name), *given_options(context)]))


def say(line: object, err: bool = False) -> None:
    """Print a line that may hold text from outside. A terminal gets it folded between words, a pipe as it is."""
    from spk2loihi.formatting import folded, printable

    stream, text = sys.stderr if err else sys.stdout, printable(line)
    # not click.echo, which would write through a progress bar
    print(folded(text, get_terminal_size().columns) if stream.isatty() else text, file=stream, flush=True)


def tell(line: object) -> None:
    """`say` of work that goes on, and of what to do next: nothing with `--quiet`."""
    if not is_quiet():
        say(line)


def seconds(wall: float, compiling: float) -> str:
    """How long work took, and how much of that was compilation, which the next run may not need."""
    return f"{wall:.1f} s" if compiling < _TOLD_SECONDS else f"{wall:.1f} s, {compiling:.1f} of them compiling"


def say_reading(reading: Mapping[str, Any] | None) -> None:
    """How a NIR file became integers (`spk2loihi.netx.nir_reader.NirConversion.summary`); nothing of a netx file."""
    if reading is None:
        return
    worst = reading["largest_error"]
    if not reading["exact"] and worst is not None:
        say(
            f"quantised to {reading['bits']} bits, one scale a {reading['scales']}; the worst weights, of "
            f"{worst['node']}, are {worst['rms']:.2%} off in root mean square (spk2loihi convert shows all)",
            err=True,
        )
    for note in reading["notes"]:
        say(f"note: {note}", err=True)


def say_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """What a chip would not take (`spk2loihi.fit.preflight`), a line each."""
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    say(f"preflight: {count}" if findings else "preflight: nothing that a Loihi 2 would not take")
    for finding in findings:
        say(f"  {finding['layer']}, {finding['limit']} ({finding['certainty']}): {finding['text']}")
