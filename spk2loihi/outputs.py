"""Places to write to: checked and locked before the work, so that nothing a user has is lost."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spk2loihi.errors import UserError
from spk2loihi.files import real, unwritable
from spk2loihi.results import FOLDERS, replaceable
from spk2loihi.temporary_files import lock_name, remove_dead_folders, remove_dead_leftovers

Kind = Literal["model", "network", "converted", "arrays", "page", "numbers", "run", "teacher", "bundle", "state"]

_FOLDER_LOCK = "made"  # the file .made.lock, in a folder that a sweep or a demo fills
_INPUTS = ("train_file", "dev_file", "data_dir", "dataset", "corpus", "teacher", "student", "coefficients", "board")


@dataclass(frozen=True)
class Output:
    """A file that will be written, or a folder that will be replaced.

    Attributes:
        what: it is, for errors: "network file".
        kind: a result that it may replace; None: whatever is there, by its name (a state to resume from).
        parameter: decides its place, for errors.
    """

    path: Path
    what: str
    kind: Kind | None
    parameter: str = "out"


class Busy(UserError):
    """Another process has an output."""


class Claim:
    """Outputs that are checked and locked."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = outputs

    def reads(self, inputs: Iterable[Path]) -> None:
        """Refuse inputs that are known only now, as the data that a network remembers, if they are outputs."""
        _check_inputs(self.outputs, inputs)


def numbers_output(path: Path) -> Output:
    """Of ``--json``."""
    return Output(path, "file of numbers", "numbers", "json_file")


def named_inputs(options: Mapping[str, Any]) -> list[Path]:
    """Files and folders that options of a command name, or the task record of a network; those that exist."""
    found: list[Path] = []
    for name in _INPUTS:
        given = options.get(name)
        for value in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(value, (str, os.PathLike)):
                text = os.path.expanduser(os.fspath(value))
                places = [text, text.rpartition(":")[0]] if name == "dataset" else [text]
                found += [Path(place) for place in places if place and os.path.lexists(place)]
    return found


@contextlib.contextmanager
def claim(
    outputs: Sequence[Output], inputs: Iterable[Path] = (), *, force: bool = False, folder: Path | None = None
) -> Iterator[Claim]:
    """Check outputs (`check_outputs`), and keep other processes from writing them meanwhile.

    Args:
        folder: where more is written than ``outputs`` says; one process at a time may do so.

    Raises:
        Busy: another process has an output.
        UserError: as `check_outputs`; or an outer claim of this process has an output.
    """
    remove_dead_folders()
    check_outputs(outputs, inputs, force=force)
    with contextlib.ExitStack() as stack:
        if folder is not None:
            stack.enter_context(_locked(Output(folder, "folder", None), real(folder) / _FOLDER_LOCK))
        for output in outputs:
            stack.enter_context(_locked(output, real(output.path)))
            remove_dead_leftovers(real(output.path))
        yield Claim(outputs)


def check_outputs(outputs: Sequence[Output], inputs: Iterable[Path] = (), *, force: bool = False) -> None:
    """Refuse a place before hours of work, not after.

    Args:
        inputs: files and folders that are read.
        force: files that are no results of this program may be replaced; inputs and other outputs never.

    Raises:
        UserError: an output cannot be written, is an input, another output, or no result of this program.
    """
    for output in outputs:
        try:
            _check_writable(output)
        except OSError as error:
            raise unwritable(output.path, error, output.parameter) from None
    for i, output in enumerate(outputs):
        for other in outputs[:i]:
            if _same(output.path, other.path) or _replaces(output, other.path) or _replaces(other, output.path):
                raise _twice(output, other)
        for place, (_, other) in list(_held.items()):
            if other.parameter != output.parameter and (_same(output.path, place) or _replaces(output, place)):
                raise _twice(output, other)
    _check_inputs(outputs, inputs)
    for output in outputs:
        try:
            foreign = not force and output.kind is not None and not replaceable(output.path, output.kind)
        except OSError as error:
            raise unwritable(output.path, error, output.parameter) from None
        if foreign:
            raise UserError(
                f"{output.path} exists, and is no {output.what} that spk2loihi wrote: choose another "
                f"`{output.parameter}`, or replace it with `force`"
            )


def _check_writable(output: Output) -> None:
    path = output.path
    if path.exists() and not (path.is_dir() if output.kind in FOLDERS else path.is_file()):
        wanted = "a folder" if output.kind in FOLDERS else "a file"
        there = "a folder or a device" if output.kind not in FOLDERS else "something else"
        raise UserError(
            f"{path} cannot be written, because it is {there}, not {wanted}: choose another `{output.parameter}`"
        )
    parent = real(path).parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(
            f"{path} cannot be written, because {parent} is not a folder: choose another `{output.parameter}`"
        )
    made = Path(tempfile.mkdtemp(dir=parent, prefix=".spk2loihi-"))  # permissions do not tell for every file system
    made.rmdir()


def _check_inputs(outputs: Sequence[Output], inputs: Iterable[Path]) -> None:
    for given in inputs:
        for output in outputs:
            if _same(output.path, given) or _replaces(output, given) or _belongs(output, given):
                raise UserError(
                    f"{output.path}, the {output.what}, would replace what is read from {given}: choose another "
                    f"`{output.parameter}`"
                )


def _same(a: Path, b: Path) -> bool:
    """One file, by whatever names; of files that do not exist yet, one place."""
    try:
        return os.path.samefile(a, b)
    except (OSError, ValueError):
        return real(a) == real(b)


def _replaces(output: Output, path: Path) -> bool:
    """``output`` is a folder that is replaced, and ``path`` lies in it."""
    return output.kind in FOLDERS and real(path).is_relative_to(real(output.path))


def _belongs(output: Output, given: Path) -> bool:
    """``given`` is a folder that is read, and ``output`` a file in it that this program has not made."""
    if not given.is_dir() or not real(output.path).is_relative_to(real(given)) or not output.path.exists():
        return False
    try:
        return output.kind is not None and not replaceable(output.path, output.kind)
    except OSError:
        return True


def _twice(output: Output, other: Output) -> UserError:
    return UserError(
        f"{output.path} would be written twice, as the {other.what} and as the {output.what}: choose another "
        f"`{output.parameter}`"
    )


# --- locks

_held: dict[Path, tuple[int, Output]] = {}  # by this process: its own POSIX locks do not stop it
_guard = threading.Lock()


@contextlib.contextmanager
def _locked(output: Output, place: Path) -> Iterator[None]:
    """Hold the lock of ``place``. It ends with the process, however that ends, and its children do not inherit it."""
    with _guard:
        holder = _held.get(place)
        if holder is None:
            _held[place] = (threading.get_ident(), output)
    if holder is not None:
        if holder[0] == threading.get_ident():
            raise _twice(output, holder[1])
        raise _busy(output, "this process, in another thread")
    try:
        if os.environ.get("RANK", "0") != "0":  # of the processes that train as one, the first writes
            yield
        else:
            with _lock_file(output, lock_name(place)):
                yield
    finally:
        with _guard:
            del _held[place]


@contextlib.contextmanager
def _lock_file(output: Output, path: Path) -> Iterator[None]:
    made: list[Path] = []
    descriptor: int | None = None
    try:
        try:
            made = _make_folders(path.parent)
            descriptor = _lock(output, path)
        except OSError as error:
            raise unwritable(output.path, error, output.parameter) from None
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                path.unlink()  # still locked: whoever waits for it sees that it is gone
            os.close(descriptor)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing has come of it


def _make_folders(folder: Path) -> list[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(output: Output, path: Path) -> int | None:
    """None where files cannot be locked: on a system or a file system without it."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.lexists(path) and os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                with contextlib.suppress(OSError):  # a full disk: nobody learns who holds it
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, _who().encode("utf-8", "replace")[:1000])
                return descriptor
        except OSError as error:
            holder = os.read(descriptor, 1000).decode("utf-8", "replace") if error.errno in _TAKEN else ""
            os.close(descriptor)
            if error.errno in _TAKEN:
                raise _busy(output, holder or "another process") from None
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
                raise
            path.unlink(missing_ok=True)
            return None
        os.close(descriptor)  # removed by whoever held it: another one is the lock now


_TAKEN = (errno.EACCES, errno.EAGAIN)


def _who() -> str:
    command = shlex.join([Path(sys.argv[0] or "python").name, *sys.argv[1:]])
    return f"process {os.getpid()} ({command[:200]})"


def _busy(output: Output, holder: str) -> Busy:
    line = holder.splitlines()[0]
    return Busy(
        f"{output.path} is being written by {line}: wait until it has ended, or choose another `{output.parameter}`"
    )
