"""Arrays through any netx or NIR network, on the emulator or in stock Lava."""

from __future__ import annotations

import contextlib
import math
import os
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError, first_line
from spk2loihi.files import Sink, open_regular, write_atomically
from spk2loihi.hdf5 import Group, hdf5_writer
from spk2loihi.network.layout import EXTENSION
from spk2loihi.netx.arrays import INT32_MAX
from spk2loihi.netx.hdf5_access import layer_groups, open_netx, type_of
from spk2loihi.outputs import Output, check_outputs
from spk2loihi.ranges import check_numbers, shown
from spk2loihi.results import MARK
from spk2loihi.temporary_files import temporary_folder

if TYPE_CHECKING:
    from spk2loihi.netx import StockNetwork

Arrays = dict[str, NDArray[Any]]

_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_ITEM_MAX, _AXES_MAX = 16, 32
_BYTES_MAX = 1 << 29  # that zeros after the end of an input may take


@dataclass(frozen=True)
class FileRun:
    """What a network file did with some arrays.

    Attributes:
        arrays: ``out``, the output layer's messages, and of every recorded layer its messages ``LAYER/s`` and states
            ``LAYER/NAME``: (samples, *shape, steps), without the first axis if the input had none.
        batched: the input had an axis of samples.
        synops: synaptic operations of each sample by layer; None in Lava, which does not count them.
        sources: the files it was made from, which it never replaces.
    """

    network: str
    backend: str
    arrays: Arrays
    batched: bool
    samples: int
    steps: int
    synops: dict[str, list[int]] | None
    wall_s: float
    sources: tuple[Path, ...] = ()

    @property
    def output(self) -> NDArray[Any]:
        """Messages of the output layer."""
        return self.arrays["out"]

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the arrays as .npz, or as HDF5 where the name ends in .h5 or .hdf5.

        Both are marked as results of this program: the archive by its comment, the HDF5 file by an attribute.

        Args:
            force: replace a file that is no such result.

        Raises:
            UserError: the file cannot be written, or must not be replaced.
        """
        path = Path(path)
        check_outputs([Output(path, "file of arrays", "arrays")], self.sources, force=force)
        write_atomically(path, hdf5_writer(self._fill) if path.suffix in (".h5", ".hdf5") else self._archive)

    def _fill(self, file: h5py.File) -> None:
        file.attrs["generator"] = np.bytes_(MARK)
        for name, array in self.arrays.items():
            file[name] = array

    def _archive(self, sink: Sink) -> None:
        """As numpy.savez does, with a comment."""
        with zipfile.ZipFile(cast(Any, sink), "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.comment = MARK.encode()
            for name, array in self.arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``run --json``."""
        return {
            "network": self.network,
            "backend": self.backend,
            "samples": self.samples,
            "steps": self.steps,
            "output_messages": int(np.count_nonzero(self.output)),
            "synops": self.synops,
            "arrays": {name: list(array.shape) for name, array in self.arrays.items()},
            "wall_s": self.wall_s,
        }


def run_file(
    path: Path,
    inputs: Path | NDArray[Any],
    *,
    steps: int | None = None,
    backend: Literal["emulator", "cpu"] = "emulator",
    record: Sequence[str | int] = (),
    record_steps: str | None = None,
    num_layers: int | None = None,
    message_bits: int = 0,
    reset_interval: int | None = None,
    reset_offset: int = 0,
    spike_exp: int = 6,
    transform: bool = False,
) -> FileRun:
    """Raw messages in, raw messages out, as stock Lava computes them.

    Args:
        path: a netx or NIR file.
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).
        steps: time steps; the input's own if not given, zeros after its end.
        record: layers to record, numbers, or "all".
        record_steps: which steps to record, ``START:STOP`` or ``START:STOP:STEP``; all if not given.
        num_layers: only the first layers of the file.
        message_bits: bits of the input's payloads; 0: spikes.
        reset_interval, reset_offset: steps between resets of all neurons, and their phase.
        spike_exp: fraction bits of SDNN messages.
        transform: apply the input layer's weight and bias to real values.

    Raises:
        UserError: a file cannot be read, or the input does not fit the network.
    """
    from spk2loihi.netx import StockNetwork

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
    if backend not in ("emulator", "cpu"):
        raise UserError(f"`backend` is {shown(backend)}: choose emulator or cpu")
    options: dict[str, Any] = {
        "num_layers": num_layers,
        "input_message_bits": message_bits,
        "reset_interval": reset_interval,
        "reset_offset": reset_offset,
        "spike_exp": spike_exp,
    }
    with _netx_file(path) as (file, tree):
        given = _load(inputs) if isinstance(inputs, Path) else np.asarray(inputs)
        if given.dtype.kind not in "biuf":
            raise UserError(f"the input is an array of {given.dtype!s:.60}, not of numbers: convert it")
        if type_of(layer_groups(tree)[0]) == "conv":  # nothing else in the file says how large its input is
            options["input_shape"] = _plane(given)
        network = StockNetwork.from_file(tree, **options)
        values, batched = _batch(given, network.input_shape)
        _check_finite(values, inputs)
        if transform:
            values = network.encode(values)
        messages = _fit_steps(_whole(values, inputs), steps)
        chosen = _layers(record, [layer.number for layer in network.layers])
        rows = _rows(record_steps, messages.shape[-1])
        started = time.perf_counter()
        arrays: Arrays
        synops: dict[str, list[int]] | None = None
        if backend == "emulator":
            run = network.run(messages, chosen, record_steps=rows)
            arrays = {"out": run.output}
            for number, layer in run.layers.items():
                arrays |= {f"{number}/s": layer.s, **{f"{number}/{name}": a for name, a in layer.states.items()}}
            synops = {str(number): each.tolist() for number, each in run.synops.items()}
        else:
            network.check(messages)
            arrays = _in_lava(file, network, messages, chosen, rows, options)
        wall = time.perf_counter() - started
    if not batched:
        arrays = {name: array[0] for name, array in arrays.items()}
    sources = (path, inputs) if isinstance(inputs, Path) else (path,)
    return FileRun(str(path), backend, arrays, batched, len(messages), messages.shape[-1], synops, wall, sources)


@contextlib.contextmanager
def _netx_file(path: Path) -> Iterator[tuple[Path, Group]]:
    """The netx file to run, and what is in it: the file itself, or what a NIR file becomes."""
    tree = open_netx(path)
    if EXTENSION in tree:
        raise UserError(
            f"{path} is a network of spk2loihi export, which reads sentences: use spk2loihi simulate {path}"
        )
    if "node" not in tree:
        yield path, tree
        return
    from spk2loihi.netx.nir_reader import nir_to_netx

    with temporary_folder() as folder:
        netx = folder / "network.net"
        nir_to_netx(tree, netx)
        yield netx, open_netx(netx)


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


def _layers(record: Sequence[str | int], known: list[int]) -> list[int]:
    names = [name.strip() for names in record for name in str(names).split(",")]
    if "all" in names:
        return known
    numbers = {str(number): number for number in known}
    if bad := [name for name in names if name not in numbers]:
        raise UserError(f"`record` {bad[0][:40]}: choose among layers {', '.join(numbers)}, or all")
    return sorted({numbers[name] for name in names})


def _rows(text: str | None, steps: int) -> list[int]:
    if text is None:
        return list(range(steps))
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
        if len(numbers) not in (2, 3) or (len(numbers) == 3 and not (numbers[2] or 0) > 0):
            raise ValueError
    except ValueError:
        raise UserError(
            f"`record_steps` {text[:40]}: give START:STOP or START:STOP:STEP, with STEP 1 or more"
        ) from None
    rows = list(range(*slice(*numbers).indices(steps)))
    if not rows:
        raise UserError(f"`record_steps` {text[:40]} holds none of the {steps} steps: choose within 0:{steps}")
    return rows


def _in_lava(
    path: Path, network: StockNetwork, inputs: NDArray[Any], chosen: list[int], rows: list[int], options: dict[str, Any]
) -> Arrays:
    """Samples one after another through stock Lava."""
    from spk2loihi.simulators.lava.stock_lava import run_in_lava

    each: list[Arrays] = []
    for sample in inputs:
        output, records = run_in_lava(path, network, sample, chosen, **options)
        arrays: Arrays = {"out": output}
        for number, layer in records.items():
            arrays[f"{number}/s"] = layer.s[..., rows]
            arrays |= {f"{number}/{name}": state[..., rows] for name, state in layer.states.items()}
        each.append(arrays)
    if not each:
        raise UserError("input has no samples: give at least one to the `backend` cpu")
    return {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}
