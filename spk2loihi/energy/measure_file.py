"""From any netx or NIR file and an array to the data of an energy report: no teacher, no accuracy, no sentences.

Averages are over *answers*: a sample holds several where the network is reset, or where every step is a frame
(`FileCounts.frames`). Steps left over after the last whole answer are counted into the answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from spk2loihi.energy.coefficients import CoefficientSet
from spk2loihi.energy.energy_report import build_report
from spk2loihi.energy.placement import cores_of, told
from spk2loihi.energy.step_time import Steps, estimate_time
from spk2loihi.fit import Board
from spk2loihi.fit.file_populations import check_file_fit
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.simulators.file_counters import count_file
from spk2loihi.simulators.file_input import read_input

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.simulators.file_input import FileOptions


def measure_file(
    file: NetworkFile | Path,
    inputs: Path | NDArray[Any],
    *,
    coefficient_sets: Sequence[CoefficientSet] = (),
    board: Board,
    step_us: float | None = None,
    frame_steps: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    **options: Unpack[FileOptions],
) -> dict[str, Any]:
    """Run a netx or NIR file on the emulator and report what an answer costs.

    Args:
        file, inputs, frame_steps, options: of `count_file`.
        coefficient_sets, board, step_us: of `spk2loihi.energy.measure_energy.measure_energy`.

    Raises:
        UserError: a file cannot be read, or the input does not fit the network.
    """
    given = read_input(file, inputs, **options)
    layers = given.network.layers
    counts = count_file(given.file, inputs, frame_steps=frame_steps, **options)
    answers = counts.samples * counts.frames
    # neurons are counted once a sample, and average over answers like all else
    stages = [replace(ops, neurons=ops.neurons * counts.frames) for ops in counts.stages]
    placed = check_file_fit(layers, board)
    steps = Steps(counts.summary["latency_steps"], counts.steps / counts.frames)
    return build_report(
        stages,
        answers,
        network_summary={
            **counts.summary,
            "steps": counts.summary["timesteps"],  # of an answer
            "weights": sum(_weights(layer) for layer in layers),
            "unit": "answer" if counts.frames > 1 else "sample",
            "samples": counts.samples,
            "answers_a_sample": counts.frames,
        },
        coefficient_sets=coefficient_sets,
        time=estimate_time(stages, answers, steps, cores_of(placed), board.name, step_us),
        fit=told(placed),
        provenance=provenance,
    )


def _weights(layer: StockLayer) -> int:
    """Parameters: all outputs of a convolution share them."""
    return layer.macs // math.prod(layer.shape[:-1])
