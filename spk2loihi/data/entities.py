"""Entities in a sentence of tags, such as B-PER I-PER O: where they begin and end, as CoNLL and seqeval have it."""

from __future__ import annotations

from collections.abc import Sequence

Entity = tuple[str, int, int]
"""Type, first and last word."""

_PREFIXES = ("B", "I", "E", "S")


def entities(tags: Sequence[str]) -> set[Entity]:
    """Entities of one sentence.

    ``B`` and ``S`` begin one, ``E`` and ``S`` end one, ``O`` is outside of any, and one that has begun goes on with the
    tags ``I`` and ``E`` of its type. An ``I`` or ``E`` that has nothing to go on with begins one. A tag without such a
    prefix is the type itself and counts as ``I``.
    """
    found: set[Entity] = set()
    begun: tuple[str, int] | None = None  # type and first word of the entity at hand
    ended = False  # by its own last tag
    for i, tag in enumerate([*tags, "O"]):
        prefix, kind = _parts(tag)
        if begun is not None and (ended or prefix not in ("I", "E") or kind != begun[0]):
            found.add((*begun, i - 1))
            begun = None
        if begun is None and prefix != "O":
            begun = kind, i
        ended = prefix in ("E", "S")
    return found


def _parts(tag: str) -> tuple[str, str]:
    if tag == "O":
        return "O", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and prefix in _PREFIXES else ("I", tag)
