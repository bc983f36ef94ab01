"""Access to netx HDF5 files: types, shapes and integers of a layer, or one sentence saying what is wrong with it.

Mirrors ``NetDict`` of lava/lib/dl/netx/utils.py, which casts weights and biases to integers and takes the rest as is.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.hdf5 import Dataset, Group, read_hdf5
from spk2loihi.netx.arrays import largest_magnitude

Shape = tuple[int, ...]
IntArray = NDArray[np.int64]

_INT32_MAX = 2**31 - 1
_LAYERS_MAX = 4096
_NEURONS_MAX = 1 << 26  # of a layer: as many as a layer of 4096 x 4096 pixels and 4 channels
_INT64_MAX = 2**63 - 1
_AXES_MAX = 4
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,40}")


def open_netx(source: Path | str | Group) -> Group:
    """The root group of a netx file, read if need be.

    Raises:
        UserError: missing, not HDF5, or unreadable.
    """
    if isinstance(source, Group):
        return source
    return read_hdf5(Path(source), "netx file", "name a .net file written by spk2loihi export or lava-dl")


def layer_groups(root: Group) -> list[Group]:
    """The layers of a netx file, in order."""
    layers = root.get("layer")
    found = [layers.get(str(i)) for i in range(len(layers.items))] if isinstance(layers, Group) else []
    groups = [group for group in found if isinstance(group, Group)]
    if len(groups) > _LAYERS_MAX:
        raise UserError(f"netx file {root.file} has {len(groups):,} layers, and at most {_LAYERS_MAX:,} are read")
    if not groups or len(groups) < len(found):
        raise UserError(f"netx file {root.file} has no layers numbered from 0 under /layer: export it again")
    return groups


def type_of(group: Group) -> str:
    """netx ``type`` of a layer or neuron: a string, or an array of one."""
    dataset = group.get("type")
    if not isinstance(dataset, Dataset) or dataset.kind != "S" or dataset.value.size != 1:
        raise UserError(f"netx file {group.file}: {group.name} has no type: export it again")
    name = text_of(dataset)
    if not _NAME.fullmatch(name):
        raise UserError(f"netx file {group.file}: {group.name} has the type {name[:40]!r}: use letters and digits")
    return name


def text_of(dataset: Dataset) -> str:
    """A dataset of one string; an array of it will do."""
    return bytes(dataset.value.reshape(-1)[0]).decode("ascii", "replace")


def shape_of(group: Group, number: int) -> Shape:
    """netx ``shape``, which the file holds as (z, y, x), in the order (x, y, z) of Lava's ports."""
    shape = tuple(numbers_of(group, number, "shape").reshape(-1)[::-1].tolist())
    if len(shape) > _AXES_MAX:
        raise refusal(group, number, f"shape has {len(shape)} axes", "give (x, y, channel), or the number of neurons")
    if not shape or min(shape) < 1:
        raise refusal(group, number, f"shape {shape} is empty", "give every axis at least one neuron")
    if math.prod(shape) > _NEURONS_MAX:
        raise refusal(group, number, f"shape {shape} has more than {_NEURONS_MAX:,} neurons", "make the layer smaller")
    return shape


def weight_of(group: Group, number: int, name: str = "weight") -> IntArray:
    """netx ``weight`` of a dense or conv layer: (out, in), or one row of it flat; (out, in, y, x[, 1])."""
    weight = numbers_of(group, number, name, cast=True)
    if not weight.size:
        raise refusal(group, number, "it has no weights", "leave the layer out")
    if (largest := largest_magnitude(weight)) > _INT32_MAX:
        raise refusal(group, number, f"{name} holds {largest}", "give numbers of at most 32 bits")
    return weight


def weights_in(group: Group, number: int) -> list[IntArray]:
    """Every matrix or kernel of a layer as the file has it, before Lava fits it into 8 bits; none of other layers."""
    parts = [("weight", "real"), ("weight", "imag")] if isinstance(group.get("weight"), Group) else [("weight",)]
    names = ["/".join(part) for part in (*parts, ("weight_rec",))]
    return [weight_of(group, number, name) for name in names if name in group]


def dense_matrix(group: Group, number: int, name: str = "weight") -> IntArray:
    """A weight of a dense layer, (neurons, inputs)."""
    weight, neurons = weight_of(group, number, name), int(np.prod(shape_of(group, number)))
    if weight.ndim == 1 and weight.size % neurons == 0:
        weight = weight.reshape(neurons, -1)
    if weight.ndim != 2 or weight.shape[0] != neurons:
        raise refusal(group, number, f"{name} {weight.shape} does not fit {neurons} neurons", "export it again")
    return weight


def pair_of(group: Group, number: int, name: str) -> tuple[int, int]:
    """One number for both axes, or (y, x) in the file; returned as (x, y)."""
    values = numbers_of(group, number, name).reshape(-1)[::-1].tolist()
    if len(values) not in (1, 2) or min(values) < 0:
        raise refusal(group, number, f"{name} is {values[::-1][:3]}", "give one or two numbers, none below 0")
    return values[0], values[-1]


def numbers_of(group: Group, number: int, name: str, cast: bool = False) -> IntArray:
    """A dataset of integers.

    Args:
        cast: floats are allowed, if whole. netx casts weights and biases, and drops fractions in silence.
    """
    dataset = group.get(name)
    if not isinstance(dataset, Dataset) or dataset.kind not in ("iuf" if cast else "iu"):
        raise refusal(group, number, f"{name} is missing or not integers", "export it again")
    values = dataset.value
    if values.dtype.kind == "u" and values.dtype.itemsize == 8 and values.size and values.max() > _INT64_MAX:
        raise refusal(group, number, f"{name} holds {values.max()}", "give numbers of at most 32 bits")
    if values.dtype.kind == "f" and not ((np.abs(values) <= _INT32_MAX) & (values == np.trunc(values))).all():
        raise refusal(group, number, f"{name} has fractions, which netx drops in silence", "quantise it to integers")
    integers: IntArray = values.astype(np.int64)
    return integers


def number_of(group: Group, number: int, name: str, cast: bool = False) -> int:
    """A single integer, at most 32 bits; an array of one will do."""
    value = numbers_of(group, number, name, cast)
    if value.size != 1 or abs(int(value.reshape(-1)[0])) > _INT32_MAX:
        raise refusal(
            group, number, f"{name} is {value.reshape(-1)[:3].tolist()}", "give one number of at most 32 bits"
        )
    return int(value.reshape(-1)[0])


def refusal(group: Group, number: int, what: str, remedy: str) -> UserError:
    """The one sentence that names the layer and its type."""
    return UserError(f"layer {number} ({type_of(group)}): {what}: {remedy}")
