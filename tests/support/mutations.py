"""Damage to files, from a seeded generator: bytes, HDF5 structure with fitting checksums, JSON, tensors, tables."""

from __future__ import annotations

import copy
import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spk2loihi.network.layout import CHECKSUM, EXTENSION, seal

Rng = np.random.Generator
Mutate = Callable[[Path, Path, Rng], None]

_MARKS = (b"GCOL", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"\x89HDF", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06")
_DEEP = "[" * 3000 + "]" * 3000

#: What stands in a JSON record where something else belongs.
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 10**30, 10**400, 1e300, 0.5, -0.0, float("nan"), float("inf"), "",
    "x", "all", "[/x]\x1b[31m", "[best]", "\x00", "\ud800", "9" * 400, "a" * 300, [], [None], [[]], [0] * 1000, {},
    {"a": 1}, {"kind": "scale", "exponent": 10**9}, [-1], ["x"], [1e300],
)  # fmt: skip

_ARRAYS: tuple[Callable[[np.ndarray[Any, Any]], Any], ...] = (
    lambda a: a[:-1] if a.ndim else a,
    lambda a: a[..., :-1] if a.ndim else a,
    lambda a: a[None],
    lambda a: a.reshape(-1),
    lambda a: a.T,
    lambda a: np.zeros((0, *a.shape[1:]), a.dtype),
    lambda a: a.astype(np.float32) if a.dtype.kind in "iu" else a,
    lambda a: np.full(a.shape, np.nan),
    lambda a: np.full(a.shape, np.iinfo(np.int64).min),
    lambda a: np.full(a.shape, np.iinfo(np.int64).max),
    lambda a: np.full(a.shape, -1),
    lambda a: np.full(a.shape, 255, np.uint8),
    lambda a: np.zeros(a.shape, np.int8),
    lambda a: np.zeros(3, np.int64),
    lambda a: np.array(2**40),
    lambda a: np.array(b"text"),
    lambda a: np.array([b"[/x]\x1b[31m"]),
    lambda a: "text of variable length",
    lambda a: h5py.Empty("i4"),
    lambda a: h5py.SoftLink("/nowhere"),
    lambda a: h5py.ExternalLink("/dev/zero", "/x"),
    lambda a: np.zeros(4, [("a", "i4"), ("b", "f8")]),
    lambda a: np.zeros(a.shape, np.complex64),
    lambda a: a.astype(np.int64) * 3 if a.dtype.kind in "iub" else a,
)


def damage_bytes(good: Path, out: Path, rng: Rng) -> None:
    """One to four of: flipped bits, a run of zeros or noise, a cut, something doubled, zeros after a signature."""
    raw = bytearray(good.read_bytes())
    for _ in range(rng.integers(1, 5)):
        at, size = int(rng.integers(len(raw) or 1)), int(2 ** rng.integers(0, 9))
        match rng.integers(7):
            case 0:
                raw[at : at + 1] = bytes([raw[at] ^ (1 << int(rng.integers(8)))]) if raw else b""
            case 1:
                raw[at : at + size] = bytes(len(raw[at : at + size]))
            case 2:
                raw[at : at + size] = rng.bytes(len(raw[at : at + size]))
            case 3:
                del raw[at:]
            case 4:
                raw[at:at] = raw[at : at + size]
            case 5:
                raw[at : at + 8] = b"\xff" * len(raw[at : at + 8])
            case _:
                mark = _MARKS[rng.integers(len(_MARKS))]
                places = [found.start() for found in re.finditer(re.escape(mark), raw)]
                if places:
                    start = places[rng.integers(len(places))] + int(rng.integers(4, 24))
                    raw[start : start + size] = bytes(len(raw[start : start + size]))
    out.write_bytes(raw)


def damage_json(record: Any, rng: Rng) -> Any:
    """The record with one to three entries changed, removed or added."""
    record = copy.deepcopy(record)
    for _ in range(rng.integers(1, 4)):
        places: list[tuple[Any, Any]] = []

        def walk(node: Any, places: list[tuple[Any, Any]] = places) -> None:
            keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            for key in list(keys)[:40]:
                places.append((node, key))
                walk(node[key])

        walk(record)
        if not places:
            return HOSTILE[rng.integers(len(HOSTILE))]
        node, key = places[rng.integers(len(places))]
        match rng.integers(5):
            case 0:
                del node[key]
            case 1 if isinstance(node, dict):
                node["added"] = HOSTILE[rng.integers(len(HOSTILE))]
            case _:
                node[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    return record


def json_text(record: Any, rng: Rng) -> bytes:
    text = json.dumps(record)
    if rng.random() < 0.03:
        text = text.replace("1", _DEEP, 1)
    return text.encode("utf-8", "surrogatepass")


def damage_json_file(good: Path, out: Path, rng: Rng) -> None:
    out.write_bytes(json_text(damage_json(json.loads(good.read_text()), rng), rng))


def _names(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def damage_hdf5(good: Path, out: Path, rng: Rng) -> None:
    """Datasets replaced, removed, linked elsewhere; JSON in them changed; checksums put right where there are any."""
    shutil.copy(good, out)
    with h5py.File(out, "r+") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rng.integers(1, 3)):
            names = _names(file)
            name = names[rng.integers(len(names))]
            value: Any = file[name][()]
            value = np.zeros(0) if isinstance(value, h5py.Empty) else value
            group = name.rpartition("/")[0]
            if name.endswith(f"{EXTENSION}/meta") or name.endswith("tokenizer"):
                value = np.frombuffer(json_text(damage_json(json.loads(value.tobytes()), rng), rng), np.uint8)
            elif rng.random() < 0.12:
                victim = name if rng.random() < 0.7 or not group else group
                del file[victim]
                if rng.random() < 0.3:
                    file.create_group(victim)
                continue
            elif rng.random() < 0.1:
                del file[name]
                file.create_dataset(name, (2**33,), np.uint8, chunks=True)
                return  # to seal it would be to read it
            else:
                value = _ARRAYS[rng.integers(len(_ARRAYS))](np.asarray(value))
            del file[name]
            file[name] = value
        if EXTENSION in file and isinstance(file[EXTENSION], h5py.Group):
            try:
                file[EXTENSION].attrs[CHECKSUM] = seal(file)
            except Exception:  # what cannot be read needs no checksum
                return


def damage_model(good: Path, out: Path, rng: Rng) -> None:
    """A `model.pt` with tensors or records changed."""
    import torch

    record = torch.load(good, weights_only=True)
    for _ in range(rng.integers(1, 3)):
        places: list[tuple[Any, Any]] = []

        def walk(node: Any, places: list[tuple[Any, Any]] = places) -> None:
            keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            for key in list(keys)[:200]:
                places.append((node, key))
                walk(node[key])

        walk(record)
        tensors = [(node, key) for node, key in places if isinstance(node[key], torch.Tensor)]
        chosen = tensors if tensors and rng.random() < 0.5 else places
        if not chosen:
            break
        node, key = chosen[rng.integers(len(chosen))]
        value = node[key]
        if isinstance(value, torch.Tensor):
            changes: tuple[Callable[[Any], Any], ...] = (
                lambda t: torch.full_like(t, float("nan")) if t.is_floating_point() else t,
                lambda t: torch.full_like(t, float("inf")) if t.is_floating_point() else t,
                lambda t: t[:-1] if t.ndim else t,
                lambda t: t.double(),
                lambda t: t.half(),
                lambda t: t * 1e30,
                lambda t: t * 0,
                lambda t: -t,
                lambda t: t[None],
                lambda t: torch.zeros(1).expand(2**20, 2**20),
                lambda t: torch.zeros(0),
                lambda t: torch.zeros(3, dtype=torch.complex64),
                lambda t: t.to(torch.int64),
                lambda t: t.to_sparse() if t.ndim == 2 else t,
                lambda t: "no tensor",
            )
            node[key] = changes[rng.integers(len(changes))](value)
        elif rng.random() < 0.2:
            del node[key]
        else:
            node[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    torch.save(record, out)


def damage_table(good: Path, out: Path, rng: Rng) -> None:
    """A table with cells, lines, quotes and encodings changed."""
    lines = good.read_text(encoding="utf-8").splitlines()
    odd = (
        '"',
        '""',
        '"a',
        "\x00",
        "\ufeff",
        "a" * 200_000,
        "[/x]\x1b[31m",
        ";",
        "\t",
        "\r",
        "\x85",
        "é",
        "",
        ",,,",
        "nan",
    )
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(lines)))
        match rng.integers(6):
            case 0:
                lines[at] = odd[rng.integers(len(odd))]
            case 1:
                lines[at] += odd[rng.integers(len(odd))]
            case 2:
                lines[at] = lines[at].replace(",", odd[rng.integers(len(odd))])
            case 3:
                del lines[at]
            case 4:
                lines[0] = odd[rng.integers(len(odd))] + lines[0]
            case _:
                lines = [line.replace(",", ";") for line in lines]
        lines = lines or [""]
    encoding = ("utf-8", "utf-16", "latin-1", "utf-8-sig")[rng.integers(4)]
    out.write_bytes("\n".join(lines).encode(encoding, "replace"))


def damage_npy(good: Path, out: Path, rng: Rng) -> None:
    """An array file with another header, or damaged bytes."""
    raw = good.read_bytes()
    if rng.random() < 0.4:
        damage_bytes(good, out, rng)
        return
    shapes = ("(99999999999, 4, 3)", "(-1, 4)", "()", "(0,)", "(4,)", "(2, 3, 4, 5)", "(1e9,)", "[4, 16]", "(True, 4)")
    types = (
        "'|O'",
        "'<f8'",
        "'<i8'",
        "'<U9'",
        "[('a', '<i4')]",
        "'<c16'",
        "'|V8'",
        "'<M8[s]'",
        "'>f4'",
        "'|b1'",
        "'x'",
    )
    header = (
        f"{{'descr': {types[rng.integers(len(types))]}, 'fortran_order': {('True', 'False', '3')[rng.integers(3)]}, "
        f"'shape': {shapes[rng.integers(len(shapes))]}, }}"
    )
    if rng.random() < 0.1:
        header = "(" * 3000 + header
    encoded = header.encode().ljust(118) + b"\n"
    out.write_bytes(raw[:8] + len(encoded).to_bytes(2, "little") + encoded + raw[128:])
