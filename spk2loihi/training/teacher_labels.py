"""Which output of a fine-tuned teacher stands for which label of the data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spk2loihi.data.metrics import Answer
from spk2loihi.errors import UserError
from spk2loihi.training.teacher_config import some

#: Names of one class in published data sets and teachers, in lower case, letters and digits only.
_SYNONYMS = (
    ("negative", "neg", "bad"),
    ("positive", "pos", "good"),
    ("neutral", "neu"),
    ("unacceptable", "ungrammatical", "notacceptable", "notgrammatical", "nonacceptable", "incorrect"),
    ("acceptable", "grammatical", "correct"),
    ("notequivalent", "nonequivalent", "inequivalent", "notduplicate", "nonduplicate", "notparaphrase", "nonparaphrase",
     "different", "noequivalent", "noparaphrase", "noduplicate"),
    ("equivalent", "duplicate", "paraphrase", "same"),
    ("notentailment", "nonentailment", "noentailment", "notentailed", "notentails", "notentail"),
    ("entailment", "entail", "entails", "entailed"),
    ("contradiction", "contradict", "contradicts", "contradictory", "contradicted"),
    ("false", "no"),
    ("true", "yes"),
)  # fmt: skip
_SYNONYM = {name: names[0] for names in _SYNONYMS for name in names}

#: Which class of two the files of data sets write as 0, and which as 1.
_ZERO = ("negative", "unacceptable", "notequivalent", "false", "0")
_ONE = ("positive", "acceptable", "equivalent", "true", "1")

_NUMBERED = re.compile(r"(?:label|class|category|output)?[\s_\-.:#]*(\d+)", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.0+)?")


def output_order(config: Mapping[str, Any], labels: Sequence[str], teacher: str, answer: Answer = "class") -> list[int]:
    """For each of the data's ``labels``, the teacher's output that stands for it.

    Names decide, whatever their case and punctuation, and known synonyms; LABEL_0, LABEL_1 and so on, or bare numbers
    from 0, are no names but numbers of labels.

    Args:
        config: of a fine-tuned teacher: id2label, label2id, `num_labels` and `problem_type`.

    Raises:
        UserError: another number of labels, other labels, or a problem of another type.
    """
    names = _names(config, teacher)
    if len(names) != len(labels):
        raise UserError(
            f"teacher {teacher} has {len(names)} labels, but the task has {len(labels)} ({', '.join(labels)}): "
            "choose a "
            "teacher fine-tuned on this task, or one without a classifier"
        )
    _check_problem(config.get("problem_type"), len(labels), teacher, answer)
    if len(labels) == 1:
        return [0]
    for key in (_exact, str.casefold, plain_name, _meaning, _polarity):
        order = _by_key(names, labels, key)
        if order is not None:
            return order
    order = _by_number(names)
    if order is not None:
        return order
    raise UserError(
        f"teacher {teacher} names its labels {some(names, 6)}, but the task's are {some(list(labels), 6)}: write "
        "these, "
        "in the order of the teacher's outputs, as id2label in its config.json, or choose a teacher fine-tuned on "
        "this task"
    )


def plain_name(name: str) -> str:
    """Without case and punctuation; a number as such."""
    text = name.strip().casefold()
    if _PLAIN_NUMBER.fullmatch(text):
        return str(int(float(text)))
    return "".join(c for c in text if c.isalnum()) or text


def _exact(name: str) -> str:
    return name.strip()


def _meaning(name: str) -> str:
    plain = plain_name(name)
    return _SYNONYM.get(plain, plain)


def _polarity(name: str) -> str:
    meaning = _meaning(name)
    return "0" if meaning in _ZERO else "1" if meaning in _ONE else f"other {meaning}"


def _by_key(names: list[str], labels: Sequence[str], key: Callable[[str], str]) -> list[int] | None:
    theirs, ours = [key(name) for name in names], [key(label) for label in labels]
    if len(set(theirs)) < len(theirs) or set(theirs) != set(ours):
        return None
    return [theirs.index(label) for label in ours]


def _by_number(names: list[str]) -> list[int] | None:
    found = [_NUMBERED.fullmatch(name.strip()) for name in names]
    numbers = [int(match[1]) for match in found if match]
    bare = any(_PLAIN_NUMBER.fullmatch(name.strip()) for name in names)
    for first in (0,) if bare else (0, 1):
        if sorted(numbers) == list(range(first, first + len(names))):
            return [numbers.index(first + i) for i in range(len(names))]
    return None


def _names(config: Mapping[str, Any], teacher: str) -> list[str]:
    """Of the outputs, in their order; LABEL_0 and so on where there are none."""
    given, number = config.get("id2label"), config.get("num_labels")
    inverse = config.get("label2id")
    if given is None and number is None and isinstance(inverse, Mapping) and inverse:
        number = len(inverse)
    if given is None:
        count = 2 if number is None else number
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count < 1_000_000:
            raise UserError(f"teacher {teacher} has num_labels {count!r}, but it is a number of labels: correct it")
        given = {i: f"LABEL_{i}" for i in range(count)}
    if not isinstance(given, Mapping) or sorted(map(str, given)) != sorted(map(str, range(len(given)))) or not given:
        raise UserError(
            f"teacher {teacher} has an id2label in its configuration that does not name outputs 0, 1 and so on, one "
            "each: correct it"
        )
    if number is not None and number != len(given):
        raise UserError(
            f"teacher {teacher} has num_labels {number}, but its id2label names {len(given)} labels: correct one "
            "of them"
        )
    by_index = {int(index): str(name) for index, name in given.items()}
    names = [by_index[i] for i in range(len(by_index))]
    if not isinstance(inverse, Mapping):
        return names
    for name, index in inverse.items() if config.get("id2label") is not None else ():
        if name in names and str(index) != str(names.index(name)):
            raise UserError(
                f"teacher {teacher} says in its configuration that {name!r} is output {names.index(name)} "
                "(id2label) and "
                f"output {index} (label2id): correct one of them"
            )
    return names if _by_number(names) is None else _names_of_inverse(inverse, names)


def _names_of_inverse(inverse: Mapping[Any, Any], names: list[str]) -> list[str]:
    """Those of a label2id, where the id2label has none and this one names every output."""
    by_index = {str(index): str(name) for name, index in inverse.items()}
    if sorted(by_index) != sorted(map(str, range(len(names)))):
        return names
    return [by_index[str(i)] for i in range(len(names))]


def _check_problem(problem: Any, labels: int, teacher: str, answer: Answer) -> None:
    several = answer == "labels"
    fits = ("multi_label_classification" if several else "single_label_classification",)
    fits = ("regression",) if labels == 1 else fits
    asked = "a regression" if labels == 1 else f"to choose {'any' if several else 'one'} of {labels} labels"
    if problem is None or problem in fits or (labels == 1 and problem == "single_label_classification"):
        return  # the last: a single output has only one use, and transformers says so of it by mistake
    raise UserError(
        f"teacher {teacher} has problem_type {problem!r} in its configuration, but the task is {asked}: choose a "
        "teacher fine-tuned on this task, or one without a classifier"
    )
