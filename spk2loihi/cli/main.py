"""`spk2loihi`: the command group, and how errors are shown."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from spk2loihi.cli import interrupts
from spk2loihi.cli.common import say
from spk2loihi.errors import UserError

#: Command -> module under spk2loihi.cli, loaded only when the command runs, so that --help is instant.
_COMMANDS = {
    "train": "train",
    "export": "export",
    "simulate": "simulate",
    "run": "run",
    "convert": "convert",
    "verify": "verify",
    "energy": "energy",
    "inspect": "inspect",
    "fit": "fit",
    "sweep": "sweep",
    "doctor": "doctor",
    "demo": "demo",
}
_HELP = {
    "train": "Train a spiking student from a teacher.",
    "export": "Fold a trained student into an integer network file.",
    "simulate": "Run a network over held-out sentences, or over --text.",
    "run": "Run arrays through any netx or NIR network, as stock Lava computes it.",
    "convert": "Convert a NIR file into a quantised netx file, or a netx file into NIR.",
    "verify": "Compare two backends, spike for spike.",
    "energy": "Count operations, estimate energy and compare it with ANNs.",
    "inspect": "Show the stages of a network and the scale of their integers.",
    "fit": "Check whether a network fits a Loihi 2 board, and what would make it fit.",
    "sweep": "Train many networks, or take existing ones, and find the Pareto front of score and cost.",
    "doctor": "Show what is installed and which backends work.",
    "demo": "Run the whole chain and write into ./spk2loihi-demo.",
}


class _LazyGroup(click.Group):
    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        with _printable_errors():
            return super().make_context(info_name, args, *more, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _printable_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"spk2loihi.cli.{_COMMANDS[cmd_name]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spk2loihi")
def cli() -> None:
    """Train a spiking BERT student, export it to netx HDF5, run it spike for spike, and estimate what it would cost."""


@contextmanager
def _printable_errors() -> Iterator[None]:
    """What click says of wrong arguments repeats them, control characters and all."""
    from spk2loihi.formatting import printable

    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        raise


def with_options(sentence: str, arguments: Sequence[str] = ()) -> str:
    """An error of the library with option names in place of parameter names: `max_tokens` becomes --max-tokens.

    Args:
        arguments: with the command that it is of.
    """
    options: dict[str, str] = {}
    for name in sorted(_COMMANDS, key=lambda name: name not in arguments):
        command: click.Command = importlib.import_module(f"spk2loihi.cli.{_COMMANDS[name]}").command
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                options.setdefault(str(parameter.name), max(parameter.opts, key=len))
            elif name in arguments:
                options.setdefault(str(parameter.name), str(parameter.name).upper())
    return re.sub(r"`([a-z]\w*)`", lambda match: options.get(match[1], match[0]), sentence)


def _check_arguments(arguments: list[str]) -> None:
    """No file, column or text has a null byte in it."""
    for argument in arguments:
        if "\0" in argument:
            raise UserError(f"argument {argument[:60]!r} has a null byte, which no file name or text has: leave it out")


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: a `UserError` becomes one sentence on standard error and exit code 2.

    Args:
        arguments: of a command within another program; None: of this process, which a signal ends in good order.
    """
    if arguments is None:
        interrupts.install()
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        _check_arguments(typed)
        cli.main(args=arguments, prog_name="spk2loihi")
    except UserError as error:
        if not interrupts.interrupted():
            say(f"Error: {with_options(str(error), typed)}", err=True)
        interrupts.ends_with(2)
        sys.exit(2)
    except SystemExit as end:
        interrupts.ends_with(end.code)
        raise
