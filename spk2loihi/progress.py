"""The progress bar of long work."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text

from spk2loihi.formatting import printable


class _Description(ProgressColumn):
    """What is going on, as plain text: it may name a file."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


def progress_bar() -> Progress:
    """A bar with an ETA on standard error; silent when that is not a terminal."""
    columns = (_Description(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty())
