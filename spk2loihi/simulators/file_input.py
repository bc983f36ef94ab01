"""A network file and its input, checked and brought into the shape in which the emulator and stock Lava take them."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import open_regular
from spk2loihi.netx.arrays import INT32_MAX
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.reading import ReadingOptions, reading_of
from spk2loihi.ranges import check_numbers, shown

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.netx import StockNetwork

_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_ITEM_MAX, _AXES_MAX = 16, 32
_BYTES_MAX = 1 << 29  # that zeros after the end of an input may take


class FileOptions(ReadingOptions, total=False):
    """How a netx or NIR file runs; what it does not say itself.

    Attributes:
        steps: time steps; the input's own if not given, zeros after its end.
        num_layers: only the first layers of the file.
        message_bits: bits of the input's payloads; 0: spikes.
        reset_interval, reset_offset: steps between resets of all neurons, and their phase.
        spike_exp: fraction bits of SDNN messages.
        transform: apply the input layer's weight and bias to real values.
        dt, bits, exact, scales: how a NIR file becomes integers (`spk2loihi.netx.reading.Reading`).
    """

    steps: int | None
    num_layers: int | None
    message_bits: int
    reset_interval: int | None
    reset_offset: int
    spike_exp: int
    transform: bool


@dataclass(frozen=True)
class FileInput:
    """What runs, and on what.

    Attributes:
        messages: integers, (samples, *input_shape, steps).
        batched: the input had an axis of samples.
        loader_options: of ``hdf5.Network``, the same as of ``network``.
        sources: files that were read.
    """

    file: NetworkFile
    network: StockNetwork
    messages: NDArray[Any]
    batched: bool
    loader_options: dict[str, Any]
    sources: tuple[Path, ...]

    @property
    def samples(self) -> int:
        return len(self.messages)

    @property
    def steps(self) -> int:
        return int(self.messages.shape[-1])


def read_input(
    file: NetworkFile | Path,
    inputs: Path | NDArray[Any],
    *,
    steps: int | None = None,
    num_layers: int | None = None,
    message_bits: int = 0,
    reset_interval: int | None = None,
    reset_offset: int = 0,
    spike_exp: int = 6,
    transform: bool = False,
    **reading: Unpack[ReadingOptions],
) -> FileInput:
    """A netx or NIR file and its input. Options: `FileOptions`.

    Args:
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).

    Raises:
        UserError: a file cannot be read, or the input does not fit the network.
    """
    check_numbers(
        {
            "steps": steps,
            "num_layers": num_layers,
            "message_bits": message_bits,
            "reset_interval": reset_interval,
            "reset_offset": reset_offset,
            "spike_exp": spike_exp,
        }
    )
    options: dict[str, Any] = {
        "num_layers": num_layers,
        "input_message_bits": message_bits,
        "reset_interval": reset_interval,
        "reset_offset": reset_offset,
        "spike_exp": spike_exp,
    }
    file = (NetworkFile.of(file) if isinstance(file, Path) else file).read_as(reading_of(**reading))
    given = _load(inputs) if isinstance(inputs, Path) else np.asarray(inputs)
    if given.dtype.kind not in "biuf":
        raise UserError(f"the input is an array of {given.dtype!s:.60}, not of numbers: convert it")
    if file.needs_input_shape:
        options["input_shape"] = _plane(given)
    network = file.network(**options)
    values, batched = _batch(given, network.input_shape)
    _check_finite(values, inputs)
    if transform:
        values = network.encode(values)
    messages = _fit_steps(_whole(values, inputs), steps)
    network.check(messages)
    sources = (file.path, inputs) if isinstance(inputs, Path) else (file.path,)
    return FileInput(file, network, messages, batched, options, sources)


def _load(path: Path) -> NDArray[Any]:
    """An array file; pickled objects in it are refused, not run."""
    empty = _check_header(path)
    try:
        values = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    except Exception as error:  # numpy raises what it meets
        raise UserError(f"input {path} is no .npy file of numbers ({first_line(error)}): use numpy.save") from None
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _check_header(path: Path) -> bool:
    """Whether the array has no values; raises UserError where the file does not hold what its header declares."""
    with open_regular(path, "input", "write it with numpy.save") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version not in _READ_HEADER:
                raise ValueError(f"version {version[0]}.{version[1]} of the format is unknown")
            shape, _, dtype = _READ_HEADER[version](file)  # at most 10,000 characters of literals
        except Exception as error:  # numpy tokenises the header, and raises what it meets
            raise UserError(f"input {path} is no .npy file of numbers ({first_line(error)}): use numpy.save") from None
        if dtype.kind not in "biuf" or dtype.itemsize > _ITEM_MAX:
            raise UserError(f"input {path} is no .npy file of numbers, but of {dtype!s:.60}: use numpy.save")
        # numpy takes True for a length here, and stops at it later
        if len(shape) > _AXES_MAX or any(isinstance(size, bool) or not 0 <= size < 2**63 for size in shape):
            raise UserError(f"input {path} declares a shape of {len(shape)} axes that no array has: use numpy.save")
        declared, held = math.prod(shape) * dtype.itemsize, os.fstat(file.fileno()).st_size - file.tell()
        if declared > held:
            raise UserError(
                f"input {path} declares {shape} values of {dtype}, {shown(declared)} bytes, but holds {held:,}: it is "
                "damaged or cut, write it again with numpy.save"
            )
    return not declared


def _plane(values: NDArray[Any]) -> tuple[int, ...]:
    """(x, y, channel) of an input for a convolution."""
    if values.ndim not in (4, 5):
        raise UserError(
            f"input has shape {values.shape}, but the network begins with a convolution, which takes (x, y, channel, "
            "steps) or (samples, x, y, channel, steps): give the axes in this order"
        )
    return tuple(values.shape[-4:-1])


def _check_finite(values: NDArray[Any], source: Path | NDArray[Any]) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = values.size - int(np.isfinite(values).sum())
        name = f"input {source}" if isinstance(source, Path) else "the input"
        raise UserError(f"{name} holds {count:,} values that are NaN or infinite: replace them by numbers")


def _batch(values: NDArray[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], bool]:
    """With a batch axis, and whether there was one."""
    batched = values.ndim == len(shape) + 2
    if not batched:
        values = values[None]
    if values.ndim != len(shape) + 2 or values.shape[1:-1] != shape:
        wanted = ", ".join(map(str, shape))
        raise UserError(
            f"input has shape {values.shape if batched else values.shape[1:]}, but the network takes ({wanted}, steps) "
            f"or (samples, {wanted}, steps): give the axes in this order"
        )
    return values, batched


def _whole(values: NDArray[Any], source: Path | NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values
    if values.size and float(np.abs(values).max()) > INT32_MAX:
        name = f"input {source}" if isinstance(source, Path) else "the input"
        largest = float(np.abs(values).max())
        raise UserError(f"{name} holds {largest:g}, but messages have at most 32 bits: scale it down")
    integers = values.astype(np.int64)
    if not (integers == values).all():
        name = f"input {source}" if isinstance(source, Path) else "the input"
        raise UserError(
            f"{name} has fractions, but networks take integers: round it, or use `transform` for an input layer"
        )
    return integers


def _fit_steps(values: NDArray[Any], steps: int | None) -> NDArray[Any]:
    """The first ``steps``; zeros follow an input that is shorter."""
    if steps is None:
        return values
    missing = max(0, steps - values.shape[-1])
    if missing and (size := math.prod(values.shape[:-1]) * steps * values.itemsize) > _BYTES_MAX:
        raise UserError(
            f"`steps` is {steps}, which makes {size:,} bytes of an input of {values.shape[-1]} steps, and at most "
            f"{_BYTES_MAX:,} are made: choose fewer `steps`, or give the whole input"
        )
    return np.pad(values[..., :steps], [(0, 0)] * (values.ndim - 1) + [(0, missing)])
