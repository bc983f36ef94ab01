"""`spk2loihi run`."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
from numpy.typing import NDArray

from spk2loihi.cli.common import check_writable, json_option, save_numbers
from spk2loihi.errors import UserError, first_line
from spk2loihi.files import write_atomically
from spk2loihi.network.layout import EXTENSION

Arrays = dict[str, NDArray[Any]]


@click.command("run")
@click.argument("network_file", type=click.Path(path_type=Path))
@click.option("--input", "input_file", type=click.Path(path_type=Path), required=True, help="Array, .npy; time last.")
@click.option("--steps", type=click.IntRange(min=1), help="Time steps. [default: the input's]")
@click.option("--out", "-o", "out_file", type=click.Path(path_type=Path), required=True, help="Write .npz or .h5 here.")
@click.option("--backend", type=click.Choice(["emulator", "cpu"]), default="emulator", show_default=True)
@click.option("--record", "record", multiple=True, help="Layer number, several with commas, or all. Give it often.")
@click.option("--record-steps", help="Steps to record, START:STOP or START:STOP:STEP. [default: all]")
@click.option("--num-layers", type=click.IntRange(min=1), help="Run only the first layers of the file.")
@click.option("--message-bits", type=int, default=0, help="Input payloads; 0: spikes. [default: 0]")
@click.option("--reset-interval", type=int, help="Steps between resets. [default: never]")
@click.option("--reset-offset", type=int, default=0, help="Phase of the resets. [default: 0]")
@click.option("--spike-exp", type=int, default=6, help="Fraction bits of SDNN messages. [default: 6]")
@click.option("--transform", is_flag=True, help="Apply the input layer's weight and bias to real values.")
@json_option
def command(
    network_file: Path,
    input_file: Path,
    steps: int | None,
    out_file: Path,
    backend: str,
    record: tuple[str, ...],
    record_steps: str | None,
    num_layers: int | None,
    message_bits: int,
    transform: bool,
    json_file: Path | None,
    **loader: Any,
) -> None:
    """Run arrays through any netx or NIR network: raw spikes in, raw spikes out, as stock Lava computes them.

    The input is (*shape, steps), or (samples, *shape, steps) for a batch.
    """
    from spk2loihi.netx import StockNetwork

    check_writable(out_file, json_file, inputs=(network_file, input_file))
    with _netx_file(network_file) as path:
        network = StockNetwork.from_file(path, num_layers=num_layers, input_message_bits=message_bits, **loader)
        values, batched = _batch(_load(input_file), network.input_shape)
        if transform:
            values = network.encode(values)
        inputs = _fit_steps(_whole(values, input_file), steps)
        chosen = _layers(record, [layer.number for layer in network.layers])
        rows = _rows(record_steps, inputs.shape[-1])
        started = time.perf_counter()
        arrays: Arrays
        if backend == "emulator":
            run = network.run(inputs, chosen, record_steps=rows)
            arrays = {"out": run.output}
            for number, layer in run.layers.items():
                arrays |= {f"{number}/s": layer.s, **{f"{number}/{name}": a for name, a in layer.states.items()}}
            synops: dict[str, Any] | None = {str(number): each.tolist() for number, each in run.synops.items()}
        else:
            network.check(inputs)
            options = {"num_layers": num_layers, "input_message_bits": message_bits, **loader}
            arrays, synops = _in_lava(path, network, inputs, chosen, rows, options), None
        wall = time.perf_counter() - started
    _write(out_file, arrays if batched else {name: array[0] for name, array in arrays.items()})
    spikes = int(np.count_nonzero(arrays["out"]))
    size = f"{len(inputs)} sample(s), {inputs.shape[-1]} steps"
    click.echo(f"{size}, {spikes} output messages, {wall:.2f} s ({backend}): {out_file}")
    numbers = {
        "network": str(network_file),
        "backend": backend,
        "samples": len(inputs),
        "steps": inputs.shape[-1],
        "output_messages": spikes,
        "synops": synops,
        "arrays": {name: list(array.shape if batched else array.shape[1:]) for name, array in arrays.items()},
        "wall_s": wall,
    }
    save_numbers(json_file, numbers)


@contextlib.contextmanager
def _netx_file(path: Path) -> Iterator[Path]:
    """The netx file to run: the file itself, or what a NIR file becomes."""
    kind = ""
    if path.is_file() and h5py.is_hdf5(path):
        with contextlib.suppress(OSError), h5py.File(path, "r") as file:
            kind = "own" if EXTENSION in file else "nir" if "node" in file else ""
    if kind == "own":
        raise UserError(
            f"{path} is a network of spk2loihi export, which reads sentences: use spk2loihi simulate {path}"
        )
    if kind != "nir":
        yield path
        return
    from spk2loihi.netx.nir_reader import nir_to_netx

    with tempfile.TemporaryDirectory(prefix="spk2loihi-") as folder:
        netx = Path(folder) / "network.net"
        nir_to_netx(path, netx)
        yield netx


def _load(path: Path) -> NDArray[Any]:
    """An array file; pickled objects in it are refused, not run."""
    if not path.is_file():
        raise UserError(f"input {path} does not exist: write it with numpy.save")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"input {path} is no .npy file of numbers ({first_line(error)}): use numpy.save") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise UserError(f"input {path} is no .npy file of one array of numbers: use numpy.save")
    return values


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


def _whole(values: NDArray[Any], path: Path) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values
    integers = values.astype(np.int64)
    if not (integers == values).all():
        raise UserError(
            f"input {path} has fractions, but networks take integers: round it, or give --transform for an input layer"
        )
    return integers


def _fit_steps(values: NDArray[Any], steps: int | None) -> NDArray[Any]:
    """The first ``steps``; zeros follow an input that is shorter."""
    if steps is None:
        return values
    missing = max(0, steps - values.shape[-1])
    return np.pad(values[..., :steps], [(0, 0)] * (values.ndim - 1) + [(0, missing)])


def _layers(record: tuple[str, ...], known: list[int]) -> list[int]:
    names = [name.strip() for names in record for name in names.split(",")]
    if "all" in names:
        return known
    if bad := [name for name in names if not name.isdecimal() or int(name) not in known]:
        raise UserError(f"--record {bad[0]}: choose among layers {', '.join(map(str, known))}, or all")
    return sorted({int(name) for name in names})


def _rows(text: str | None, steps: int) -> list[int]:
    if text is None:
        return list(range(steps))
    parts = text.split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
        if len(numbers) not in (2, 3) or (len(numbers) == 3 and not (numbers[2] or 0) > 0):
            raise ValueError
    except ValueError:
        raise UserError(f"--record-steps {text}: give START:STOP or START:STOP:STEP, with STEP 1 or more") from None
    rows = list(range(*slice(*numbers).indices(steps)))
    if not rows:
        raise UserError(f"--record-steps {text} holds none of the {steps} steps: choose within 0:{steps}")
    return rows


def _in_lava(
    path: Path, network: Any, inputs: NDArray[Any], chosen: list[int], rows: list[int], options: dict[str, Any]
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
        raise UserError("input has no samples: give at least one to --backend cpu")
    return {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}


def _write(path: Path, arrays: Arrays) -> None:
    def write(temporary: Path) -> None:
        if path.suffix in (".h5", ".hdf5"):
            with h5py.File(temporary, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        else:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)

    write_atomically(path, write)
