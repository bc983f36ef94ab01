"""Whether the fields of a task fit together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spk2loihi.choices import METRICS
from spk2loihi.data.glue import glue_task
from spk2loihi.data.reviews import REVIEW_LABELS
from spk2loihi.errors import UserError

if TYPE_CHECKING:
    from spk2loihi.data.tasks import TaskSpec

PATHS = ("data_dir", "train_file", "dev_file")
"""Entries of a task that are places of files."""


def check_task(spec: TaskSpec) -> None:
    """Raises UserError for fields that do not fit together."""
    if spec.metric not in METRICS:
        raise UserError(f"The task's metric {spec.metric!r} is not known: choose one of {', '.join(METRICS)}")
    if spec.metric == "f1" and len(spec.labels) > 2:
        raise UserError(
            f"The metric f1 is of two classes, but the task {spec.name} has {len(spec.labels)}: choose another `metric`"
        )
    if spec.regression and len(spec.labels) != 1:
        raise UserError(
            f"The metric {spec.metric} is of a regression with one output, but the task {spec.name} has the labels "
            f"{spec.labels}: choose another `metric`"
        )
    if spec.answer == "tags" and (spec.text_pair_column is not None or spec.kind == "hub"):
        what = f"`dataset` {spec.dataset}" if spec.kind == "hub" else f"`text_pair_column` {spec.text_pair_column}"
        raise UserError(f"{what} cannot hold tagged words, which are read from CoNLL and JSONL files: leave it out")
    if len(set(spec.labels)) != len(spec.labels):
        raise UserError(f"The task's labels {spec.labels} contain one twice: give every class its own label")
    unused = {"reviews": (*PATHS, "dataset"), "glue": (*PATHS[1:], "dataset"), "files": (PATHS[0], "dataset")}
    for entry in (unused | {"hub": PATHS, "memory": (*PATHS, "dataset")}).get(spec.kind, ()):
        if getattr(spec, entry) is not None:
            raise UserError(
                f"A task of kind {spec.kind} has no {entry}, but it is {getattr(spec, entry)}: leave that entry empty"
            )
    if spec.kind == "reviews":
        _check_labels(spec, REVIEW_LABELS)
    elif spec.kind == "glue":
        _check_labels(spec, glue_task(spec.name).labels)
        if spec.data_dir is None:
            raise UserError(f"The task {spec.name} has no data folder: give one with `data_dir`")
    elif spec.kind == "files":
        _check_files(spec)
    elif spec.kind == "memory":
        _check_columns(spec)
    elif spec.kind == "hub":
        if spec.dataset is None:
            raise UserError(f"The task {spec.name} has no data set: give one with `dataset`")
        _check_columns(spec)
    else:
        raise UserError(f"The task's kind {spec.kind!r} is not known: it is one of reviews, glue, files, hub, memory")


def _check_labels(spec: TaskSpec, expected: Sequence[str]) -> None:
    if spec.labels != list(expected):
        raise UserError(
            f"The task {spec.name} has the labels {spec.labels} instead of {list(expected)}: write it again"
        )


def _check_files(spec: TaskSpec) -> None:
    if spec.train_file is None and spec.dev_file is None:
        raise UserError(f"The task {spec.name} has no files: give `train_file` or `dev_file`")
    paths = [os.path.realpath(path) for path in (spec.train_file, spec.dev_file) if path is not None]
    if len(paths) > len(set(paths)):
        raise UserError(
            f"`train_file` and `dev_file` are the same file, {spec.dev_file}: "
            "give another dev file, or leave it out to hold out a tenth of the training file"
        )
    _check_columns(spec)


def _check_columns(spec: TaskSpec) -> None:
    for column in spec.columns:
        if spec.columns.count(column) > 1:
            raise UserError(
                f"The column {column!r} is named for two roles at once: "
                "give `text_column`, `text_pair_column` and `label_column` different columns"
            )
