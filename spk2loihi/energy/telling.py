"""Sentences made of values of a report, each with the places of the values that it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def pointer(*path: str | int) -> str:
    """JSON pointer (RFC 6901) of a value."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the JSON pointers of the values it was made from."""

    text: str
    fields: tuple[str, ...]


class Telling:
    """One sentence in the making: called with the path of a value, it says the value and remembers the path."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        self._report = report
        self._fields: list[str] = []

    def __call__(self, *path: str | int, form: Callable[[Any], str] = str) -> str:
        value: Any = self._report
        for key in path:
            value = value[key]
        self._fields.append(pointer(*path))
        return form(value)

    def sentence(self, text: str) -> Sentence:
        return Sentence(text, tuple(dict.fromkeys(self._fields)))


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
