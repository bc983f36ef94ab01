"""Whole network files: made, compared, and changed one thing at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from spk2loihi.data import TaskSpec
from spk2loihi.network.layout import CHECKSUM, EXTENSION
from spk2loihi.network.network import Network
from spk2loihi.network.writer import seal
from support.networks import tiny_network


def whole_network(seed: int = 0, **changes: Any) -> Network:
    """A tiny network with a whole task record, as training writes it."""
    task = TaskSpec(kind="files", name="tiny", train_file="/data/train.csv", labels=["no", "yes"])
    return replace(tiny_network(seed, **changes), task=task.to_dict(), tokenizer=Tokenizer(WordLevel()).to_str())


def as_json(network: Network) -> Network:
    """Metadata as JSON gives it back: keys of ``id2label`` are strings there."""
    plain = {name: json.loads(json.dumps(getattr(network, name))) for name in ("task", "config", "provenance")}
    return replace(network, **plain)


def assert_same(a: Any, b: Any, where: str = "network") -> None:
    """Equal in every field, array values and types included; array widths may differ."""
    assert type(a) is type(b), where
    if is_dataclass(a):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype == np.int64, where
        assert np.array_equal(a, b), where
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


def edited(source: Path, target: Path, edit: Callable[[h5py.File], None], reseal: bool = True) -> Path:
    """A copy of a file with one thing changed, its checksums made to fit unless told otherwise."""
    shutil.copy(source, target)
    with h5py.File(target, "r+") as f:
        edit(f)
        if reseal:
            f[EXTENSION].attrs[CHECKSUM] = seal(f)
    return target


def edit_json(where: str, change: Callable[[dict], Any]) -> Callable[[h5py.File], None]:
    def edit(f: h5py.File) -> None:
        record = json.loads(bytes(f[where][()].tobytes()))
        change(record)
        del f[where]
        f[where] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)

    return edit


def replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def edit(f: h5py.File) -> None:
        values = change(f[name][()])
        del f[name]
        f[name] = values

    return edit
