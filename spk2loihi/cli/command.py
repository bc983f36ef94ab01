"""What all commands have: options under headings, `--config`, `--quiet` and `--verbose`, JSON on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.option_groups import OPTION_GROUPS, heading
from spk2loihi.cli.option_types import PATH, STANDARD_OUTPUT
from spk2loihi.errors import UserError

_QUIET = "spk2loihi.quiet"
_VERBOSE = "spk2loihi.verbose"
_JSON = "spk2loihi.json"
_CONFIG = "spk2loihi.config"


class Command(click.Command):
    """A command of `spk2loihi`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += [
            click.Option(
                ["--config"],
                type=PATH,
                is_eager=True,
                expose_value=False,
                callback=_configure,
                help="YAML file of options, such as the .run.yaml beside a result; the command line goes first.",
            ),
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_noted(_QUIET),
                help="Only results and errors: no progress.",
            ),
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                expose_value=False,
                callback=_noted(_VERBOSE),
                help="Also say on standard error what is read, chosen, compiled and written, and how long it takes.",
            ),
        ]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records: dict[str, list[tuple[str, str]]] = {title: [] for title in OPTION_GROUPS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                records[heading(parameter)].append(record)
        for title, rows in records.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=26)

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.meta.get(_QUIET) and ctx.meta.get(_VERBOSE):
            raise UserError("`quiet` and `verbose` are opposites: give one of them")
        with ExitStack() as stack:
            if ctx.params.get("json_file") == STANDARD_OUTPUT:
                ctx.meta[_JSON] = sys.stdout
                stack.enter_context(redirect_stdout(sys.stderr))
            if ctx.meta.get(_QUIET):
                from spk2loihi.progress import no_bars

                stack.enter_context(no_bars())
            if ctx.meta.get(_VERBOSE):
                stack.enter_context(_told())
            return super().invoke(ctx)


def is_quiet() -> bool:
    """Whether the command that runs says results and errors only."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def edited_config() -> list[Path]:
    """The file of `--config`, which no output may replace; none if it is as a command has written it."""
    from spk2loihi.results import is_run

    path: Path | None = click.get_current_context().meta.get(_CONFIG)
    return [] if path is None or is_run(path) else [path]


def json_stream() -> Any:
    """Where `--json -` writes; None without it."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_JSON)


def _configure(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None and not context.resilient_parsing:
        from spk2loihi.cli.config_file import read_config

        context.default_map = read_config(path, context)
        context.meta[_CONFIG] = path


def _noted(key: str) -> Any:
    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[key] = value

    return note


class _Teller(logging.Handler):
    """What the library logs, as lines on standard error, wherever that leads by then."""

    def emit(self, record: logging.LogRecord) -> None:
        from spk2loihi.formatting import printable

        print(printable(record.getMessage()), file=sys.stderr, flush=True)


@contextmanager
def _told() -> Iterator[None]:
    """Show what the library logs about its work, and how long the command took."""
    import time

    logger, teller = logging.getLogger("spk2loihi"), _Teller()
    level, started = logger.level, time.perf_counter()
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    try:
        yield
        from spk2loihi.compile_time import compile_seconds

        logger.info("done in %.1f s, of which %.1f s compiling", time.perf_counter() - started, compile_seconds())
    finally:
        logger.removeHandler(teller)
        logger.setLevel(level)
