"""Convolutions of spikes on bytes against sums written out, and what is left to floats."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from spk2loihi.simulators.stock import byte_convolution as module
from spk2loihi.simulators.stock.byte_convolution import ByteConvolution
from spk2loihi.simulators.stock.synapse import ConvSynapse

INPUT = (7, 6, 4)


def synapse(kernel: np.ndarray, stride: Any = (2, 1), padding: Any = (1, 2), dilation: Any = (1, 2)) -> ConvSynapse:
    taps = kernel.shape[2:]
    output = [(INPUT[i] + 2 * padding[i] - dilation[i] * (taps[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    groups = INPUT[2] // kernel.shape[1]
    return ConvSynapse(kernel, INPUT, (*output, len(kernel)), stride, padding, dilation, groups, "layer 1")


def written_out(s: ConvSynapse, plane: np.ndarray) -> np.ndarray:
    """(x, y, channel) to (x, y, channel out), in 64-bit integers, a synapse at a time."""
    total = np.zeros(s.output_shape, np.int64)
    width = s.kernel.shape[1]
    for out, c, i, j in itertools.product(*map(range, s.kernel.shape)):
        group = out * s.groups // len(s.kernel)
        for x, y in itertools.product(*map(range, s.output_shape[:2])):
            at = x * s.stride[0] + i * s.dilation[0] - s.padding[0], y * s.stride[1] + j * s.dilation[1] - s.padding[1]
            if 0 <= at[0] < INPUT[0] and 0 <= at[1] < INPUT[1]:
                total[x, y, out] += s.kernel[out, c, i, j] * int(plane[(*at, group * width + c)])
    return total


@pytest.mark.parametrize("channels", [4, 2, 1])  # of a group
def test_bytes_are_the_convolution(channels: int) -> None:
    rng = np.random.default_rng(channels)
    kernel = 2 * rng.integers(-128, 128, (8, channels, 3, 2))  # a common factor, and a byte's limits once it is out
    kernel[0], kernel[1], kernel[2, 0, 0, 0] = 254, -256, 2
    s = synapse(kernel)
    assert s._on_bytes is not None
    spikes = rng.integers(0, 2, (3, 5, *INPUT), dtype=np.uint8)
    spikes[0, 0] = 1
    drive = s.drive(spikes, 1)
    for b, t in itertools.product(range(3), range(5)):
        assert np.array_equal(drive[b, t], written_out(s, spikes[b, t]))


def test_weights_beyond_a_byte_are_left_to_floats() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.integers(-128, 128, (4, 4, 3, 2))
    kernel[0, 0, 0] = 129, 2  # no common factor
    s = synapse(kernel)
    assert s._on_bytes is None
    spikes = rng.integers(0, 2, (2, 3, *INPUT), dtype=np.uint8)
    assert np.array_equal(s.drive(spikes, 1)[1, 2], written_out(s, spikes[1, 2]))


def test_a_kernel_that_is_not_exact_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturating(ByteConvolution):
        def sums(self, planes: np.ndarray) -> np.ndarray:
            return super().sums(planes).clip(-1000, 1000)

    monkeypatch.setattr(module, "ByteConvolution", Saturating)
    kernel = np.full((4, 4, 3, 2), 100)
    s = synapse(kernel)
    assert s._on_bytes is None
    spikes = np.ones((1, 1, *INPUT), np.uint8)
    assert np.array_equal(s.drive(spikes, 1)[0, 0], written_out(s, spikes[0, 0]))
