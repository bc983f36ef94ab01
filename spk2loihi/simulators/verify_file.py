"""Compare the emulator with stock Lava on a netx or NIR file: messages of every layer in every step, and states."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.simulators.file_input import FileOptions, read_input
from spk2loihi.simulators.run_file import emulate, run_lava, steps_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.netx.network_file import NetworkFile


@dataclass(frozen=True)
class FileVerification:
    """The emulator beside stock Lava.

    Attributes:
        layers: compared, by number in the file.
        state_steps: after which states were compared, from 0.
        compared: integers: messages of every neuron in every step, and its states in ``state_steps``.
        messages: of them, messages sent that are not 0. Where all neurons are silent, equal spikes show little.
        mismatches: integers that differ.
        first_mismatch: of the earliest step, in it of the first layer: ``layer``, ``what`` (``s`` for messages, or a
            state by Lava's name), ``step`` from 0, ``sample``, ``neuron`` and both values; None where all are equal.
        wall_s: seconds each backend took.
        reading: how a NIR file became integers (`NirConversion.summary`); None of a netx file.
    """

    network: str
    backends: list[str]
    samples: int
    steps: int
    layers: list[int]
    state_steps: list[int]
    compared: int
    messages: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    wall_s: dict[str, float]
    reading: dict[str, Any] | None = None

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``verify --json``."""
        return asdict(self)


def verify_file(
    file: NetworkFile | Path,
    inputs: Path | NDArray[Any],
    *,
    state_steps: str | None = None,
    **options: Unpack[FileOptions],
) -> FileVerification:
    """Run an input on the emulator and in stock Lava, and compare.

    Args:
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).
        state_steps: after which steps states are compared, too: ``START:STOP`` or ``START:STOP:STEP``; after the last
            one if not given. Lava takes tens of microseconds to hand over the state of a neuron.
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
    record, every = [layer.number for layer in given.network.layers], list(range(given.steps))
    rows = every[-1:] if state_steps is None else steps_of(state_steps, given.steps, "state_steps")
    started = time.perf_counter()
    ours, _ = emulate(given, record, every)
    between = time.perf_counter()
    lavas, _ = run_lava(given, record, rows, all_messages=True)
    ended = time.perf_counter()
    del ours["out"], lavas["out"]  # what the last layer sends
    ours = {name: array if _is_messages(name) else array[..., rows] for name, array in ours.items()}
    unequal = {name: ours[name] != lavas[name] for name in ours}
    return FileVerification(
        network=str(given.file.path),
        backends=["emulator", "cpu"],
        samples=given.samples,
        steps=given.steps,
        layers=record,
        state_steps=rows,
        compared=sum(array.size for array in unequal.values()),
        messages=sum(int(np.count_nonzero(array)) for name, array in ours.items() if _is_messages(name)),
        mismatches=sum(int(np.count_nonzero(array)) for array in unequal.values()),
        first_mismatch=_first(unequal, ours, lavas, rows),
        wall_s={"emulator": between - started, "cpu": ended - between},
        reading=given.file.summary,
    )


def _is_messages(name: str) -> bool:
    return name.endswith("/s")


def _first(
    unequal: dict[str, NDArray[np.bool_]],
    ours: dict[str, NDArray[Any]],
    lavas: dict[str, NDArray[Any]],
    rows: list[int],
) -> dict[str, Any] | None:
    """Earliest in time: a difference spreads from there."""
    found: list[tuple[int, int, str]] = []  # step, place in the array, name
    for name, array in unequal.items():
        differs = array.reshape(-1, array.shape[-1]).any(0)
        if differs.any():
            place = int(differs.argmax())
            found.append((place if _is_messages(name) else rows[place], place, name))
    if not found:
        return None
    step, place, name = min(found, key=lambda one: one[0])  # of equal ones the first layer
    sample, *neuron = (int(i) for i in np.argwhere(unequal[name][..., place])[0])
    number, what = name.split("/")
    at = (sample, *neuron, place)
    return {
        "layer": int(number),
        "what": what,
        "step": step,
        "sample": sample,
        "neuron": neuron,
        "emulator": int(ours[name][at]),
        "cpu": int(lavas[name][at]),
    }
