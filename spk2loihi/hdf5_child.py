"""Read a whole HDF5 file of numbers and strings, as a program: `python hdf5_child.py FILE MAX_BYTES [READER_PID]`.

libhdf5 trusts a file: it loops for ever on a heap of zeros, allocates what a header asks for, and opens whatever other
file a link names. So a file from a stranger is walked here, in a process that has seconds, a share of memory and no
right to open anything else, and the reader (`spk2loihi.hdf5`) gets plain arrays. Imports nothing of this package.

Standard output: 8 bytes with the length of a JSON header, the header, then the arrays one after another.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import resource
import signal
import struct
import sys
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

ALLOWANCE = 64 << 20  # bytes that any file may hold unpacked, and so much more for each of its own:
EXPANSION = 16
SECONDS = 3  # of processor time, and so many more:
SECONDS_PER_BYTE = 1 / (20 << 20)
_ALIGNMENT = 8  # bytes, of every array
_HEADROOM = 256 << 20  # bytes of memory for libhdf5 itself
_DEFLATE_MAX = 1032  # deflate packs no tighter: https://zlib.net/zlib_tech.html
_OBJECTS_MAX, _DEPTH_MAX, _NAME_MAX, _ATTRIBUTES_MAX = 20_000, 16, 200, 64
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
_HEAP, _HEAP_OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HH4xQ")


class Refused(Exception):
    """What is wrong with the file."""


def check_heaps(raw: mmap.mmap) -> None:
    """Every global heap holds objects that end within it, or libhdf5 walks it for ever.

    HDF5 File Format Specification 3.0, section III.E.
    """
    at = raw.find(b"GCOL")
    while at >= 0:
        if at + _HEAP.size <= len(raw):
            _, version, size = _HEAP.unpack_from(raw, at)
            if version == 1 and raw[at + 5 : at + 8] == b"\0\0\0":
                _check_heap(raw, at, size)
        at = raw.find(b"GCOL", at + 4)


def _check_heap(raw: mmap.mmap, start: int, size: int) -> None:
    end, at = start + size, start + _HEAP.size
    if end > len(raw):
        raise Refused(f"a heap of {size} bytes passes the end of the file")
    while at + _HEAP_OBJECT.size <= end:
        index, _, length = _HEAP_OBJECT.unpack_from(raw, at)
        # the free space, object 0, counts its own header, and comes last
        step = length if index == 0 else _HEAP_OBJECT.size + (length + 7) // 8 * 8
        if step < _HEAP_OBJECT.size or at + step > end:
            raise Refused("a heap is damaged")
        at += step


class Walk:
    """Everything in a file, within limits.

    Attributes:
        items: a record of each group and dataset, in the order of `arrays`.
        arrays: contents of the datasets that have any.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.items: list[dict[str, Any]] = []
        self.arrays: list[np.ndarray[Any, Any]] = []
        self._seen: set[Any] = set()

    def group(self, group: h5g.GroupID, path: str = "", depth: int = 0) -> None:
        if depth > _DEPTH_MAX:
            raise Refused(f"groups are nested more than {_DEPTH_MAX} deep")
        self._visit(group, path)
        self.items.append({"path": path, "attributes": _attributes(group, path)})
        for raw in group:
            name = raw.decode("utf-8", "surrogateescape")
            if len(name) > _NAME_MAX:
                raise Refused(f"a name has {len(name)} characters")
            inner = f"{path}/{name}" if path else name
            if group.links.get_info(raw).type != h5l.TYPE_HARD:
                raise Refused(f"{inner} is a link to something else, and only what the file itself holds is read")
            item = h5o.open(group, raw)
            if isinstance(item, h5g.GroupID):
                self.group(item, inner, depth + 1)
            elif isinstance(item, h5d.DatasetID):
                self._dataset(item, inner)
            else:
                raise Refused(f"{inner} is neither a group nor a dataset")

    def _visit(self, item: h5g.GroupID | h5d.DatasetID, path: str) -> None:
        info = h5o.get_info(item)
        if (info.fileno, info.addr) in self._seen:
            raise Refused(f"{path} is linked to twice")
        self._seen.add((info.fileno, info.addr))
        if len(self._seen) > _OBJECTS_MAX:
            raise Refused(f"it holds more than {_OBJECTS_MAX:,} objects")

    def _dataset(self, dataset: h5d.DatasetID, path: str) -> None:
        self._visit(dataset, path)
        dtype, empty = dataset.dtype, dataset.get_space().get_simple_extent_type() == h5s.NULL
        shape = (0,) if empty else dataset.shape
        record: dict[str, Any] = {"path": path, "attributes": _attributes(dataset, path), "dtype": dtype.str}
        self.items.append(record)
        record["shape"] = list(shape)
        text = dtype.kind == "O" and h5py.check_string_dtype(dtype) is not None
        if dtype.kind not in "iufbS" and not text:
            record["dtype"] = None  # whoever needs it refuses it
            return
        self._check_storage(dataset, path, math.prod(shape) * dtype.itemsize)
        if empty:
            record["dtype"] = "|S1" if text else record["dtype"]
            return
        array = np.empty(shape, dtype)
        if array.size:
            dataset.read(h5s.ALL, h5s.ALL, array)
        if text:
            each = [one if isinstance(one, bytes) else b"" for one in array.flat]
            array = np.array(each, "S").reshape(array.shape)
            record["dtype"] = array.dtype.str
            self._count(array.nbytes, path)
        record["bytes"] = array.nbytes
        self.arrays.append(array)

    def _check_storage(self, dataset: h5d.DatasetID, path: str, declared: int) -> None:
        """The file holds what the dataset declares; nothing lies elsewhere."""
        plist = dataset.get_create_plist()
        layout = plist.get_layout()
        if layout == h5d.VIRTUAL or plist.get_external_count():
            raise Refused(f"{path} lies in another file, and only what the file itself holds is read")
        filters = plist.get_nfilters()
        unknown = {plist.get_filter(i)[0] for i in range(filters)} - _FILTERS
        if unknown:
            raise Refused(f"{path} is packed with filter {min(unknown)}, which is not gzip or lzf")
        stored = dataset.get_storage_size()
        if declared > stored * (_DEFLATE_MAX if filters else 1) + 1024:
            raise Refused(f"{path} declares {declared:,} bytes, but the file holds {stored:,}")
        if layout == h5d.CHUNKED:
            self._count(math.prod(plist.get_chunk()) * dataset.dtype.itemsize - declared, path)
        self._count(declared, path)

    def _count(self, size: int, path: str) -> None:
        self.total += max(0, size)
        if self.total > self.limit:
            raise Refused(
                f"it unpacks to more than {self.limit >> 20:,} MiB, at {path}, which its own length rules out"
            )


def _attributes(item: h5g.GroupID | h5d.DatasetID, path: str) -> dict[str, str]:
    """Attributes that are strings."""
    found: dict[str, str] = {}
    count = h5a.get_num_attrs(item)
    if count > _ATTRIBUTES_MAX:
        raise Refused(f"{path or '/'} has {count} attributes")
    for i in range(count):
        attribute = h5a.open(item, index=i)
        dtype = attribute.dtype
        scalar = attribute.get_space().get_simple_extent_type() == h5s.SCALAR
        if scalar and h5py.check_string_dtype(dtype) is not None:
            value = np.empty((), dtype)
            attribute.read(value, h5t.py_create(dtype))
            name, content = attribute.name.decode("utf-8", "replace"), value[()]
            found[name] = bytes(content).decode("ascii", "replace") if isinstance(content, bytes) else str(content)
    return found


def end_with_parent(parent: int) -> None:
    """Linux kills this process when the reader dies; elsewhere its limits end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)


def limits(size: int, most: int) -> int:
    """Bound this process for a file of ``size`` bytes; returns how much it may unpack to."""
    unpacked = min(ALLOWANCE + EXPANSION * size, most)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + SECONDS + size * SECONDS_PER_BYTE) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        memory = mapped + 2 * unpacked + size + _HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return unpacked


def close_the_door() -> None:
    """No file can be opened from here on, not even a pipe that would block: no descriptor is left."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))


def main(path: str, most: int) -> None:
    size = os.path.getsize(path)
    unpacked = limits(size, most)
    walk = Walk(unpacked)
    try:
        with open(path, "rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            check_heaps(raw)
        with h5py.File(path, "r") as file:
            close_the_door()
            walk.group(h5g.open(file.id, b"/"))
    except Refused as error:
        header: dict[str, Any] = {"refused": str(error)}
    except Exception as error:  # libhdf5 and h5py raise whatever they meet
        header = {"refused": str(error).strip("'\"").partition("\n")[0][:120] or type(error).__name__}
    else:
        header = {"items": walk.items}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % _ALIGNMENT)
    out = sys.stdout.buffer
    out.write(struct.pack("<Q", len(encoded)) + encoded)
    for array in walk.arrays if "items" in header else ():
        out.write(array.data if array.size else b"")
        out.write(bytes(-array.nbytes % _ALIGNMENT))
    out.flush()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        end_with_parent(int(sys.argv[3]))
    main(sys.argv[1], int(sys.argv[2]))
