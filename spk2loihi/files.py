"""Writing files so that they are whole or absent."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from spk2loihi.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call ``write`` on a temporary name beside ``path``, then rename. Devices and pipes are refused, not replaced."""
    if path.exists() and not path.is_file():
        raise UserError(f"{path} cannot be written, because it is a folder or a device: choose another `out`")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): choose another `out`") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def open_regular(path: Path, what: str, remedy: str) -> BinaryIO:
    """Open a file for reading. A pipe or a device, which may never end, is refused without being read.

    Args:
        what: the file is, for the error: "price file".
        remedy: what helps, for the error.

    Raises:
        UserError: there is no such file, it is no regular file, or it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist: {remedy}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{what} {path} cannot be read ({reason}): {remedy}") from None
    raise UserError(f"{what} {path} is a folder, a pipe or a device, not a file: {remedy}")


def read_limited(path: Path, what: str, remedy: str, limit: int) -> bytes:
    """Contents of a small file.

    Args:
        limit: in bytes; a longer file is refused.

    Raises:
        UserError: as `open_regular`, or longer than ``limit``.
    """
    with open_regular(path, what, remedy) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UserError(f"{what} {path} is longer than {limit:,} bytes: {remedy}")
    return content


def write_json(path: Path, content: dict[str, Any] | list[dict[str, Any]]) -> None:
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy scalars and arrays unpacked, NaN and infinity to None, the rest to text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def check_writable(*paths: Path | None, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output place before hours of work, not after."""
    for path in paths:
        if path is not None:
            try:
                _check_writable(path)
            except OSError as error:
                raise UserError(f"{path} cannot be written ({error.strerror or error}): choose another `out`") from None
            if any(same.exists() and path.exists() and path.samefile(same) for same in inputs):
                raise UserError(f"{path} is the file to read, so it cannot be written: choose another `out`")


def _check_writable(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder or a device, not a file: choose another `out`")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{path} cannot be written, because {parent} is not a folder: choose another `out`")
    made = Path(tempfile.mkdtemp(dir=parent, prefix=".spk2loihi-"))  # permissions do not tell for every file system
    made.rmdir()
