"""Arrays for `run` that are none, or that no network takes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.simulators.run_file import run_file
from support.netx_files import conv, dense, inputs, sdnn, write_netx

ONES = np.ones((3, 4), np.int64)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_netx(tmp_path / "dense.net", inputs(4), dense(ONES))


def npy(path: Path, header: str, data: bytes = b"", version: int = 1) -> Path:
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    path.write_bytes(b"\x93NUMPY" + bytes((version, 0)) + length + header.encode() + data)
    return path


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ("(4, 1000000000000)", "<f8", "32000000000000 bytes, but holds 64: it is damaged or cut"),
        ("(-1, 4)", "<f8", "declares a shape"),
        ("(" + "1, " * 40 + ")", "<i4", "declares a shape of 40 axes"),
        ("(" + "1, " * 50_000 + ")", "<i4", "no .npy file"),
        ("(4, 1" + "0" * 400 + ")", "<i4", "declares a shape"),
        ("(True, 4)", "<i4", "declares a shape"),
        ("(4, False)", "<i4", "declares a shape"),
        ("__import__('os').mkdir('executed')", "<i4", "no .npy file"),
        ("(4, 2)", "|O", "of object"),
        ("(4, 2)", "<c16", "of complex128"),
        ("(4, 2)", "<U1", "no .npy file of numbers, but of"),
        ("(4, 2)", "nonsense", "no .npy file"),
    ],
)
def test_headers(shape: str, dtype: str, words: str, network: Path, tmp_path: Path) -> None:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n"
    with pytest.raises(UserError, match=words):
        run_file(network, npy(tmp_path / "a.npy", header, bytes(64), 1 if len(header) < 60_000 else 2))
    assert not Path("executed").exists()


def test_what_is_no_file(network: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for path in (tmp_path / "pipe.npy", tmp_path, Path("/dev/zero")):
        with pytest.raises(UserError, match="is a folder, a pipe or a device"):
            run_file(network, path)
    with pytest.raises(UserError, match=r"version 9\.0 of the format is unknown"):
        run_file(network, npy(tmp_path / "a.npy", "{}", version=9))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("transform", [False, True])
def test_values_that_are_not_finite(value: float, transform: bool, tmp_path: Path) -> None:
    path = write_netx(tmp_path / "sdnn.net", {**inputs(4), "neuron": sdnn()}, dense(ONES, neuron=sdnn()))
    with pytest.raises(UserError, match="holds 8 values that are NaN or infinite"):
        run_file(path, np.full((4, 2), value), transform=transform)
    with pytest.raises(UserError, match="32 bits"):
        run_file(path, np.full((4, 2), 1e30), transform=transform)


def test_zeros_after_the_end_take_limited_memory(network: Path) -> None:
    with pytest.raises(UserError, match=r"`steps` is 1000000, which makes .* bytes"):
        run_file(network, np.zeros((100, 4, 2), int), steps=10**6)


def test_a_first_convolution_takes_the_shape_of_the_input(tmp_path: Path) -> None:
    layer = conv(np.ones((2, 2, 1, 1), np.int64), (5, 1, 2))
    alone, led = write_netx(tmp_path / "a.net", layer), write_netx(tmp_path / "b.net", inputs(5, 1, 2), layer)
    values = np.random.default_rng(0).integers(0, 2, (5, 1, 2, 9))
    np.testing.assert_array_equal(run_file(alone, values).output, run_file(led, values).output)
    with pytest.raises(UserError, match="begins with a convolution, which takes"):
        run_file(alone, values[0])
