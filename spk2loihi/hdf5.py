"""Read HDF5 files from anywhere: libhdf5 runs in a process of its own (`spk2loihi.hdf5_child`), with limits."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.files import Sink, Write, open_regular

ALIGNMENT = 8  # bytes, of every array in the answer of the child
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHILD = Path(__file__).with_name("hdf5_child.py")
_MOST = 8 << 30  # bytes that a file may unpack to, however long it is
_PIPE_BYTES = 1 << 20  # one answer takes dozens of reads, not hundreds
_WALL_SECONDS = 60  # the child has seconds of processor time; this ends one that sleeps


@dataclass(frozen=True)
class Dataset:
    """Contents of a dataset, read only.

    Attributes:
        array: None where the type is neither number nor string.
    """

    name: str
    array: NDArray[Any] | None
    attrs: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Kind of its numpy type; ``V`` where it has none."""
        return "V" if self.array is None else self.array.dtype.kind

    @property
    def type_name(self) -> str:
        return "compound" if self.array is None else str(self.array.dtype)

    @property
    def value(self) -> NDArray[Any]:
        """Raises `ValueError` where the type is neither number nor string."""
        if self.array is None:
            raise ValueError(f"{self.name} holds neither numbers nor text")
        return self.array


@dataclass(frozen=True)
class Group:
    """A group: names to groups and datasets. A name may be a path."""

    file: str
    name: str
    attrs: dict[str, str] = field(default_factory=dict)
    items: dict[str, Group | Dataset] = field(default_factory=dict)

    def get(self, name: str) -> Group | Dataset | None:
        item: Group | Dataset | None = self
        for part in name.split("/"):
            item = item.items.get(part) if isinstance(item, Group) else None
        return item

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def group(self, name: str) -> Group:
        """Raises `KeyError` where there is no such group."""
        item = self.get(name)
        if not isinstance(item, Group):
            raise KeyError(f"{name} is missing" if item is None else f"{name} is no group")
        return item

    def value(self, name: str) -> NDArray[Any]:
        """Contents of a dataset; raises `KeyError` where there is none."""
        item = self.get(name)
        if not isinstance(item, Dataset):
            raise KeyError(f"{name} is missing" if item is None else f"{name} is no dataset")
        return item.value

    def datasets(self, prefix: str = "") -> Iterator[tuple[str, Dataset]]:
        """Every dataset below, with its path, in order."""
        for name, item in self.items.items():
            if isinstance(item, Group):
                yield from item.datasets(f"{prefix}{name}/")
            else:
                yield prefix + name, item


def read_hdf5(path: Path, what: str, remedy: str) -> Group:
    """Everything in an HDF5 file.

    Args:
        what: the file is, for the errors: "network file".
        remedy: what helps, for the errors.

    Raises:
        UserError: missing, not HDF5, damaged, linked to other files, or larger unpacked than its length allows.
    """
    with open_regular(path, what, remedy) as file:
        size = os.fstat(file.fileno()).st_size
        if not _is_hdf5(file.read(8), file, size):
            raise UserError(f"{what} {path} is not an HDF5 file: {remedy}")
    code, answer = _ask_child(path)
    if code is None:
        raise UserError(f"{what} {path} is damaged (reading it takes more than a minute): {remedy}")
    length = int.from_bytes(answer[:8], "little")
    if code or len(answer) < 8 + length or not length:
        raise UserError(f"{what} {path} is damaged (libhdf5 stops at it, {_ended(code)}): {remedy}")
    header = json.loads(answer[8 : 8 + length])
    if "refused" in header:
        raise UserError(f"{what} {path} is damaged or truncated, or not to be trusted ({header['refused']}): {remedy}")
    return _tree(str(path), header["items"], answer, 8 + length)


def _ask_child(path: Path) -> tuple[int | None, bytes]:
    """Exit code, None where it takes too long, and what the child writes."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PATH": os.devnull}
    child = subprocess.Popen(
        [sys.executable, "-I", str(_CHILD), str(path.absolute()), str(_MOST), str(os.getpid())],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        pipesize=_PIPE_BYTES,
    )  # fmt: skip
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(_WALL_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        with child:
            assert child.stdout is not None
            answer = child.stdout.read()
    except BaseException:
        child.kill()
        raise
    finally:
        timer.cancel()
    return None if late.is_set() else child.returncode, answer


def hdf5_writer(fill: Callable[[Any], object]) -> Write:
    """Writes the HDF5 file that ``fill`` puts into an open ``h5py.File``.

    It is made in memory: libhdf5 ends the process when it has to close a file on a full disk.
    """

    def write(sink: Sink) -> None:
        import h5py

        memory = io.BytesIO()
        with h5py.File(memory, "w") as file:
            fill(file)
        sink.write(memory.getbuffer())

    return write


def write_tree(tree: Group, file: Any) -> None:
    """Write everything in ``tree`` into an open ``h5py.File`` or group; attributes are left out."""
    for name, dataset in tree.datasets():
        if dataset.array is not None:
            file[name] = dataset.array


def _is_hdf5(first: bytes, file: Any, size: int) -> bool:
    """The signature stands at 0, 512, 1024, ...: whatever comes before is the user's."""
    at = 512
    while first != SIGNATURE and at < size:
        file.seek(at)
        first, at = file.read(8), 2 * at
    return first == SIGNATURE


def _ended(code: int) -> str:
    import signal

    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _tree(file: str, records: list[dict[str, Any]], data: bytes, at: int) -> Group:
    root = Group(file, "/", records[0]["attributes"])
    for record in records[1:]:
        parent, _, name = record["path"].rpartition("/")
        place = root.group(parent) if parent else root
        path, attributes = f"/{record['path']}", record["attributes"]
        if "dtype" not in record:
            place.items[name] = Group(file, path, attributes)
        elif record["dtype"] is None:
            place.items[name] = Dataset(path, None, attributes)
        else:
            dtype, shape, size = np.dtype(record["dtype"]), tuple(record["shape"]), record.get("bytes", 0)
            values = (
                np.frombuffer(data, dtype, int(np.prod(shape)), at).reshape(shape) if size else np.zeros(shape, dtype)
            )
            place.items[name] = Dataset(path, values, attributes)
            at += size + -size % ALIGNMENT
    return root
