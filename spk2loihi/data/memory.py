"""Data that a program holds in memory: a `datasets.Dataset`, a pandas DataFrame, or a list of tuples or dicts.

It is kept for as long as the process lives, under a name made of its contents, which a task can carry in its record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from spk2loihi.data.tables import COLUMN_OPTIONS, listing
from spk2loihi.errors import UserError

Record = dict[str, Any]


class _Held(NamedTuple):
    """Records of each part, and the class names that a data set declares for its label column."""

    train: list[Record] | None
    dev: list[Record] | None
    names: list[str]


_held: dict[str, _Held] = {}


def hold(train: Any, dev: Any, columns: Sequence[str]) -> tuple[str, list[str]]:
    """Keep data in memory; the name under which `held_records` finds it, and the class names it declares.

    Args:
        train, dev: `datasets.Dataset`, DataFrame, or list of tuples (text, label), (text, second text, label) or dicts.
        columns: of the text, the second text if there is one, and the label, which tuples have no names for.

    Raises:
        UserError: something else.
    """
    parts = {
        part: None if given is None else list(_records(part, given, columns))
        for part, given in (("train", train), ("dev", dev))
    }
    names = _declared(train if train is not None else dev, columns[-1])
    text = json.dumps([parts["train"], parts["dev"], list(columns)], default=str, ensure_ascii=False)
    name = f"memory-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    _held[name] = _Held(parts["train"], parts["dev"], names)
    return name, names


def is_pair(given: Any) -> bool:
    """Whether the first row is a tuple of two texts and a label."""
    first = given[0] if isinstance(given, (list, tuple)) and given else None
    return isinstance(first, (list, tuple)) and len(first) == 3


def held_records(name: str, part: str, columns: Sequence[str]) -> Iterator[tuple[int, Record]] | None:
    """Rows of a part, ``train`` or ``dev``, numbered from 1; None if it was not given.

    Raises:
        UserError: the process that held the data has ended, or a row lacks a column.
    """
    held = _held.get(name)
    if held is None:
        raise UserError(
            f"the task {name} is of data in the memory of another process, which is gone: name sentences as `dev_file`"
        )
    records = held.train if part == "train" else held.dev
    return None if records is None else _checked(part, records, columns)


def _checked(part: str, records: list[Record], columns: Sequence[str]) -> Iterator[tuple[int, Record]]:
    for line, record in enumerate(records, start=1):
        for column in columns:
            if column not in record:
                raise UserError(
                    f"{part} line {line} has no column {column!r}, its columns are {listing(map(str, record))}: "
                    f"{COLUMN_OPTIONS}"
                )
        yield line, record


def _records(part: str, given: Any, columns: Sequence[str]) -> Iterator[Record]:
    rows: Iterable[Any]
    if hasattr(given, "to_dict") and hasattr(given, "columns"):  # a DataFrame
        rows = given.to_dict("records")
    elif isinstance(given, (list, tuple)) or hasattr(given, "column_names"):
        rows = given
    else:
        raise UserError(
            f"`{part}` is a {type(given).__name__}, but data in memory is a datasets.Dataset, a DataFrame, or a list "
            "of tuples (text, label) or of dicts: change it, or name a file"
        )
    names = _declared(given, columns[-1])
    for line, row in enumerate(rows, start=1):
        if isinstance(row, Mapping):
            record = {str(key): _plain(value) for key, value in row.items()}
        elif isinstance(row, (list, tuple)) and len(row) == len(columns):
            record = dict(zip(columns, map(_plain, row), strict=True))
        else:
            what = f"{len(row)} values" if isinstance(row, (list, tuple)) else f"a {type(row).__name__}"
            raise UserError(
                f"{part} line {line} is {what}, but a row is a dict, or a tuple of {len(columns)} "
                f"({', '.join(columns)}): correct it"
            )
        label = record.get(columns[-1])
        if names and isinstance(label, int):
            if not 0 <= label < len(names):
                raise UserError(f"{part} line {line} has the label {label}, which is none of its classes: leave it out")
            record[columns[-1]] = names[label]
        yield record


def _declared(given: Any, column: str) -> list[str]:
    """Class names of a column of a `datasets.Dataset`, in the order of indices."""
    features = getattr(given, "features", None)
    return list(getattr(features.get(column), "names", None) or []) if isinstance(features, Mapping) else []


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value
