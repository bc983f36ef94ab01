"""Tagged words: files in the columns of CoNLL, or JSON lines with an array of words and one of tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spk2loihi.data.examples import Examples
from spk2loihi.data.tables import jsonl_records, listing, read_text
from spk2loihi.errors import UserError

CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".txt")
_JSON_SUFFIXES = (".jsonl", ".ndjson")  # and .parquet
_DOCUMENT = "-DOCSTART-"  # first word of the line that begins a document


class TaggedSentence(NamedTuple):
    """A sentence, and the line of the file (from 1) on which it starts."""

    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_tagged(path: Path, words_column: str, tags_column: str) -> list[TaggedSentence]:
    """Sentences of a file.

    * ``.conll``, ``.bio``, ``.iob``, ``.iob2``, ``.txt``: a word a line, columns parted by white space, the word in the
      first and its tag in the last; a blank line ends a sentence; lines that begin with ``-DOCSTART-`` or ``# `` are
      left out;
    * ``.jsonl``, ``.ndjson``: an object a line, with arrays of strings in ``words_column`` and ``tags_column``.

    Raises:
        UserError: another suffix, a file that cannot be read, or a line that is no such sentence.
    """
    suffix = path.suffix.lower()
    if suffix in CONLL_SUFFIXES:
        return list(_conll(path))
    if suffix in _JSON_SUFFIXES:
        columns = [words_column, tags_column]
        return tagged_records(path, jsonl_records(path, columns), columns)
    if suffix == ".parquet":
        from spk2loihi.data.parquet import parquet_records

        columns = [words_column, tags_column]
        return tagged_records(path, parquet_records(path, columns), columns)
    raise UserError(
        f"{path} has the suffix {suffix!r}, but files of tagged words end in "
        f"{', '.join((*CONLL_SUFFIXES, *_JSON_SUFFIXES, '.parquet'))}: convert or rename the file"
    )


def tagged_examples(path: Path | str, sentences: Sequence[TaggedSentence], tags: Sequence[str]) -> Examples:
    """Sentences as examples: words joined by spaces, and the index of each tag; UserError for an unknown tag."""
    if not sentences:
        raise UserError(f"{path} holds no sentences: give a file with at least one")
    index = {tag: i for i, tag in enumerate(tags)}
    for sentence in sentences:
        for tag in sentence.tags:
            if tag not in index:
                raise UserError(
                    f"{path} line {sentence.line}: tag {tag!r} is not one of the task's labels {listing(tags)}: "
                    "correct it or remove the sentence"
                )
    texts = [" ".join(sentence.words) for sentence in sentences]
    return Examples(texts, None, [tuple(index[tag] for tag in sentence.tags) for sentence in sentences])


def _conll(path: Path) -> Iterator[TaggedSentence]:
    start = 0
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*read_text(path).split("\n"), ""], start=1):
        columns = line.split()
        if not columns:
            if words:
                yield TaggedSentence(start, tuple(words), tuple(tags))
            words, tags = [], []
            continue
        if columns[0] == _DOCUMENT or line.startswith("# "):
            continue
        if len(columns) < 2:
            raise UserError(
                f"{path} line {number} has the word {columns[0]!r} and no tag: write a word and its tag a line, and a "
                "blank line after a sentence"
            )
        start = start if words else number
        words.append(columns[0])
        tags.append(columns[-1])


def tagged_records(
    path: Path | str, records: Iterable[tuple[int, dict[str, Any]]], columns: Sequence[str]
) -> list[TaggedSentence]:
    """Sentences of records that have arrays of strings in ``columns``, words and tags."""
    return list(_tagged(path, records, *columns))


def _tagged(
    path: Path | str, records: Iterable[tuple[int, dict[str, Any]]], words_column: str, tags_column: str
) -> Iterator[TaggedSentence]:
    for line, record in records:
        words = _strings(path, line, words_column, record[words_column])
        tags = _strings(path, line, tags_column, record[tags_column])
        if len(words) != len(tags) or not words:
            raise UserError(f"{path} line {line} has {len(words)} words and {len(tags)} tags: give every word its tag")
        yield TaggedSentence(line, words, tags)


def _strings(path: Path | str, line: int, column: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UserError(f"{path} line {line}: column {column!r} is no array: write an array of strings")
    for part in value:
        if not isinstance(part, str) or len(part.split()) != 1 or part != part.strip():
            raise UserError(
                f"{path} line {line}: column {column!r} holds {part!r:.40}, which is no word or tag of its own (a "
                "string without white space): correct it"
            )
    return tuple(value)
