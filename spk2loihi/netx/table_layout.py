"""How tables of `table_convolution` lie in memory: what its loops take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arrays import Array

BITS = 4  # inputs of a look-up: channels, or, if there are fewer, those of neighbours along y, too
TOGETHER = 6  # rows added in the tables' type before they are widened


class Layout(NamedTuple):
    """Where the inputs and outputs of a `TableConvolution` lie, and what its tables are.

    Attributes:
        outputs_x, outputs_y, channels: of a plane of outputs.
        stride_x, stride_y, padding_x, padding_y: of the convolution.
        span: rows of inputs along x that an output spans.
        groups: look-ups of an input.
        merged, apart: how many neighbours along y a look-up merges, and how far apart they are.
        lanes, blocks: output channels that are added at once, and how often that covers all.
        factor: of all sums.
    """

    outputs_x: int
    outputs_y: int
    channels: int
    stride_x: int
    stride_y: int
    padding_x: int
    padding_y: int
    span: int
    groups: int
    merged: int
    apart: int
    lanes: int
    blocks: int
    factor: int


class Tables(NamedTuple):
    """A convolution of spikes, ready to be looked up.

    Attributes:
        layout: of inputs, outputs and tables.
        offsets: of the look-ups of an output: where their codes are, from that at the output's corner on, (look-ups,).
        table: sums of weights, (blocks of output channels, look-ups, patterns and one more, lanes), flat. With one row
            more, the same pattern of different look-ups is at different places of the first-level cache.
        sums_like: an empty array of the type of sums, int16 or int32.
    """

    layout: Layout
    offsets: NDArray[np.int64]
    table: Array
    sums_like: Array
