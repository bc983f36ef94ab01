"""Access to netx HDF5 files: types, shapes and integers of a layer, or one sentence saying what is wrong with it.

Mirrors ``NetDict`` of lava/lib/dl/netx/utils.py, which casts weights and biases to integers and takes the rest as is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError

Shape = tuple[int, ...]
IntArray = NDArray[np.int64]

_INT32_MAX = 2**31 - 1


@contextmanager
def open_netx(source: Path | str | h5py.Group) -> Iterator[h5py.Group]:
    """The root group of a netx file, opened if need be.

    Raises:
        UserError: missing, not HDF5, or unreadable.
    """
    if isinstance(source, h5py.Group):
        yield source
        return
    path = Path(source)
    if not path.is_file() or not h5py.is_hdf5(path):
        reason = "is not an HDF5 file" if path.exists() else "does not exist"
        raise UserError(f"netx file {path} {reason}: name a .net file written by spk2loihi export or lava-dl")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise UserError(f"netx file {path} is damaged or truncated ({error}): export it again") from None


def layer_groups(root: h5py.Group) -> list[h5py.Group]:
    """The layers of a netx file, in order."""
    layers = root.get("layer")
    groups = [layers.get(str(i)) for i in range(len(layers))] if isinstance(layers, h5py.Group) else []
    if not groups or not all(isinstance(group, h5py.Group) for group in groups):
        raise UserError(
            f"netx file {root.file.filename} has no layers numbered from 0 under /layer, or links to a file that is "
            "gone: export it again"
        )
    return groups


def type_of(group: h5py.Group) -> str:
    """netx ``type`` of a layer or neuron: a string, or an array of one."""
    dataset = group.get("type")
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1 or dataset.dtype.kind not in "SO":
        raise UserError(f"netx file {group.file.filename}: {group.name} has no type: export it again")
    return bytes(np.asarray(dataset[()]).reshape(-1)[0]).decode("ascii", "replace")


def shape_of(group: h5py.Group, number: int) -> Shape:
    """netx ``shape``, which the file holds as (z, y, x), in the order (x, y, z) of Lava's ports."""
    shape = tuple(numbers_of(group, number, "shape").reshape(-1)[::-1].tolist())
    if not shape or min(shape) < 1:
        raise refusal(group, number, f"shape {shape} is empty", "give every axis at least one neuron")
    return shape


def weight_of(group: h5py.Group, number: int, name: str = "weight") -> IntArray:
    """netx ``weight`` of a dense or conv layer: (out, in), or one row of it flat; (out, in, y, x[, 1])."""
    weight = numbers_of(group, number, name, cast=True)
    if not weight.size:
        raise refusal(group, number, "it has no weights", "leave the layer out")
    return weight


def dense_matrix(group: h5py.Group, number: int, name: str = "weight") -> IntArray:
    """A weight of a dense layer, (neurons, inputs)."""
    weight, neurons = weight_of(group, number, name), int(np.prod(shape_of(group, number)))
    if weight.ndim == 1 and weight.size % neurons == 0:
        weight = weight.reshape(neurons, -1)
    if weight.ndim != 2 or weight.shape[0] != neurons:
        raise refusal(group, number, f"{name} {weight.shape} does not fit {neurons} neurons", "export it again")
    return weight


def pair_of(group: h5py.Group, number: int, name: str) -> tuple[int, int]:
    """One number for both axes, or (y, x) in the file; returned as (x, y)."""
    values = numbers_of(group, number, name).reshape(-1)[::-1].tolist()
    if len(values) not in (1, 2) or min(values) < 0:
        raise refusal(group, number, f"{name} is {values[::-1]}", "give one or two numbers, none below 0")
    return values[0], values[-1]


def numbers_of(group: h5py.Group, number: int, name: str, cast: bool = False) -> IntArray:
    """A dataset of integers.

    Args:
        cast: floats are allowed, if whole. netx casts weights and biases, and drops fractions in silence.
    """
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in ("iuf" if cast else "iu"):
        raise refusal(group, number, f"{name} is missing or not integers", "export it again")
    values = np.asarray(dataset[()])
    if values.dtype.kind == "f" and not ((np.abs(values) <= _INT32_MAX) & (values == np.trunc(values))).all():
        raise refusal(group, number, f"{name} has fractions, which netx drops in silence", "quantise it to integers")
    integers: IntArray = values.astype(np.int64)
    return integers


def number_of(group: h5py.Group, number: int, name: str, cast: bool = False) -> int:
    """A single integer, at most 32 bits; an array of one will do."""
    value = numbers_of(group, number, name, cast)
    if value.size != 1 or abs(int(value.reshape(-1)[0])) > _INT32_MAX:
        raise refusal(group, number, f"{name} is {value.tolist()}", "give one number of at most 32 bits")
    return int(value.reshape(-1)[0])


def refusal(group: h5py.Group, number: int, what: str, remedy: str) -> UserError:
    """The one sentence that names the layer and its type."""
    return UserError(f"layer {number} ({type_of(group)}): {what}: {remedy}")
