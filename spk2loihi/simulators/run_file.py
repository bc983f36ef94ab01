"""Arrays through any netx or NIR network, on the emulator or in stock Lava."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.compile_time import compile_seconds
from spk2loihi.errors import UserError
from spk2loihi.files import Sink, write_atomically
from spk2loihi.hdf5 import hdf5_writer
from spk2loihi.outputs import Output, check_outputs
from spk2loihi.ranges import shown
from spk2loihi.results import MARK
from spk2loihi.simulators.file_input import FileInput, FileOptions, read_input

if TYPE_CHECKING:
    from typing_extensions import Unpack

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FileRun:
    """What a network file did with some arrays.

    Attributes:
        arrays: ``out``, the output layer's messages, and of every recorded layer its messages ``LAYER/s`` and states
            ``LAYER/NAME``: (samples, *shape, steps), without the first axis if the input had none.
        batched: the input had an axis of samples.
        synops: synaptic operations of each sample by layer; None in Lava, which does not count them.
        wall_s, compile_s: seconds, and those of them that compilation took: of loops, or of the network for Lava.
        sources: the files it was made from, which it never replaces.
        reading: how a NIR file became integers (`NirConversion.summary`); None of a netx file.
    """

    network: str
    backend: str
    arrays: Arrays
    batched: bool
    samples: int
    steps: int
    synops: dict[str, list[int]] | None
    wall_s: float
    compile_s: float = 0.0
    sources: tuple[Path, ...] = ()
    reading: dict[str, Any] | None = None

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
            "compile_s": self.compile_s,
            "reading": self.reading,
        }


def run_file(
    path: Path,
    inputs: Path | NDArray[Any],
    *,
    backend: Literal["emulator", "cpu"] = "emulator",
    record: Sequence[str | int] = (),
    record_steps: str | None = None,
    **options: Unpack[FileOptions],
) -> FileRun:
    """Raw messages in, raw messages out, as stock Lava computes them.

    Args:
        path: a netx or NIR file.
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).
        record: layers to record, numbers, or "all".
        record_steps: which steps to record, ``START:STOP`` or ``START:STOP:STEP``; all if not given.
        options: `FileOptions`: steps, num_layers, message_bits, reset_interval, reset_offset, spike_exp, transform.

    Raises:
        UserError: a file cannot be read, or the input does not fit the network.
    """
    if backend not in ("emulator", "cpu"):
        raise UserError(f"`backend` is {shown(backend)}: choose emulator or cpu")
    given = read_input(path, inputs, **options)
    chosen = _layers(record, [layer.number for layer in given.network.layers])
    rows = steps_of(record_steps, given.steps)
    started, compiled = time.perf_counter(), compile_seconds()
    arrays, synops = (emulate if backend == "emulator" else run_lava)(given, chosen, rows)
    wall, compiled = time.perf_counter() - started, compile_seconds() - compiled
    if not given.batched:
        arrays = {name: array[0] for name, array in arrays.items()}
    return FileRun(
        str(path),
        backend,
        arrays,
        given.batched,
        given.samples,
        given.steps,
        synops,
        wall,
        compiled,
        given.sources,
        given.file.summary,
    )


def emulate(given: FileInput, record: list[int], rows: list[int]) -> tuple[Arrays, dict[str, list[int]] | None]:
    """Arrays as of `FileRun`, with an axis of samples, and its ``synops``.

    Args:
        record: numbers of layers to record.
        rows: steps to record.
    """
    run = given.network.run(given.messages, record, record_steps=rows)
    arrays: Arrays = {"out": run.output}
    for number, layer in run.layers.items():
        arrays |= {f"{number}/s": layer.s, **{f"{number}/{name}": a for name, a in layer.states.items()}}
    return arrays, {str(number): each.tolist() for number, each in run.synops.items()}


def run_lava(
    given: FileInput, record: list[int], rows: list[int], all_messages: bool = False
) -> tuple[Arrays, dict[str, list[int]] | None]:
    """As `emulate`, in stock Lava, one sample after another; Lava does not count.

    Args:
        all_messages: record messages in all steps, and states alone in ``rows``.
    """
    from spk2loihi.simulators.lava.stock_lava import run_in_lava

    each: list[Arrays] = []
    with given.file.as_netx() as netx:
        for sample in given.messages:
            output, records = run_in_lava(netx, given.network, sample, record, state_steps=rows, **given.loader_options)
            arrays: Arrays = {"out": output}
            for number, layer in records.items():
                arrays[f"{number}/s"] = layer.s if all_messages else layer.s[..., rows]
                arrays |= {f"{number}/{name}": state for name, state in layer.states.items()}
            each.append(arrays)
    if not each:
        raise UserError("input has no samples: give at least one to the `backend` cpu")
    return {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}, None


def _layers(record: Sequence[str | int], known: list[int]) -> list[int]:
    names = [name.strip() for names in record for name in str(names).split(",")]
    if "all" in names:
        return known
    numbers = {str(number): number for number in known}
    if bad := [name for name in names if name not in numbers]:
        raise UserError(f"`record` {bad[0][:40]}: choose among layers {', '.join(numbers)}, or all")
    return sorted({numbers[name] for name in names})


def steps_of(text: str | None, steps: int, name: str = "record_steps") -> list[int]:
    """``START:STOP`` or ``START:STOP:STEP`` among ``steps``; all if not given. ``name`` is the parameter's."""
    if text is None:
        return list(range(steps))
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
        if len(numbers) not in (2, 3) or (len(numbers) == 3 and not (numbers[2] or 0) > 0):
            raise ValueError
    except ValueError:
        raise UserError(f"`{name}` {text[:40]}: give START:STOP or START:STOP:STEP, with STEP 1 or more") from None
    rows = list(range(*slice(*numbers).indices(steps)))
    if not rows:
        raise UserError(f"`{name}` {text[:40]} holds none of the {steps} steps: choose within 0:{steps}")
    return rows
