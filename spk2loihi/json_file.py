"""JSON files that a user writes by hand: small, of plain numbers and texts, every key once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import read_limited
from spk2loihi.formatting import printable

SIZE_MAX = 1 << 20  # bytes
_DEPTH_MAX = 16
_DIGITS_MAX = 18
_TEXT_MAX = 1000  # characters of a text


def read_json(path: Path, what: str, remedy: str, limit: int = SIZE_MAX, text_max: int = _TEXT_MAX) -> Any:
    """What a JSON file holds.

    Args:
        what: the file is, for the errors: "price file".
        remedy: what helps, for the errors.
        limit: in bytes.
        text_max: characters that a text in it may have.

    Raises:
        UserError: it cannot be read, or is no JSON, or holds a key twice, a number that is not finite or has too many
            digits, a text that is too long or no text, or is nested too deep.
    """
    content = read_limited(path, what, remedy, limit)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{what} {path} is not UTF-8 (line {line}): save it in UTF-8") from None
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_fraction
        )
        _check(found, _DEPTH_MAX, text_max)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else first_line(error)
        raise UserError(f"{what} {path} is not JSON that can be used ({reason}): mend it at that place") from None
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {key[:40]!r} is there twice")
        made[key] = value
    return made


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a finite number")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"a number has {len(digits)} digits, and at most {_DIGITS_MAX} are read")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


def _check(value: Any, depth: int, text_max: int) -> None:
    if isinstance(value, str):
        if len(value) > text_max:
            raise ValueError(f"a text has {len(value):,} characters, and at most {text_max:,} are read")
        if any(printable(line) != line for line in value.split("\n")):
            raise ValueError(f"the text {value[:40]!r} has control characters")
    elif isinstance(value, (dict, list)):
        if not depth:
            raise ValueError(f"it is nested more than {_DEPTH_MAX} deep")
        if isinstance(value, dict):
            _check(list(value), depth, text_max)
        for each in value.values() if isinstance(value, dict) else value:
            _check(each, depth - 1, text_max)
