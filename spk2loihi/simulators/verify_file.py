"""Compare the emulator with stock Lava on a netx or NIR file: every layer, every step, messages and states."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.simulators.file_input import FileOptions, read_input
from spk2loihi.simulators.run_file import emulate, run_lava

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.netx.network_file import NetworkFile


@dataclass(frozen=True)
class FileVerification:
    """The emulator beside stock Lava.

    Attributes:
        layers: compared, by number in the file.
        compared: integers: messages and state variables of every neuron in every step.
        messages: of them, messages sent that are not 0. Where all neurons are silent, equal spikes show little.
        mismatches: integers that differ.
        first_mismatch: of the earliest step, in it of the first layer: ``layer``, ``what`` (``s`` for messages, or a
            state by Lava's name), ``step`` from 0, ``sample``, ``neuron`` and both values; None where all are equal.
        wall_s: seconds each backend took.
    """

    network: str
    backends: list[str]
    samples: int
    steps: int
    layers: list[int]
    compared: int
    messages: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    wall_s: dict[str, float]

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``verify --json``."""
        return asdict(self)


def verify_file(
    file: NetworkFile | Path, inputs: Path | NDArray[Any], **options: Unpack[FileOptions]
) -> FileVerification:
    """Run an input on the emulator and in stock Lava, and compare all that either computes.

    Args:
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).
        options: of `run_file`.

    Raises:
        UserError: a file cannot be read, the input does not fit or is empty, or Lava is missing.
    """
    given = read_input(file, inputs, **options)
    if not given.messages.size:
        raise UserError(
            f"the input has {given.samples} samples of {given.steps} steps, and there is nothing to compare: give one "
            "of each or more"
        )
    record, rows = [layer.number for layer in given.network.layers], list(range(given.steps))
    started = time.perf_counter()
    ours, _ = emulate(given, record, rows)
    between = time.perf_counter()
    lavas, _ = run_lava(given, record, rows)
    ended = time.perf_counter()
    names = [name for name in ours if name != "out"]  # which the last layer repeats
    unequal = {name: ours[name] != lavas[name] for name in names}
    return FileVerification(
        str(given.file.path),
        ["emulator", "cpu"],
        given.samples,
        given.steps,
        record,
        sum(array.size for array in unequal.values()),
        sum(int(np.count_nonzero(ours[name])) for name in names if name.endswith("/s")),
        sum(int(np.count_nonzero(array)) for array in unequal.values()),
        _first(unequal, ours, lavas),
        {"emulator": between - started, "cpu": ended - between},
    )


def _first(
    unequal: dict[str, NDArray[np.bool_]], ours: dict[str, NDArray[Any]], lavas: dict[str, NDArray[Any]]
) -> dict[str, Any] | None:
    """Earliest in time: a difference spreads from there."""
    found: tuple[int, str] | None = None
    for name, array in unequal.items():
        steps = array.reshape(-1, array.shape[-1]).any(0)
        if steps.any() and (found is None or int(steps.argmax()) < found[0]):
            found = int(steps.argmax()), name
    if found is None:
        return None
    step, name = found
    sample, *neuron = (int(i) for i in np.argwhere(unequal[name][..., step])[0])
    number, what = name.split("/")
    at = (sample, *neuron, step)
    return {
        "layer": int(number),
        "what": what,
        "step": step,
        "sample": sample,
        "neuron": neuron,
        "emulator": int(ours[name][at]),
        "cpu": int(lavas[name][at]),
    }
