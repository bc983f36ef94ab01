"""Data sets of the Hugging Face hub, through the library ``datasets`` where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from spk2loihi.data.tables import COLUMN_OPTIONS, Row, listing
from spk2loihi.errors import UserError, first_line

_OLDEST = 3  # earlier releases run a data set's own code when they load it


class HubSplit(NamedTuple):
    """Rows of a split, numbered from 1, and the class names its label column declares, in the order of indices."""

    rows: list[Row]
    labels: list[str]


def load_split(dataset: str, columns: Sequence[str], splits: Sequence[str]) -> HubSplit | None:
    """The first of ``splits`` the data set has, or None.

    ``dataset`` is an id or a local folder, with a configuration after a colon where there are several
    (``glue:sst2``). Raises UserError when ``datasets`` is missing or too old, the data set cannot be loaded, it lacks a
    column, or the split has no labels.
    """
    found = _load(dataset)
    split = next((name for name in splits if name in found), None)
    if split is None:
        return None
    table = found[split]
    for column in columns:
        if column not in table.column_names:
            raise UserError(
                f"The data set {dataset} has no column {column!r}, its columns are {listing(table.column_names)}: "
                f"{COLUMN_OPTIONS}"
            )
    names: list[str] = list(getattr(table.features[columns[-1]], "names", None) or [])
    rows: list[Row] = []
    for line, values in enumerate(zip(*(table[column] for column in columns), strict=True), start=1):
        label = values[-1]
        if names:
            if label is None or not 0 <= label < len(names):
                raise UserError(
                    f"The data set {dataset} has no labels in its split {split!r} (row {line} has {label!r}): "
                    "choose a data set with labels"
                )
            label = names[label]
        rows.append(Row(line, tuple(str(value) for value in (*values[:-1], label))))
    return HubSplit(rows, names)


def _load(dataset: str) -> Any:
    if importlib.util.find_spec("datasets") is None:
        raise UserError(
            f"`dataset` {dataset} needs the library datasets, which is not installed: pip install datasets, or give "
            "files of your own with `train_file`"
        )
    if int(version("datasets").split(".")[0]) < _OLDEST:
        raise UserError(
            f"`dataset` {dataset} needs datasets {_OLDEST} or newer, and {version('datasets')} is installed: "
            "pip install -U datasets"
        )
    import datasets

    name, _, configuration = dataset.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        raise UserError(
            f"The data set {dataset} cannot be loaded ({first_line(error)}): give an id of the hub reachable from this "
            "machine, with a configuration after a colon where it has several"
        ) from None
