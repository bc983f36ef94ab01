"""Files of `torch.save` from anywhere: read twice, first without torch, which trusts sizes that a file declares."""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import open_regular

_ENTRIES_MAX = 100_000
_ITEM_BYTES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "Untyped": 1,
}  # fmt: skip


class _Code(Exception):
    """It would execute code."""


def load_tensors(path: Path, what: str) -> dict[str, Any]:
    """A dictionary of tensors and plain values written by `torch.save`, refusing anything that would execute code.

    Raises:
        UserError: no regular file, damaged, packed, with code in it, or with tensors larger than what the file holds.
    """
    with open_regular(path, what, "make it first or name another file") as file:
        try:
            _check_archive(file)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (_Code, pickle.UnpicklingError):
            raise UserError(
                f"{what} {path} is no plain tensor file: it is damaged or holds pickled code, which is never loaded; "
                "use a file from someone you trust, written by spk2loihi train"
            ) from None
        except Exception as error:  # torch and pickle raise whatever a damaged file makes them
            raise UserError(
                f"{what} {path} cannot be read ({first_line(error)}): it is damaged or not a torch file; "
                "write it again with spk2loihi train"
            ) from None
    if not isinstance(content, dict):
        raise UserError(f"{what} {path} holds a {type(content).__name__}, not a spk2loihi model: use spk2loihi train")
    return content


def _check_archive(file: BinaryIO) -> None:
    """Raises ValueError where the archive is packed, or a tensor needs more than the file holds."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > _ENTRIES_MAX or len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("its archive has too many entries, or one twice")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ValueError("its archive is packed, as torch never does")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("its archive declares more than the file holds")
        records = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(records) != 1:
            raise ValueError("its archive is none of torch's")
        prefix = records[0].removesuffix("data.pkl")
        sizes = {e.filename[len(prefix) :]: e.file_size for e in entries if e.filename.startswith(prefix)}
        with archive.open(records[0]) as stream:
            _Scan(stream, sizes).load()


class _Dict(dict[Any, Any]):
    """Stands for OrderedDict, whose attributes torch sets."""


class _Scan(pickle.Unpickler):
    """Unpickles into stand-ins that do nothing but check sizes."""

    def __init__(self, stream: Any, sizes: dict[str, int]) -> None:
        super().__init__(stream)
        self._sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if module == "torch" and name.removesuffix("Storage") in _ITEM_BYTES and name.endswith("Storage"):
            return _ITEM_BYTES[name.removesuffix("Storage")]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _check_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        raise _Code(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> tuple[int, int]:
        """Bytes of an item, and how many items a storage has."""
        kind, item, key, _, count = pid
        if kind != "storage" or not isinstance(item, int) or not isinstance(count, int) or count < 0:
            raise ValueError("a storage is none")
        if count * item > self._sizes.get(f"data/{key}", -1):
            raise ValueError(f"a storage of {count * item:,} bytes is not in the file")
        return item, count


def _check_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> None:
    _, count = storage
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or not 0 <= n < 2**62 for n in numbers):
        raise ValueError("a tensor has a shape that none has")
    size = math.prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) if size else 0
    if size > count or last >= max(count, 1):
        raise ValueError(f"a tensor of {tuple(shape)} is larger than what the file holds of it")


def _parameter(data: Any, *_: Any) -> Any:
    return data
