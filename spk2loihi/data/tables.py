"""Named columns out of CSV, TSV and JSON-lines files, with the line number every row starts on.

Files are UTF-8, with or without a byte order mark. The suffix decides the format:

* ``.csv``: commas, a header, quoting as RFC 4180 has it (a quoted cell may hold commas, quotes and line breaks);
* ``.tsv``: tabs, a header, no quoting: a quotation mark is an ordinary character, as in GLUE;
* ``.jsonl``, ``.ndjson``: one JSON object a line;
* ``.parquet``: see `spk2loihi.data.parquet`.

Lines that are wholly blank are no rows. Every complaint is a UserError naming the file and, where there is one, the
line.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spk2loihi.errors import UserError
from spk2loihi.files import open_regular
from spk2loihi.formatting import printable

logger = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

_TABLE_MAX = 1 << 29  # bytes; the largest table of GLUE, MNLI's with its parses, has 0.4 GB
_CELL_MAX = 2**31 - 1  # characters that the csv module takes; its own default refuses long texts
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}

COLUMN_OPTIONS = "name the right ones with `text_column`, `text_pair_column` and `label_column`"


class Row(NamedTuple):
    """The requested cells of one row, and the line of the file (from 1) on which the row starts."""

    line: int
    cells: tuple[str, ...]


def listing(names: Iterable[str]) -> str:
    """Names for an error message: quoted, each cut to 40 characters, at most 20 of them."""
    shown = [repr(name if len(name) <= 40 else name[:39] + "…") for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def read_table(path: Path, columns: Sequence[str], *, fractions: bool = False, separator: str = "") -> list[Row]:
    """The named columns of a CSV, TSV or JSON-lines file, cells in the order of ``columns``.

    JSON integers and booleans become text (``1``, ``true``), and so do fractions in the last column where
    ``fractions`` allows them, for labels of a regression; elsewhere they are taken for a wrong column. JSON arrays of
    strings in the last column are joined by ``separator``, where there is one. Raises UserError
    for a file that cannot be read or decoded, an unknown suffix, a missing or ambiguous column, a ragged row and
    malformed CSV or JSON.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return list(_pick(path, _csv_records(path), columns, COLUMN_OPTIONS))
    if suffix == ".tsv":
        return read_tsv(path, columns, remedy=COLUMN_OPTIONS)
    if suffix in (".jsonl", ".ndjson"):
        return record_rows(path, jsonl_records(path, columns), columns, fractions=fractions, separator=separator)
    if suffix == ".parquet":
        from spk2loihi.data.parquet import parquet_records

        return record_rows(path, parquet_records(path, columns), columns, fractions=fractions, separator=separator)
    raise UserError(
        f"{path} has the suffix {suffix!r}, but tables end in {', '.join(TABLE_SUFFIXES)}: convert or rename the file"
    )


def read_tsv(
    path: Path,
    columns: Sequence[str],
    *,
    remedy: str,
    header: Sequence[str] | None = None,
    skip_ragged: bool = False,
) -> list[Row]:
    """The named columns of a tab-separated file without quoting; lines end at a line feed and nowhere else.

    ``header`` names the columns of a file that has no header line. ``remedy`` ends the message about a missing column.
    ``skip_ragged`` leaves out rows with too few or too many cells, with one warning in the log, where the default
    refuses them. Raises UserError as ``read_table`` does.
    """
    # Not str.splitlines: it also breaks at form feeds, U+0085 and U+2028, which occur inside sentences.
    lines = read_text(path).split("\n")
    records = ((n, line.removesuffix("\r").split("\t")) for n, line in enumerate(lines, start=1) if line.strip())
    return list(_pick(path, records, columns, remedy, header=header, skip_ragged=skip_ragged))


def read_text(path: Path, remedy: str = "check `data_dir`, `train_file` or `dev_file`", limit: int = _TABLE_MAX) -> str:
    """A UTF-8 file without its byte order mark.

    Args:
        remedy: ends the error about a file that cannot be read.
        limit: in bytes.

    Raises:
        UserError: it cannot be read or decoded, is a pipe or a device, is longer than ``limit``, or has null bytes.
    """
    data = _read_bytes(path, remedy, limit)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16: save the file in UTF-8")
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise UserError(
            f"{path} line {line} holds a null byte, so it is no text, or damaged there: save the file as text in UTF-8"
        )
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} line {line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file in UTF-8"
        ) from error


def _read_bytes(path: Path, remedy: str, limit: int) -> bytes:
    with open_regular(path, "data file", remedy) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise UserError(f"data file {path} has {size:,} bytes, and at most {limit:,} are read: part it")
        start = file.read(1 << 16)
        return start if b"\0" in start else start + file.read()  # a sparse file is nothing but null bytes


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    # strict: an unclosed quote would otherwise swallow the rest of the file as one cell.
    csv.field_size_limit(_CELL_MAX)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{path} line {line}: malformed CSV ({error}): correct the quoting of this row") from error
        if record:
            yield line, record


def _pick(
    path: Path,
    records: Iterator[tuple[int, list[str]]],
    columns: Sequence[str],
    remedy: str,
    *,
    header: Sequence[str] | None = None,
    skip_ragged: bool = False,
) -> Iterator[Row]:
    if header is None:
        first = next(records, None)
        if first is None:
            raise UserError(f"{path} is empty: give a file with a header line and at least one row of data")
        header = [name.strip() for name in first[1]]
    places = [_place(path, header, column, remedy) for column in columns]
    skipped: list[int] = []
    for line, record in records:
        if len(record) == len(header):
            yield Row(line, tuple(record[place] for place in places))
        elif skip_ragged:
            skipped.append(line)
        else:
            raise UserError(
                f"{path} line {line} has {len(record)} columns where {len(header)} are expected: "
                "correct or remove the row"
            )
    if skipped:
        logger.warning("%s: skipped %d broken rows, the first on line %d", printable(path), len(skipped), skipped[0])


def _place(path: Path, header: Sequence[str], column: str, remedy: str) -> int:
    count = header.count(column)
    if count == 0:
        _refuse_separator(path, header)
        raise UserError(f"{path} has no column {column!r}, its columns are {listing(header)}: {remedy}")
    if count > 1:
        raise UserError(f"{path} has {count} columns named {column!r} where 1 is allowed: rename the others")
    return header.index(column)


def _refuse_separator(path: Path, header: Sequence[str]) -> None:
    """Raises UserError where the only column is several, parted by something else than the suffix says."""
    found = next((mark for mark in _SEPARATORS if mark in header[0]), None) if len(header) == 1 else None
    if found is not None:
        wanted = "commas" if path.suffix.lower() == ".csv" else "tabs"
        rename = {"\t": "rename it to .tsv, or ", ",": "rename it to .csv, or "}.get(found, "")
        raise UserError(
            f"{path} is separated by {_SEPARATORS[found]}, where {wanted} are expected (its first line is "
            f"{header[0][:60]!r}): {rename}save it with {wanted}"
        )


def jsonl_records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSON-lines file that have ``columns``, with their lines; raises UserError as ``read_table`` does."""
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            # A decoder's own text counts lines from this one; only its column helps.
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise UserError(f"{path} line {line}: malformed JSON ({reason}): write one JSON object a line") from error
        if not isinstance(record, dict):
            raise UserError(f"{path} line {line}: found a JSON {_json_type(record)}: write one JSON object a line")
        for column in columns:
            if column not in record:
                raise UserError(
                    f"{path} line {line} has no column {column!r}, its columns are {listing(record)}: {COLUMN_OPTIONS}"
                )
        yield line, record


def record_rows(
    path: Path | str,
    records: Iterable[tuple[int, dict[str, Any]]],
    columns: Sequence[str],
    *,
    fractions: bool,
    separator: str,
) -> list[Row]:
    """Rows of records that have ``columns``, as `read_table` makes them; ``path`` names their source in errors."""
    return list(_record_rows(path, records, columns, fractions, separator))


def _record_rows(
    path: Path | str,
    records: Iterable[tuple[int, dict[str, Any]]],
    columns: Sequence[str],
    fractions: bool,
    separator: str,
) -> Iterator[Row]:
    for line, record in records:
        cells = [_json_cell(path, line, column, record[column], False) for column in columns[:-1]]
        label, column = record[columns[-1]], columns[-1]
        if separator and isinstance(label, list):
            parts = [_json_cell(path, line, column, part, False) for part in label]
            if bad := [part for part in parts if separator in part]:
                raise UserError(
                    f"{path} line {line}: the label {bad[0]!r} in column {column!r} holds a {separator!r}, which parts "
                    "labels: rename it"
                )
            cells.append(separator.join(parts))
        else:
            cells.append(_json_cell(path, line, column, label, fractions))
        yield Row(line, tuple(cells))


def _json_cell(path: Path | str, line: int, column: str, value: Any, fractions: bool) -> str:
    if isinstance(value, (bool, int)) or (fractions and isinstance(value, float)):
        return json.dumps(value)
    if not isinstance(value, str):
        raise UserError(
            f"{path} line {line}: column {column!r} holds a JSON {_json_type(value)}: write a string or an integer"
        )
    # JSON can spell half a surrogate pair, which no tokenizer accepts.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UserError(f"{path} line {line}: column {column!r} holds half a surrogate pair: correct the \\u escape")
    return value


def _json_type(value: Any) -> str:
    return {dict: "object", list: "array", str: "string", float: "fraction", type(None): "null"}.get(
        type(value), "number"
    )
