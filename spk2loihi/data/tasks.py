"""Where a task's sentences come from, as a record a network file can carry, and loading them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict

from spk2loihi.data.examples import LABEL_SEPARATOR, Examples, examples_from_rows, labels_of_cell
from spk2loihi.data.glue import GLUE_TASKS, glue_task, load_glue
from spk2loihi.data.hub import load_split
from spk2loihi.data.memory import held_records, hold, is_pair
from spk2loihi.data.metrics import REGRESSION_METRICS, Answer, answer_of, reported
from spk2loihi.data.reviews import REVIEW_LABELS, load_reviews
from spk2loihi.data.split import hold_out, sentence_key
from spk2loihi.data.tables import Row, read_table, record_rows
from spk2loihi.data.tagged import TaggedSentence, read_tagged, tagged_examples, tagged_records
from spk2loihi.data.task_checks import PATHS, check_task
from spk2loihi.errors import UserError

MAX_LABELS = 256
"""More distinct labels than this are taken for a wrong column, or for a regression without a metric for one."""

_HUB_HELD_OUT = ("validation", "test")

_SPLIT_SEED = 0
_SPLIT_SHARE = 10  # one sentence in ten is held out of a training file that comes without a dev file


class DataOptions(TypedDict, total=False):
    """Where sentences come from: keyword arguments of `task_spec`, and options of every command that reads data."""

    task: str | None
    data_dir: str | os.PathLike[str] | None
    train_file: str | os.PathLike[str] | None
    dev_file: str | os.PathLike[str] | None
    dataset: str | None
    text_column: str | None
    text_pair_column: str | None
    label_column: str | None
    train: Any
    dev: Any


@dataclass(frozen=True)
class TaskSpec:
    """A task: the embedded reviews, a GLUE task in ``data_dir``, files or a hub data set with named columns, or data in
    memory (`spk2loihi.data.memory`).

    Paths are absolute. ``labels`` are the label names in the order of class indices; for files and hub data sets they
    are empty until ``load_train`` has seen the training data. ``metric`` is the task's main one, a name
    ``metrics.score`` takes, and decides what is asked of a sentence (`answer`); a regression has one label, the name of
    what is predicted. Raises UserError for fields that do not fit together.
    """

    kind: Literal["reviews", "glue", "files", "hub", "memory"]
    name: str
    data_dir: str | None = None
    train_file: str | None = None
    dev_file: str | None = None
    dataset: str | None = None
    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    labels: list[str] = field(default_factory=list)
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        check_task(self)

    @property
    def columns(self) -> list[str]:
        """The columns read from files and hub data sets: text, second text if there is one, label."""
        pair = [] if self.text_pair_column is None else [self.text_pair_column]
        return [self.text_column, *pair, self.label_column]

    @property
    def regression(self) -> bool:
        """Labels are numbers rather than classes."""
        return self.metric in REGRESSION_METRICS

    @property
    def answer(self) -> Answer:
        """What is asked of a sentence: a class, a value, a set of labels, or the tags of its words."""
        return answer_of(self.metric)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric to report, the main one first."""
        return glue_task(self.name).metrics if self.kind == "glue" else reported(self.metric)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able record, which ``from_dict`` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> TaskSpec:
        """Read a record back; UserError for an unknown or missing key, a value of the wrong type or an unfit task."""
        known = {f.name for f in fields(cls)}
        for key in record:
            if key not in known:
                raise UserError(f"The task record has an unknown entry {key!r}: it was written by another version")
        for key in ("kind", "name", "metric"):
            if key not in record:
                raise UserError(f"The task record lacks the entry {key!r}: write the file again")
        for key, value in record.items():
            optional = key in (*PATHS, "dataset", "text_pair_column")
            if key == "labels":
                fits = isinstance(value, list) and all(isinstance(label, str) for label in value)
            else:
                fits = isinstance(value, str) or (optional and value is None)
            if not fits:
                raise UserError(
                    f"The task record's entry {key!r} has the unusable value {value!r}: write the file again"
                )
        values: dict[str, Any] = {**record, "labels": list(record.get("labels", ()))}
        return cls(**values)


def task_spec(
    task: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    train_file: str | os.PathLike[str] | None = None,
    dev_file: str | os.PathLike[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    text_pair_column: str | None = None,
    labels: Sequence[str] = (),
    dataset: str | None = None,
    metric: str | None = None,
    train: Any = None,
    dev: Any = None,
) -> TaskSpec:
    """The task that command options ask for; with none of them, the embedded reviews.

    ``labels`` is for evaluating files with the labels of a trained network: its label names in the order of class
    indices. ``metric`` is of files and hub data sets, accuracy if not given; a correlation makes them a regression,
    micro_f1 or macro_f1 sentences of several labels, entity_f1 tagged words.
    Nothing is read. Raises UserError for options that contradict each other and for unknown tasks.
    """
    columns = {"`text_column`": text_column, "`label_column`": label_column, "`text_pair_column`": text_pair_column}
    if train is not None or dev is not None:
        elsewhere = {
            "`task`": task, "`data_dir`": data_dir, "`train_file`": train_file, "`dev_file`": dev_file,
            "`dataset`": dataset,
        }  # fmt: skip
        for option, value in elsewhere.items():
            if value is not None:
                raise UserError(f"{option} {value} and data in memory both say where the data is: give one of them")
        return _memory_spec(train, dev, text_column, label_column, text_pair_column, labels, metric)
    own = {"`train_file`": train_file, "`dev_file`": dev_file, "`dataset`": dataset}
    given_columns = [option for option, value in columns.items() if value is not None]
    given = [option for option, value in own.items() if value is not None]
    if given:
        other = {"`task`": task, "`data_dir`": data_dir} | ({"`dataset`": dataset} if given[0] != "`dataset`" else {})
        for option, value in other.items():
            if value is not None:
                raise UserError(
                    f"{option} {value} and {given[0]} {own[given[0]]} both say where the data is: give only one of them"
                )
        label_column = "label" if label_column is None else label_column
        metric = "accuracy" if metric is None else metric
        return TaskSpec(
            kind="files" if dataset is None else "hub",
            name=Path(str(own[given[0]])).stem if dataset is None else dataset,
            train_file=_absolute(train_file),
            dev_file=_absolute(dev_file),
            dataset=dataset,
            text_column="text" if text_column is None else text_column,
            text_pair_column=text_pair_column,
            label_column=label_column,
            labels=list(labels) or ([label_column] if metric in REGRESSION_METRICS else []),
            metric=metric,
        )
    if metric is not None:
        raise UserError(
            f"`metric` {metric} is for data of your own, and every other task has its own metrics: leave it out, or "
            "add `train_file`"
        )
    if given_columns:
        option = given_columns[0]
        raise UserError(
            f"{option} {columns[option]} names a column of a file, but no file is given: "
            "add `train_file`, `dev_file` or `dataset`"
        )
    if task is None or task.lower() == "reviews":
        if data_dir is not None:
            raise UserError(
                f"`data_dir` {data_dir} is only for a GLUE task: add `task` with one of {', '.join(GLUE_TASKS)}, "
                "or leave it out"
            )
        return TaskSpec(kind="reviews", name="reviews", labels=list(REVIEW_LABELS))
    glue = glue_task(task)
    if data_dir is None:
        raise UserError(f"`task` {task} has no data: give the folder with {glue.name}'s files with `data_dir`")
    return TaskSpec(
        kind="glue", name=glue.name, data_dir=_absolute(data_dir), labels=list(glue.labels), metric=glue.metrics[0]
    )


def _memory_spec(
    train: Any,
    dev: Any,
    text: str | None,
    label: str | None,
    pair: str | None,
    labels: Sequence[str],
    metric: str | None,
) -> TaskSpec:
    text, label, metric = text or "text", label or "label", metric or "accuracy"
    if pair is None and is_pair(train if train is not None else dev):
        pair = "text_pair"
    name, declared = hold(train, dev, [text, *([] if pair is None else [pair]), label])
    known = list(labels) or declared or ([label] if metric in REGRESSION_METRICS else [])
    return TaskSpec(
        kind="memory",
        name=name,
        text_column=text,
        text_pair_column=pair,
        label_column=label,
        labels=known,
        metric=metric,
    )


def held_out_task(remembered: Mapping[str, Any], options: DataOptions) -> TaskSpec:
    """The task to score a network on: that of the ``options``, with the network's labels, or the one it remembers.

    Args:
        remembered: `TaskSpec.to_dict` of the task the network was trained for.
    """
    if all(value is None for value in options.values()):
        return TaskSpec.from_dict(remembered)
    own = any(options.get(place) is not None for place in ("train_file", "dev_file", "dataset", "train", "dev"))
    return task_spec(**options, labels=remembered["labels"], metric=remembered["metric"] if own else None)


def load_train(spec: TaskSpec) -> tuple[TaskSpec, Examples]:
    """The training examples, and the spec with its labels filled in.

    Labels of files and hub data sets are the class names they declare, or the distinct values of the label column, in
    numeric order when all are integers and in alphabetical order otherwise; labels the spec already has are kept.
    When files come without a dev file, or a hub data set without a split ``validation`` or ``test``, one sentence in
    ten of the training data is held out: shuffled with a fixed seed, equal sentences never on both sides (see
    ``split.hold_out``). Raises UserError when there is no training file or its content is unfit.
    """
    if spec.kind == "reviews":
        return spec, load_reviews()[0]
    if spec.kind == "glue":
        return spec, load_glue(glue_task(spec.name), _given(spec.data_dir), "train")
    if spec.dataset is not None:
        spec, examples = _load_hub_train(spec, spec.dataset)
        separate = load_split(spec.dataset or "", spec.columns, _HUB_HELD_OUT) is not None
        return spec, examples if separate else _split(spec.dataset or "", examples)[0]
    if spec.kind == "memory":
        loaded = _load_memory(spec, "train")
        if loaded is None:
            raise UserError("There is nothing to train on, only held-out data in memory is given: add `train`")
        spec, examples = loaded
        return spec, _split("train", examples)[0] if held_records(spec.name, "dev", spec.columns) is None else examples
    if spec.train_file is None:
        raise UserError(f"There is nothing to train on, only `dev_file` {spec.dev_file} is given: add `train_file`")
    path = Path(spec.train_file)
    spec, examples = _load_file(spec, path)
    return spec, examples if spec.dev_file is not None else _split(path, examples)[0]


def load_held_out(spec: TaskSpec) -> Examples:
    """The held-out examples: the dev file, or the part of the training file that ``load_train`` leaves out.

    When the spec's labels are still empty they are taken from the training file. Raises UserError when there is no
    held-out data, its content is unfit, or there is neither a label list nor a training file to take it from: a dev
    file may lack a class, so its own labels cannot tell which index a label has.
    """
    if spec.kind == "reviews":
        return load_reviews()[1]
    if spec.kind == "glue":
        return load_glue(glue_task(spec.name), _given(spec.data_dir), "dev")
    if spec.dataset is not None:
        trained, examples = _load_hub_train(spec, spec.dataset)
        split = load_split(spec.dataset, spec.columns, _HUB_HELD_OUT)
        return _split(spec.dataset, examples)[1] if split is None else _examples(trained, spec.dataset, split.rows)
    if spec.kind == "memory":
        if not spec.labels:
            own = _load_memory(spec, "train")
            spec = spec if own is None else own[0]
        held_out = _load_memory(spec, "dev")
        if held_out is not None:
            return held_out[1]
        whole = _load_memory(spec, "train")
        assert whole is not None  # one of the two is there
        return _split("train", whole[1])[1]
    if spec.dev_file is None:
        path = _given(spec.train_file)
        return _split(path, _load_file(spec, path)[1])[1]
    if not spec.labels:
        if spec.train_file is None:
            raise UserError(
                f"The order of the labels in {spec.dev_file} is not known: use a network that remembers its labels, "
                "or add `train_file`"
            )
        spec = _load_file(spec, _given(spec.train_file))[0]
    return _load_file(spec, _given(spec.dev_file))[1]


def _given(path: str | None) -> Path:
    # Which paths a kind of task has is checked when its spec is made; this tells the type checker.
    assert path is not None
    return Path(path)


def _load_file(spec: TaskSpec, path: Path) -> tuple[TaskSpec, Examples]:
    if spec.answer == "tags":
        return _tagged(spec, path, read_tagged(path, spec.text_column, spec.label_column))
    separator = LABEL_SEPARATOR if spec.answer == "labels" else ""
    rows = read_table(path, spec.columns, fractions=spec.regression, separator=separator)
    spec = _with_labels(spec, path, rows)
    return spec, _examples(spec, path, rows)


def _tagged(spec: TaskSpec, path: Path | str, sentences: list[TaggedSentence]) -> tuple[TaskSpec, Examples]:
    if not spec.labels:
        tags = {tag for sentence in sentences for tag in sentence.tags}
        spec = replace(spec, labels=_enough(spec, path, sorted(tags, key=lambda tag: (tag != "O", tag))))
    return spec, tagged_examples(path, sentences, spec.labels)


def _load_memory(spec: TaskSpec, part: str) -> tuple[TaskSpec, Examples] | None:
    """The examples of a part, ``train`` or ``dev``, and the spec with its labels; None if it was not given."""
    records = held_records(spec.name, part, spec.columns)
    if records is None:
        return None
    if spec.answer == "tags":
        return _tagged(spec, part, tagged_records(part, records, spec.columns))
    separator = LABEL_SEPARATOR if spec.answer == "labels" else ""
    rows = record_rows(part, records, spec.columns, fractions=spec.regression, separator=separator)
    spec = _with_labels(spec, part, rows)
    return spec, _examples(spec, part, rows)


def _load_hub_train(spec: TaskSpec, dataset: str) -> tuple[TaskSpec, Examples]:
    split = load_split(dataset, spec.columns, ("train",))
    if split is None:
        raise UserError(f"The data set {dataset} has no split 'train': choose one that has")
    if split.labels and not spec.labels:
        spec = replace(spec, labels=split.labels)
    spec = _with_labels(spec, dataset, split.rows)
    return spec, _examples(spec, dataset, split.rows)


def _examples(spec: TaskSpec, source: Path | str, rows: Sequence[Row]) -> Examples:
    index = None if spec.regression else {label: i for i, label in enumerate(spec.labels)}
    return examples_from_rows(source, spec.columns, rows, index, several=spec.answer == "labels")


def _with_labels(spec: TaskSpec, path: Path | str, rows: Sequence[Row]) -> TaskSpec:
    if spec.labels or not rows:
        return spec
    labels: set[str] = set()
    for row in rows:
        label = row.cells[-1].strip()
        if spec.answer == "labels":
            labels.update(labels_of_cell(label))
        elif not label:
            raise UserError(f"{path} line {row.line}: the label in column {spec.label_column!r} is empty: fill it")
        else:
            labels.add(label)
        if len(labels) > MAX_LABELS:
            raise UserError(
                f"{path} has more than {MAX_LABELS} different labels in column {spec.label_column!r}, the limit for "
                "classification: name another column with `label_column`, or predict the number with `metric` pearson"
            )
    _enough(spec, path, sorted(labels))
    try:
        ordered = sorted(labels, key=lambda label: (int(label), label))
    except ValueError:
        ordered = sorted(labels)
    return replace(spec, labels=ordered)


def _enough(spec: TaskSpec, path: Path | str, labels: list[str]) -> list[str]:
    if len(labels) < 2:
        only = f"only the label {labels[0]!r}" if labels else "no label"
        raise UserError(
            f"{path} has {only} in column {spec.label_column!r} where at least 2 are needed: "
            "add examples of another class or name another column with `label_column`"
        )
    if len(labels) > MAX_LABELS:
        raise UserError(f"{path} has {len(labels)} different tags, and at most {MAX_LABELS} are taken: merge some")
    return labels


def _split(path: Path | str, examples: Examples) -> tuple[Examples, Examples]:
    seconds = examples.text_b if examples.text_b is not None else [None] * len(examples)
    keys = [sentence_key(a, b) for a, b in zip(examples.text_a, seconds, strict=True)]
    distinct = len(set(keys))
    if distinct < 2:
        raise UserError(
            f"{path} has {distinct} different sentence where at least 2 are needed to hold one out: "
            "add sentences or give held-out data with `dev_file`"
        )
    train, held_out = hold_out(keys, max(1, distinct // _SPLIT_SHARE), _SPLIT_SEED)
    return examples.select(train), examples.select(held_out)


def _absolute(path: str | os.PathLike[str] | None) -> str | None:
    if path is None:
        return None
    if "\0" in os.fsdecode(path):
        raise UserError(f"{os.fsdecode(path)!r} has a null byte, which no file name has: leave it out")
    return os.path.abspath(os.path.expanduser(os.fsdecode(path)))
