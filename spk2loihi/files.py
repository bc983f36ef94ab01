"""Writing files so that they are whole or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

from spk2loihi.child_processes import deferred_signals
from spk2loihi.errors import UserError, first_line
from spk2loihi.temporary_files import remove_dead_leftovers, remove_if_there, temporary_name

logger = logging.getLogger(__name__)

Write = Callable[["Sink"], object]
"""Puts the contents of a file into a `Sink`."""

_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)  # of a file system without second names
_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Sink:
    """A file to be written. Its first failure is kept in `error`, and what comes after goes nowhere.

    A library that meets a full disk half-way through an archive raises errors of its own, or ends the process. Here it
    ends its work, and `write_together` raises the error.
    """

    def __init__(self, descriptor: int) -> None:
        self.error: OSError | None = None
        self._descriptor, self._at, self._end = descriptor, 0, 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        size, at = view.nbytes, self._at
        self._at += size
        self._end = max(self._end, self._at)
        view = view.cast("B") if size else view
        while at < self._at and self.error is None:
            try:
                done = os.pwrite(self._descriptor, view[: 1 << 30], at)
            except OSError as error:
                self.error = error.with_traceback(None)  # which would keep the data
            else:
                view, at = view[done:], at + done
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""


def _nothing() -> None:
    pass


def write_atomically(path: Path, write: Write, parameter: str = "out") -> None:
    """`write_together` of one file."""
    write_together({path: write}, parameter)


def write_together(files: Mapping[Path, Write], parameter: str = "out", then: Callable[[], object] = _nothing) -> None:
    """Write files that belong together: under temporary names beside their places first, all renamed after the last.

    A link is followed: what it leads to is replaced, and the link stays. Where the places wait for others (`together`),
    the files are renamed with those.

    Args:
        parameter: decides where they go, for the error.
        then: called when all have their names.

    Raises:
        UserError: one of the places is a folder, a pipe or a device, or cannot be written; all are as they were.
    """
    made = Batch({real(path) for path in files})
    path = Path()
    try:
        for path, write in files.items():
            if path.exists() and not path.is_file():
                raise UserError(
                    f"{path} cannot be written, because it is a folder or a device: choose another `{parameter}`"
                )
            place = real(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            remove_dead_leftovers(place)
            made.staged[place] = temporary_name(place), parameter
            _write(temporary_name(place), write)
        made.then = [then]
        waiting = _waiting.get()
        if waiting is not None and waiting.places >= made.places:
            waiting.take(made)
        else:
            made.rename()
    except OSError as error:
        raise unwritable(path, error, parameter) from None
    finally:
        made.discard()


class Batch:
    """Files that are written, but have temporary names until the last of them is.

    Attributes:
        staged: by place, the temporary name and the parameter that decides the place.
        then: called when all have their names.
    """

    def __init__(self, places: Iterable[Path]) -> None:
        self.places = set(places)
        self.staged: dict[Path, tuple[Path, str]] = {}
        self.then: list[Callable[[], object]] = []

    def take(self, other: Batch) -> None:
        self.staged |= other.staged
        self.then += other.then
        other.staged = {}

    def rename(self) -> None:
        """Give the files their names, all or none. A signal waits until all have theirs.

        Raises:
            UserError: a place cannot be written.
        """
        with deferred_signals():
            done: list[tuple[Path, Path | None]] = []
            try:
                for place, (temporary, parameter) in self.staged.items():
                    try:
                        done.append((place, _second_name(place) if len(self.staged) > 1 else None))
                        os.replace(temporary, place)
                        logger.info("wrote %s", place)
                    except OSError as error:
                        raise unwritable(place, error, parameter) from None
            except UserError:
                for place, old in done[:-1]:
                    _put_back(place, old)
                raise
            finally:
                for _, old in done:
                    if old is not None:
                        remove_if_there(old)
            self.staged = {}
            for call in self.then:
                call()
            self.then = []

    def discard(self) -> None:
        for temporary, _ in self.staged.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _second_name(place: Path) -> Path | None:
    """Under which the file at ``place`` outlives its replacement; None where there is no file yet."""
    old = temporary_name(place).with_suffix(".old.tmp")
    remove_if_there(old)
    try:
        os.link(place, old)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(place, old)
    return old


def _put_back(place: Path, old: Path | None) -> None:
    with suppress(OSError):
        place.unlink() if old is None else os.replace(old, place)


_waiting: ContextVar[Batch | None] = ContextVar("_waiting", default=None)


@contextmanager
def together(places: Iterable[Path]) -> Iterator[None]:
    """Let files that are written to these places in this block, by whatever function, be renamed together at its end.

    Where the block raises, none is. `rename_waiting` does it earlier.
    """
    batch = Batch(real(place) for place in places)
    token = _waiting.set(batch)
    try:
        yield
        batch.rename()
    finally:
        _waiting.reset(token)
        batch.discard()


def rename_waiting() -> None:
    """Give files that wait (`together`) their names now."""
    batch = _waiting.get()
    if batch is not None:
        batch.rename()


def written(path: Path) -> Path:
    """Where a file is that was written just now: at ``path``, or under a temporary name if that waits for others."""
    batch = _waiting.get()
    staged = None if batch is None else batch.staged.get(real(path))
    return path if staged is None else staged[0]


Errors = tuple[type[Exception], ...]


def write_folder(folder: Path, write: Callable[[Path], object], errors: Errors = (), parameter: str = "out") -> None:
    """Have ``write`` fill a folder of another name, then rename: a killed run leaves ``folder`` whole or as it was.

    Args:
        errors: that ``write`` raises where it cannot write, besides `OSError`.
    """
    with _made_beside(folder, write, errors, parameter) as (new, place):
        old = temporary_name(place).with_suffix(".old.tmp")
        if place.exists():
            os.replace(place, old)
        try:
            os.replace(new, place)
        except OSError:
            if old.exists():
                os.replace(old, place)
            raise
        shutil.rmtree(old, ignore_errors=True)


def fill_folder(folder: Path, write: Callable[[Path], object], errors: Errors = (), parameter: str = "out") -> None:
    """As `write_folder`, but what else is in ``folder`` stays: the files are moved into it when all are written."""
    with _made_beside(folder, write, errors, parameter) as (new, place):
        place.mkdir(exist_ok=True)
        for file in new.iterdir():
            os.replace(file, place / file.name)


@contextmanager
def _made_beside(
    folder: Path, write: Callable[[Path], object], errors: Errors, parameter: str
) -> Iterator[tuple[Path, Path]]:
    """The new folder, and where it is to be."""
    place = real(folder)
    remove_dead_leftovers(place)
    new = temporary_name(place).with_suffix(".new.tmp")
    try:
        new.mkdir(parents=True)
        write(new)
        yield new, place
    except OSError as error:
        raise unwritable(folder, error, parameter) from None
    except errors as error:
        raise UserError(
            f"{folder} cannot be written ({first_line(error)}): make room there, or choose another `{parameter}`"
        ) from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write(path: Path, write: Write) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        sink = Sink(descriptor)
        write(sink)
        if sink.error is not None:
            raise sink.error
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system can
                raise
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError, parameter: str) -> UserError:
    """The sentence for a place that the system does not let this program write."""
    remedy = "make room there, or choose" if error.errno in _ROOM else "choose"
    return UserError(f"{path} cannot be written ({error.strerror or error}): {remedy} another `{parameter}`")


def real(path: Path) -> Path:
    """Where a file lies, or would: links followed, nothing relative."""
    return Path(os.path.realpath(path))


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


def exists(path: Path) -> bool:
    """Whether there is such a file, whatever the name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


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


def write_json(path: Path, content: dict[str, Any] | list[dict[str, Any]], parameter: str = "out") -> None:
    write_atomically(path, json_writer(content), parameter)


def json_text(content: dict[str, Any] | list[dict[str, Any]]) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def json_writer(content: dict[str, Any] | list[dict[str, Any]]) -> Write:
    return text_writer(json_text(content))


def text_writer(text: str) -> Write:
    encoded = text.encode("utf-8")
    return lambda sink: sink.write(encoded)


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
