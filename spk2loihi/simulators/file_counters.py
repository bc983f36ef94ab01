"""Operations of any netx or NIR network, with the counters of this project's own networks (`counters`).

Counted by the emulator, whose spikes are Lava's. All are totals over the samples, of one layer:

* ``synops``: one for each message that arrives at an existing synapse, which is one whose weight is not 0. A message is
  a spike, or a graded payload whatever its value. A convolution has a synapse wherever its kernel meets the output, so
  a message at the border meets fewer. Weights are those that Lava stores, after its fit into 8 bits. Messages that a
  recurrent layer sends itself count there. The numbers of `run_file`, summed over samples.
* ``messages``: messages sent, those of the last layer included.
* ``neurons``: of the layer, once a sample.
* ``active_updates``: neuron-steps. Stock neurons integrate in every step, so there are no inactive updates.
* ``dense``: multiply-accumulates of the same-shape ANN, zero weights and padding included, once an answer. How many
  answers a sample holds is what ``frame_steps`` says.

Input neurons have no synapses: their values come from the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.ranges import check_numbers
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.file_input import FileInput, FileOptions, read_input

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.netx.network_file import NetworkFile


@dataclass(frozen=True)
class FileCounts:
    """What a network file did with some arrays.

    Attributes:
        stages: counters of every layer, summed over the samples; named as in errors: ``layer 1 (conv)``.
        samples: of the input.
        steps: of each.
        frames: answers in a sample: how often the ANN would have run.
        summary: ``network_summary`` of `spk2loihi.energy.energy_report.build_report`.
    """

    stages: list[StageOps]
    samples: int
    steps: int
    frames: int
    summary: dict[str, Any]


def count_file(
    file: NetworkFile | str | Path,
    inputs: Path | NDArray[Any],
    *,
    frame_steps: int | None = None,
    **options: Unpack[FileOptions],
) -> FileCounts:
    """Run a netx or NIR file on the emulator and count.

    Args:
        file: netx or NIR.
        inputs: array, or .npy file: (*shape, steps), or (samples, *shape, steps).
        frame_steps: steps to one answer, for which an ANN would run once. If not given: ``reset_interval``; else 1 for
            networks of sigma-delta neurons, whose every step is a frame; else all steps of a sample.
        options: of `run_file`.

    Raises:
        UserError: a file cannot be read, the input does not fit the network, or it has no samples or steps.
    """
    check_numbers({"frame_steps": frame_steps}, {"frame_steps": "steps"})
    given = read_input(Path(file) if isinstance(file, str) else file, inputs, **options)
    if not given.messages.size:
        raise UserError(
            f"the input has {given.samples} samples of {given.steps} steps, and there is nothing to count: give one of "
            "each or more"
        )
    layers, samples, steps = given.network.layers, given.samples, given.steps
    period = frame_steps or options.get("reset_interval") or (1 if layers[-1].neuron.graded else steps)
    frames = max(1, steps // period)
    run = given.network.run(given.messages)
    stages = [
        StageOps(
            name=layer.label,
            kind="input" if layer.synapse is None else "linear",
            neurons=samples * math.prod(layer.shape),
            messages=int(run.counts[layer.number].sum()),
            synops=int(run.synops[layer.number].sum()),
            dense=samples * frames * layer.macs,
            active_updates=samples * steps * math.prod(layer.shape),
        )
        for layer in layers
    ]
    return FileCounts(stages, samples, steps, frames, _summary(given, min(period, steps)))


def _summary(given: FileInput, period: int) -> dict[str, Any]:
    layers = given.network.layers
    depth = sum(layer.synapse is not None for layer in layers)  # each layer of synapses takes a step
    return {
        "schedule": "pipelined",  # every layer runs in every step
        # graded where any synapse multiplies its weight by a payload
        "encoding": "graded" if any(layer.graded for layer in layers if layer.synapse is not None) else "rate",
        "timesteps": period,
        "steps": given.steps,
        "latency_steps": period + depth,
        "stages": len(layers),
        "neurons": sum(math.prod(layer.shape) for layer in layers),
        "synapses": sum(layer.existing for layer in layers),
        "name": given.file.path.name,
        "file": str(given.file.path),
        "format": given.file.format,
        "reading": given.file.summary,
    }
