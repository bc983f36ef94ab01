"""Types of options that click does not have."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from spk2loihi.errors import UserError
from spk2loihi.ranges import shown

_NAME_MAX, _PATH_MAX = 255, 4095  # bytes


class _Path(click.Path):
    """A path with names that a file system can have."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        encoded = os.fsencode(path)
        longest = max(map(len, encoded.split(os.sep.encode())))
        if longest > _NAME_MAX or len(encoded) > _PATH_MAX:
            raise UserError(
                f"{os.fsdecode(path)} cannot be written or read, because a name of {longest:,} bytes in a path of "
                f"{len(encoded):,} is too long: a name has at most {_NAME_MAX}, a path {_PATH_MAX}"
            )
        return path


PATH = _Path(path_type=Path)

#: As the file of `--json`: numbers go to standard output, and everything else to standard error.
STANDARD_OUTPUT = Path("-")


class Several(click.ParamType[Any]):
    """Values separated by commas, each of the type that the option has where it takes one."""

    def __init__(self, of: click.ParamType[Any] | type) -> None:
        self.of = click.types.convert_type(of)
        self.name = f"{self.of.name},..."

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        if isinstance(self.of, click.Choice):
            return f"[{'|'.join(map(str, self.of.choices))}],..."
        return self.name.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        parts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
        name = "" if param is None else str(param.name)
        if isinstance(self.of, click.Choice):  # the library says what it makes of other names
            return tuple(dict.fromkeys(str(part).strip() for part in parts))
        kind = int if isinstance(self.of, click.types.IntParamType) else float
        try:
            numbers = tuple(kind(part) for part in parts)
            if not numbers or not all(math.isfinite(number) for number in numbers):
                raise ValueError
        except (ValueError, OverflowError):
            what = "whole numbers" if kind is int else "numbers"
            text = value if isinstance(value, str) else ",".join(map(str, value))
            raise UserError(f"`{name}` is {shown(text)}, but it is {what} separated by commas: e.g. 4,8") from None
        return numbers
