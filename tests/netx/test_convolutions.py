"""The ways to compute a stock convolution against sums written out: tables, bytes and floats."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from spk2loihi.netx import byte_convolution as module
from spk2loihi.netx.byte_convolution import ByteConvolution
from spk2loihi.netx.synapse import ConvSynapse

INPUT = (7, 6, 4)


def synapse(
    kernel: np.ndarray,
    stride: Any = (2, 1),
    padding: Any = (1, 2),
    dilation: Any = (1, 2),
    shape: tuple[int, int, int] = INPUT,
) -> ConvSynapse:
    taps = kernel.shape[2:]
    output = [(shape[i] + 2 * padding[i] - dilation[i] * (taps[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    groups = shape[2] // kernel.shape[1]
    return ConvSynapse(kernel, shape, (*output, len(kernel)), stride, padding, dilation, groups, "layer 1")


def written_out(s: ConvSynapse, plane: np.ndarray) -> np.ndarray:
    """(x, y, channel) to (x, y, channel out), in 64-bit integers, a tap at a time."""
    total = np.zeros(s.output_shape, np.int64)
    width, outputs = s.kernel.shape[1], len(s.kernel) // s.groups
    for i, j in itertools.product(*map(range, s.kernel.shape[2:])):
        for x, y in itertools.product(*map(range, s.output_shape[:2])):
            at = x * s.stride[0] + i * s.dilation[0] - s.padding[0], y * s.stride[1] + j * s.dilation[1] - s.padding[1]
            if not (0 <= at[0] < s.input_shape[0] and 0 <= at[1] < s.input_shape[1]):
                continue
            for group in range(s.groups):
                out = slice(group * outputs, (group + 1) * outputs)
                met = plane[at][group * width : (group + 1) * width].astype(np.int64)
                total[x, y, out] += s.kernel[out, :, i, j] @ met
    return total


def assert_written_out(s: ConvSynapse, drive: np.ndarray, spikes: np.ndarray) -> None:
    for b, t in itertools.product(*map(range, spikes.shape[:2])):
        np.testing.assert_array_equal(drive[b, t], written_out(s, spikes[b, t]))


# --- tests: tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_tables_are_the_convolution(seed: int) -> None:
    """Few channels, which are merged, and many; all numbers of lanes and several blocks; 8, 16 and 32 bits."""
    rng = np.random.default_rng(seed)
    channels = int(rng.choice([1, 2, 3, 4, 5, 8, 14]))
    outputs = int(rng.choice([1, 5, 16, 24, 40, 64, 70, 130]))
    taps, stride, dilation, padding = (
        tuple(int(n) for n in rng.integers(low, high, 2)) for low, high in ((1, 5), (1, 4), (1, 3), (0, 3))
    )
    shape = (*(int(rng.integers(d * (t - 1) + 1, 13)) for t, d in zip(taps, dilation, strict=True)), channels)
    largest = int(rng.choice([1, 6, 127, 1000]))
    kernel = int(rng.choice([1, 2, 6])) * rng.integers(-largest, largest + 1, (outputs, channels, *taps))
    s = synapse(kernel, stride, padding, dilation, shape)
    assert s.in_tables is not None
    spikes = (rng.random((2, 3, *shape)) < rng.choice([0.1, 0.9])).astype(np.uint8)
    spikes[0, 0] = 1
    assert_written_out(s, s.drive(spikes, 1), spikes)
    assert_written_out(s, s.drive(spikes[:, :2], 1), spikes[:, :2])  # not contiguous


def test_number_types_are_as_narrow_as_the_weights_allow() -> None:
    def types(kernel: np.ndarray) -> tuple[Any, Any]:
        s = synapse(kernel, shape=(9, 9, 8), stride=(1, 1))
        assert s.in_tables is not None
        ones = np.ones((1, 1, 9, 9, 8), np.uint8)
        assert_written_out(s, s.drive(ones, 1), ones)
        return s.in_tables.tables.table.dtype, s.in_tables.tables.sums_like.dtype

    largest = np.zeros((1, 8, 3, 3), int)
    largest[0, :, 0] = 5  # 24 inputs, six look-ups, which are added in the tables' type: 120
    assert types(largest) == (np.int8, np.int16)
    largest[0, 0, 0, 0] = 12  # 127
    assert types(largest) == (np.int8, np.int16)
    largest[0, 0, 0, 0] = 13
    assert types(largest) == (np.int16, np.int16)
    assert types(-largest) == (np.int16, np.int16)
    assert types(np.full((1, 8, 3, 3), 455)) == (np.int8, np.int16)  # 1 in tables, times 455: 32,760
    assert types(np.full((1, 8, 3, 3), 456)) == (np.int8, np.int32)  # 32,832


@pytest.mark.parametrize(
    "kernel",
    [
        np.arange(256 * 256 * 9).reshape(256, 256, 3, 3) % 7 - 3,  # tables of 3 MB
        np.arange(2**15, 2**15 + 32).reshape(1, 4, 2, 4),  # beyond 16 bits
        np.full((1, 4, 2, 4), 2**18),  # 2**23: Lava wraps
    ],
)
def test_what_tables_do_not_take(kernel: np.ndarray) -> None:
    assert synapse(kernel, shape=(9, 9, kernel.shape[1])).in_tables is None


# --- tests: bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [4, 2, 1])  # of a group
def test_bytes_are_the_convolution(channels: int) -> None:
    rng = np.random.default_rng(channels)
    kernel = 2 * rng.integers(-128, 128, (8, channels, 3, 2))  # a common factor, and a byte's limits once it is out
    kernel[0], kernel[1], kernel[2, 0, 0, 0] = 254, -256, 2
    s = synapse(kernel)
    assert s._on_bytes is not None
    spikes = rng.integers(0, 2, (3, 5, *INPUT), dtype=np.uint8)
    spikes[0, 0] = 1
    sums = s._on_bytes.sums(spikes.reshape(-1, *INPUT)).reshape(3, 5, *s.output_shape)
    assert_written_out(s, sums, spikes)
    assert_written_out(s, s.drive(spikes, 1), spikes)


def test_weights_beyond_a_byte_are_left_to_floats() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.integers(-128, 128, (4, 2, 3, 2))
    kernel[0, 0, 0] = 129, 2  # no common factor
    s = synapse(kernel)
    assert s._on_bytes is None and s.in_tables is None
    spikes = rng.integers(0, 2, (2, 3, *INPUT), dtype=np.uint8)
    assert_written_out(s, s.drive(spikes, 1), spikes)


def test_a_kernel_that_is_not_exact_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturating(ByteConvolution):
        def sums(self, planes: np.ndarray) -> np.ndarray:
            return super().sums(planes).clip(-1000, 1000)

    monkeypatch.setattr(module, "ByteConvolution", Saturating)
    s = synapse(np.full((4, 2, 3, 2), 100))
    assert s._on_bytes is None
    spikes = np.ones((1, 1, *INPUT), np.uint8)
    assert_written_out(s, s.drive(spikes, 1), spikes)
