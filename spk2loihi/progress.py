"""The progress bar of long work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from spk2loihi.formatting import printable


class _Description(ProgressColumn):
    """What is going on, as plain text: it may name a file."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


class _Speed(ProgressColumn):
    """Steps a second of late."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g}/s")


class _Note(ProgressColumn):
    """What a task says of itself in its field ``note``: its loss, for example."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("note", "")))


_hidden: ContextVar[bool] = ContextVar("_hidden", default=False)


@contextmanager
def no_bars() -> Iterator[None]:
    """No progress bar in this block."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


def progress_bar() -> Progress:
    """A bar with an ETA on standard error, silent where that is no terminal; lines printed meanwhile stand above it."""
    columns = (_Description(), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn(), _Note())
    return Progress(
        *columns,
        console=Console(file=sys.stderr),
        disable=_hidden.get() or not sys.stderr.isatty(),
        redirect_stdout=sys.stdout.isatty(),  # lines that go to a file go on to that file
    )
