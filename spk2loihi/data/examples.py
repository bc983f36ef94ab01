"""Labelled sentences in memory, how rows of a file become them, and a fingerprint of them for a manifest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spk2loihi.data.tables import Row, listing
from spk2loihi.errors import UserError


@dataclass(frozen=True)
class Examples:
    """N labelled sentences, or sentence pairs when ``text_b`` is given.

    ``labels`` are class indices, integers; or the values of a regression, floats; or, of several labels, a tuple of a 0
    or 1 for each; or, of tagged sentences, whose words are parted by white space, a tuple of the index of each tag.

    Raises ValueError when the lists differ in length.
    """

    text_a: list[str]
    text_b: list[str] | None
    labels: Sequence[Any]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.text_a) or (self.text_b is not None and len(self.text_b) != len(self.text_a)):
            raise ValueError("text_a, text_b and labels must have the same length")

    def __len__(self) -> int:
        return len(self.text_a)

    def take(self, n: int) -> Examples:
        """The first ``n`` examples, or all of them when there are fewer; ValueError when ``n`` is negative."""
        if n < 0:
            raise ValueError(f"cannot take {n} examples")
        return Examples(self.text_a[:n], None if self.text_b is None else self.text_b[:n], self.labels[:n])

    def select(self, indices: Sequence[int]) -> Examples:
        """The examples at ``indices``, in that order."""
        return Examples(
            [self.text_a[i] for i in indices],
            None if self.text_b is None else [self.text_b[i] for i in indices],
            [self.labels[i] for i in indices],
        )


def examples_from_rows(
    path: Path | str,
    columns: Sequence[str],
    rows: Sequence[Row],
    label_index: Mapping[str, int] | None,
    several: bool = False,
) -> Examples:
    """Turn rows whose cells are (text, label) or (text, second text, label) into examples, texts stripped.

    ``columns`` are the names of those cells, for messages; ``label_index`` maps a label as written in the file to its
    class index, and None says that labels are numbers (a regression). With ``several`` a cell holds any number of
    labels (`labels_of_cell`). Raises UserError, with file and line, for an empty sentence or a label that has no index
    or is no number, and for a file without rows.
    """
    if not rows:
        raise UserError(f"{path} holds no examples: give a file with at least one row of data")
    texts: list[list[str]] = [[] for _ in columns[:-1]]
    labels: list[Any] = []
    for row in rows:
        for column, cell, into in zip(columns[:-1], row.cells[:-1], texts, strict=True):
            text = cell.strip()
            if not text:
                raise UserError(
                    f"{path} line {row.line}: the sentence in column {column!r} is empty: fill or remove it"
                )
            into.append(text)
        label, where = row.cells[-1].strip(), f"{path} line {row.line}: label"
        if label_index is None:
            labels.append(_number(label, where, columns[-1]))
        elif several:
            labels.append(_label_set(label, where, columns[-1], label_index))
        elif label in label_index:
            labels.append(label_index[label])
        else:
            raise _unknown(label, where, columns[-1], label_index)
    return Examples(texts[0], texts[1] if len(texts) > 1 else None, labels)


LABEL_SEPARATOR = "|"
"""Between the labels of a sentence that has several, in a cell of a table."""


def labels_of_cell(cell: str) -> list[str]:
    """The labels of a sentence that may have several: ``a|b``; none in an empty cell."""
    return [label for part in cell.split(LABEL_SEPARATOR) if (label := part.strip())]


def _label_set(cell: str, where: str, column: str, label_index: Mapping[str, int]) -> tuple[int, ...]:
    labels = labels_of_cell(cell)
    for label in labels:
        if label not in label_index:
            raise _unknown(label, where, column, label_index)
    return tuple(int(name in labels) for name in label_index)


def _unknown(label: str, where: str, column: str, label_index: Mapping[str, int]) -> UserError:
    return UserError(
        f"{where} {label!r} in column {column!r} is not one of the task's labels {listing(label_index)}: correct the "
        "label or remove the row"
    )


def _number(label: str, where: str, column: str) -> float:
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(
            f"{where} {label!r} in column {column!r} is not a number, as a regression needs: correct the label or "
            "remove the row"
        )
    return value


def examples_digest(examples: Examples) -> dict[str, Any]:
    """How many examples there are, and the SHA-256 of them as JSON lines ``[text, second text or null, label]``."""
    seconds = examples.text_b if examples.text_b is not None else [None] * len(examples)
    return lines_digest(
        json.dumps(row, ensure_ascii=False) for row in zip(examples.text_a, seconds, examples.labels, strict=True)
    )


def lines_digest(lines: Iterable[str]) -> dict[str, Any]:
    """How many lines there are, and the SHA-256 of them in UTF-8, each with a line feed."""
    digest, count = hashlib.sha256(), 0
    for line in lines:
        digest.update(line.encode() + b"\n")
        count += 1
    return {"examples": count, "sha256": digest.hexdigest()}
