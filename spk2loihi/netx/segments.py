"""The dense and conv layers of a `model.net`, each as a file of its own that the stock netx loader takes.

``Network`` of lava/lib/dl/netx/hdf5.py is a chain and knows neither ``concat`` nor attention, so it cannot take a
whole transformer. A segment file has an input layer of the right shape and a copy of one original layer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from spk2loihi.errors import UserError
from spk2loihi.files import write_atomically
from spk2loihi.hdf5 import Group, hdf5_writer, write_tree
from spk2loihi.network.layout import EXTENSION
from spk2loihi.netx.hdf5_access import (
    Shape,
    dense_matrix,
    layer_groups,
    number_of,
    open_netx,
    pair_of,
    refusal,
    shape_of,
    type_of,
    weight_of,
)
from spk2loihi.outputs import Output, check_outputs

_KINDS = ("dense", "conv")


@dataclass(frozen=True)
class Segment:
    """One dense or conv layer of a file.

    Attributes:
        number: of the layer in the file.
        kind: netx type.
        name: of the stage, in a file of this project; else empty.
        input_shape: (x, y, channel), or (inputs,) of a dense layer.
        output_shape: (x, y, channel), or (neurons,) of a dense layer.
    """

    number: int
    kind: str
    name: str
    input_shape: Shape
    output_shape: Shape


def segments(path: Path) -> list[Segment]:
    """The dense and conv layers of a netx file, in order.

    Raises:
        UserError: the file is missing or damaged.
    """
    groups = layer_groups(open_netx(path))
    return [_segment(group, i) for i, group in enumerate(groups) if type_of(group) in _KINDS]


def segment_file(path: Path, layer_number: int, out_path: Path) -> Segment:
    """Write the netx file of one segment: ``layer/0`` an input of its shape, ``layer/1`` the layer itself.

    Raises:
        UserError: the layer is not a dense or conv layer, or ``out_path`` cannot be written.
    """
    groups = layer_groups(open_netx(path))
    if not 0 <= layer_number < len(groups) or type_of(groups[layer_number]) not in _KINDS:
        raise UserError(f"layer {layer_number} of {path} is not dense or conv: choose one that segments() lists")
    segment = _segment(groups[layer_number], layer_number)

    def fill(file: h5py.File) -> None:
        file["layer/0/type"] = np.array([b"input"], dtype="S10")
        file["layer/0/shape"] = np.array(segment.input_shape[::-1])
        write_tree(groups[layer_number], file.create_group("layer/1"))

    check_outputs([Output(out_path, "network file", None, "out_path")], [path])
    write_atomically(out_path, hdf5_writer(fill), "out_path")
    return segment


def _segment(group: Group, number: int) -> Segment:
    kind, shape = type_of(group), shape_of(group, number)
    name = ""
    if EXTENSION in group:
        try:
            name = str(json.loads(group.value(f"{EXTENSION}/meta").tobytes())["name"])
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise refusal(group, number, f"its {EXTENSION}/meta is damaged", "export it again") from None
    if kind == "dense":
        neurons, inputs = dense_matrix(group, number).shape
        return Segment(number, kind, name, (inputs,), (neurons,))
    return Segment(number, kind, name, smallest_input(group, number, shape), shape)


def smallest_input(group: Group, number: int, shape: Shape) -> Shape:
    """The smallest input a convolution makes its output from; for a 1x1 kernel, the width and height of its own."""
    weight = weight_of(group, number)
    if weight.ndim < 4:
        raise refusal(group, number, f"weight has shape {weight.shape}", "give it as (out, in, y, x)")
    taps = weight.shape[3:1:-1]
    stride, padding, dilation = (pair_of(group, number, name) for name in ("stride", "padding", "dilation"))
    size = tuple((shape[i] - 1) * stride[i] + dilation[i] * (taps[i] - 1) + 1 - 2 * padding[i] for i in (0, 1))
    return (*size, weight.shape[1] * number_of(group, number, "groups"))
