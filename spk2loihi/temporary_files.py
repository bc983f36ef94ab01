"""Names and folders of files that are being made, and what is left of them when a process is killed."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from spk2loihi.errors import UserError

_NAME_MAX = 200  # bytes of a name that a temporary name still has room for
_FOLDER = re.compile(r"spk2loihi-(\d+)-\w+")


def temporary_name(path: Path) -> Path:
    """What ``path`` is called while this process writes it."""
    return path.with_name(f".{_short(path.name)}.{os.getpid()}.tmp")


def lock_name(path: Path) -> Path:
    """The file that is locked while a process makes ``path``."""
    return path.with_name(f".{_short(path.name)}.lock")


def _short(name: str) -> str:
    encoded = os.fsencode(name)
    return name if len(encoded) <= _NAME_MAX else hashlib.sha256(encoded).hexdigest()[:32]


def remove_leftovers(*paths: Path) -> None:
    """Remove half-written copies of these files and folders. The caller has locked them, so nobody writes one now."""
    for path in paths:
        for leftover in path.parent.glob(f".{glob.escape(_short(path.name))}.*.tmp"):
            remove_if_there(leftover)


def remove_dead_leftovers(*paths: Path) -> None:
    """Remove half-written copies of these files and folders whose process has ended."""
    for path in paths:
        pattern = re.compile(rf"\.{re.escape(_short(path.name))}\.(\d+)\.(?:(?:new|old)\.)?tmp")
        try:
            names = os.listdir(path.parent)
        except OSError:
            continue
        for name in names:
            match = pattern.fullmatch(name)
            if match is not None and not _written_by(int(match[1]), path.with_name(name)):
                remove_if_there(path.with_name(name))


def remove_if_there(leftover: Path) -> None:
    """Remove a file or a folder, if that is possible."""
    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        with suppress(OSError):
            leftover.unlink(missing_ok=True)


def _written_by(process: int, path: Path) -> bool:
    """Whether ``process`` lives, and did when ``path`` was last written: numbers of processes are used again."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # of another user
    try:
        ticks = int(
            Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
        booted = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(encoding="utf-8"), re.MULTILINE)
        assert booted is not None
        started = int(booted[1]) + ticks / os.sysconf("SC_CLK_TCK")
        return path.stat().st_mtime >= started - 2  # btime is in whole seconds
    except (OSError, ValueError, IndexError, AssertionError):
        return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the system's temporary files, removed at the end; those of killed processes are removed now.

    Raises:
        UserError: it cannot be made.
    """
    remove_dead_folders()
    with ExitStack() as stack:
        try:
            made = TemporaryDirectory(prefix=f"spk2loihi-{os.getpid()}-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            stack.enter_context(_lock_folder(folder))
        except OSError as error:
            raise UserError(
                f"no temporary folder can be made ({error.strerror or error}): make room, or set TMPDIR to a folder "
                "that can be written"
            ) from None
        yield folder


def remove_dead_folders() -> None:
    """Remove folders of `temporary_folder` whose process was killed.

    Nobody holds the lock of such a folder, and no process of its number is old enough to have made it. One of the two
    would not do: containers that share a folder number their processes anew, and not every file system has locks.
    """
    try:
        shared = gettempdir()
        names = os.listdir(shared)
    except OSError:
        return
    for name in names:
        match, path = _FOLDER.fullmatch(name), Path(shared, name)
        if match is None or path.is_symlink() or _written_by(int(match[1]), path):
            continue
        with suppress(OSError), _lock_folder(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock_folder(path: Path) -> Iterator[None]:
    """Raises OSError where another process has locked it."""
    try:
        import fcntl
    except ImportError:  # a system without it
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise
        yield
    finally:
        os.close(descriptor)
