"""GLUE in its official file layout: tab-separated, no quoting, UTF-8 with or without a byte order mark.

``train.tsv`` is trained on and ``dev.tsv`` is the held-out set, because GLUE's test labels are not public. MNLI has two
held-out sets: the task MNLI is scored on ``dev_matched.tsv``, and MNLI-mm, the same otherwise, on
``dev_mismatched.tsv``. Class indices follow the Hugging Face ``glue`` data set, so that published fine-tuned teachers
agree. WNLI is left out, as in most published work: its dev set is built against its training set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spk2loihi.data.examples import Examples, examples_from_rows
from spk2loihi.data.tables import Row, read_tsv
from spk2loihi.errors import UserError
from spk2loihi.files import exists
from spk2loihi.formatting import printable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GlueTask:
    """How one task's files are laid out.

    ``values`` are the labels as the files write them and ``labels`` their names, both in the order of class indices; a
    regression has no values, and one label: the name of what is predicted. ``metrics`` are GLUE's own, the main one
    first. ``header`` names the columns of files without a header line; ``folder`` is the task's, if not its name.
    """

    name: str
    text_column: str
    text_pair_column: str | None
    label_column: str
    values: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...] = ("accuracy",)
    header: tuple[str, ...] | None = None
    dev_file: str = "dev.tsv"
    folder: str | None = None
    skip_broken: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns read: text, second text if there is one, label."""
        pair = () if self.text_pair_column is None else (self.text_pair_column,)
        return (self.text_column, *pair, self.label_column)


_BINARY = ("0", "1")
_TWO_WAY = ("entailment", "not_entailment")
_THREE_WAY = ("entailment", "neutral", "contradiction")

GLUE_TASKS: dict[str, GlueTask] = {
    task.name: task
    for task in (
        GlueTask("SST-2", "sentence", None, "label", _BINARY, ("negative", "positive")),
        GlueTask(
            "CoLA",
            "sentence",
            None,
            "label",
            _BINARY,
            ("unacceptable", "acceptable"),
            metrics=("matthews",),
            header=("source", "label", "original_label", "sentence"),
        ),
        GlueTask(
            "MRPC",
            "#1 String",
            "#2 String",
            "Quality",
            _BINARY,
            ("not_equivalent", "equivalent"),
            metrics=("accuracy", "f1"),
        ),
        GlueTask("STS-B", "sentence1", "sentence2", "score", (), ("score",), metrics=("pearson", "spearman")),
        GlueTask("RTE", "sentence1", "sentence2", "label", _TWO_WAY, _TWO_WAY),
        GlueTask("QNLI", "question", "sentence", "label", _TWO_WAY, _TWO_WAY),
        # Some questions of the official QQP files contain a line break or are missing; everyone leaves those rows out.
        GlueTask(
            "QQP",
            "question1",
            "question2",
            "is_duplicate",
            _BINARY,
            ("not_duplicate", "duplicate"),
            metrics=("accuracy", "f1"),
            skip_broken=True,
        ),
        *(
            GlueTask(name, "sentence1", "sentence2", "gold_label", _THREE_WAY, _THREE_WAY, dev_file=dev, folder="MNLI")
            for name, dev in (("MNLI", "dev_matched.tsv"), ("MNLI-mm", "dev_mismatched.tsv"))
        ),
    )
}


def glue_task(name: str) -> GlueTask:
    """The task of that name, whatever its case and hyphens (``sst2``, ``SST-2``); UserError when there is none."""
    wanted = _plain(name)
    for task in GLUE_TASKS.values():
        if _plain(task.name) == wanted:
            return task
    known = ", ".join(GLUE_TASKS)
    raise UserError(
        f"The task {name!r} is not known: choose one of {known}, or give files of your own with `train_file`"
    )


def load_glue(task: GlueTask, data_dir: Path, part: Literal["train", "dev"]) -> Examples:
    """The training or held-out examples of a task.

    ``data_dir`` holds the files themselves or a folder with the task's name that does. Raises UserError when the file
    is missing, or as ``read_tsv`` and ``examples_from_rows`` do.
    """
    name = "train.tsv" if part == "train" else task.dev_file
    candidates = [data_dir / name, data_dir / (task.folder or task.name) / name]
    path = next((candidate for candidate in candidates if exists(candidate)), None)
    if path is None:
        raise UserError(
            f"The {part} file of {task.name} is missing, neither {candidates[0]} nor {candidates[1]} exists: "
            "give the folder that holds it with `data_dir`"
        )
    rows = read_tsv(
        path,
        task.columns,
        remedy=f"give {task.name}'s official files with `data_dir`",
        header=task.header,
        skip_ragged=task.skip_broken,
    )
    if task.skip_broken:
        rows = _with_text(path, rows)
    return examples_from_rows(path, task.columns, rows, {value: i for i, value in enumerate(task.values)} or None)


def _with_text(path: Path, rows: list[Row]) -> list[Row]:
    kept = [row for row in rows if all(cell.strip() for cell in row.cells[:-1])]
    if len(kept) < len(rows):
        logger.warning("%s: skipped %d rows with an empty sentence", printable(path), len(rows) - len(kept))
    return kept


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
