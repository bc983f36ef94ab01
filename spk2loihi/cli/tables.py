"""Tables that fold where a terminal is too narrow: a row becomes a short paragraph, and nothing is cut."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

TABLE_WIDTH = 180
"""Characters, where standard output is no terminal and COLUMNS does not say."""


def console() -> Any:
    """A rich console that takes all text as it is."""
    from rich.console import Console

    known = Console().is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    return Console(width=None if known else TABLE_WIDTH, markup=False, emoji=False, highlight=False)


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = (), bold: Sequence[bool] = ()
) -> None:
    """Print a table, or what it holds if it is wider than the screen.

    Args:
        rows: texts, as many as there are headings.
        left: headings of the columns that are flush left, the others being numbers.
        bold: of each row.
    """
    from rich.measure import Measurement
    from rich.table import Table

    from spk2loihi.formatting import printable

    screen, table, lines = console(), Table(), [[printable(cell) for cell in row] for row in rows]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", no_wrap=True)
    styles = ["bold" if i < len(bold) and bold[i] else "" for i in range(len(lines))]
    for line, style in zip(lines, styles, strict=True):
        table.add_row(*line, style=style)
    if Measurement.get(screen, screen.options.update(width=10_000), table).maximum <= screen.width:
        screen.print(table)
        return
    for (name, *cells), style in zip(lines, styles, strict=True):
        screen.print(name, style=style)
        told = [f"{heading} {cell}" for heading, cell in zip(headings[1:], cells, strict=True) if cell]
        for folded in _packed(told, screen.width - 3):
            screen.print(f"  {folded}", style=style)


def _packed(parts: Sequence[str], width: int) -> Iterable[str]:
    """Lines of ``parts`` with commas between them; a part is broken only if it is longer than a line."""
    line = ""
    for part in parts:
        if line and len(line) + 2 + len(part) > width:
            yield f"{line},"
            line = ""
        line = f"{line}, {part}" if line else part
    if line:
        yield line
