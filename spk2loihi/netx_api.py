"""What the library does with netx and NIR files that `export` has not written: see the functions of `spk2loihi.api`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spk2loihi.analysis.spiking_network import SpikingNetwork, StrPath
from spk2loihi.errors import UserError
from spk2loihi.ranges import check_numbers
from spk2loihi.versions import made

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spk2loihi.energy import CoefficientSet
    from spk2loihi.fit import Board, FitReport
    from spk2loihi.netx.network_file import NetworkFile
    from spk2loihi.netx.reading import ReadingOptions
    from spk2loihi.reporting.energy_page import EnergyReport
    from spk2loihi.simulators.file_input import FileOptions
    from spk2loihi.simulators.verify_file import FileVerification

    Array = NDArray[Any]


def inspect_of_file(file: NetworkFile, num_layers: int | None, reading: ReadingOptions) -> dict[str, Any]:
    """`spk2loihi.api.inspect`."""
    from spk2loihi.analysis.inspect_file import inspect_file
    from spk2loihi.fit.boards import BOARDS, DEFAULT_BOARD
    from spk2loihi.fit.preflight import preflight
    from spk2loihi.netx.reading import reading_of

    file = file.read_as(reading_of(**reading))
    found = preflight(file, file.network(num_layers=num_layers).layers, BOARDS[DEFAULT_BOARD])
    return {**inspect_file(file, num_layers), "preflight": [finding.to_dict() for finding in found]}


def verify_of_file(
    file: NetworkFile, inputs: StrPath | Array | None, backends: Sequence[str], options: Mapping[str, Any]
) -> FileVerification:
    """`spk2loihi.api.verify`."""
    from spk2loihi.simulators.file_input import FileOptions
    from spk2loihi.simulators.verify_file import verify_file

    array = input_of(file, inputs)
    if backends and sorted(backends) != ["cpu", "emulator"]:
        raise UserError(
            f"`backends` are {', '.join(map(str, backends))}, but netx and NIR files run on emulator and cpu: leave "
            "them out"
        )
    only_of_files(file, options, {"state_steps": str, **FileOptions.__annotations__})
    return verify_file(file, array, **cast(Any, options))


def energy_of_file(
    file: NetworkFile,
    inputs: StrPath | Array | None,
    sources: Sequence[Path],
    command: str | None,
    frame_steps: int | None,
    sets: Sequence[CoefficientSet],
    board: Board,
    step_us: float | None,
    options: FileOptions,
) -> EnergyReport:
    """`spk2loihi.api.energy`, everything looked up."""
    from spk2loihi.energy.measure_file import measure_file
    from spk2loihi.files import sha256
    from spk2loihi.netx.reading import reading_among
    from spk2loihi.reporting.energy_page import EnergyReport

    array = input_of(file, inputs)
    file = file.read_as(reading_among(options))
    provenance = {
        "network": file.path.name,
        "network_sha256": sha256(file.path),
        "input": str(array) if isinstance(array, Path) else f"an array of {array.shape}",
        "options": dict(options),
        **made(command),
    }
    data = measure_file(
        file, array, frame_steps=frame_steps, coefficient_sets=sets, board=board, step_us=step_us,
        provenance=provenance, **options,
    )  # fmt: skip
    return EnergyReport(data, [file.path, *sources, *([array] if isinstance(array, Path) else [])])


def fit_of_file(
    file: NetworkFile, board: Board, inputs: StrPath | Array | None, options: Mapping[str, Any]
) -> FitReport:
    """`spk2loihi.api.fit`."""
    from spk2loihi.fit import FitReport
    from spk2loihi.fit.file_populations import check_file_fit
    from spk2loihi.fit.preflight import preflight, preflight_input
    from spk2loihi.netx.reading import ReadingOptions, reading_among
    from spk2loihi.simulators.file_input import FileOptions, read_input

    of_layers = {"num_layers", *ReadingOptions.__annotations__}
    only_of_files(file, options, of_layers if inputs is None else FileOptions.__annotations__)
    check_numbers({"num_layers": options["num_layers"]})
    file = file.read_as(reading_among(options))
    given = None if inputs is None else read_input(file, as_array(inputs), **cast("FileOptions", dict(options)))
    layers = (file.network(num_layers=options["num_layers"]) if given is None else given.network).layers
    found = preflight(file, layers, board) + ([] if given is None else preflight_input(given))
    return FitReport(
        {
            "network": str(file.path),
            "format": file.format,
            "reading": file.summary,
            **check_file_fit(layers, board),
            "preflight": [finding.to_dict() for finding in found],
        }
    )


def only_of_files(file: NetworkFile, options: Mapping[str, Any], known: Collection[str]) -> None:
    """None of ``options`` may be given but those that are ``known``: they are of networks of `export`."""
    if strange := [name for name, value in options.items() if name not in known and value is not None]:
        raise UserError(
            f"`{strange[0]}` is for networks of spk2loihi export, but {file.path} is a {file.format} file: leave it out"
        )


def only_of_own(net: SpikingNetwork, options: Mapping[str, Any]) -> None:
    """None of ``options``, which are those of other files, may be given."""
    if strange := [name for name, value in options.items() if value is not None]:
        raise UserError(
            f"`{strange[0]}` is for other netx and NIR files, but {net.path or 'this'} is a network of spk2loihi "
            "export, which reads sentences: leave it out"
        )


def as_array(inputs: StrPath | Array) -> Path | Array:
    """A path, or the array itself."""
    return Path(inputs) if isinstance(inputs, str) or hasattr(inputs, "__fspath__") else inputs


def input_of(file: NetworkFile, inputs: StrPath | Array | None) -> Path | Array:
    """As `as_array`; a UserError where there is none."""
    if inputs is None:
        raise UserError(
            f"{file.path} is a {file.format} file, which says nothing of its input: give `inputs`, an array"
        )
    return as_array(inputs)
