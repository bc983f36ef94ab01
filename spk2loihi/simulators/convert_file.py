"""Convert a NIR file into netx, with the error of every number and of spikes and rates; or a netx file into NIR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.files import write_atomically
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.reading import Reading
from spk2loihi.simulators.file_input import read_input


@dataclass(frozen=True)
class Conversion:
    """What `convert_file` did: the numbers of ``convert --json``.

    Attributes:
        numbers: ``source``, ``out``, ``format`` of what was written, ``layers``, ``dt``. Of a NIR file also ``bits``,
            ``exact``, ``levels``, ``populations``, ``errors``, ``notes``, ``input`` and ``comparison``
            (`spk2loihi.netx.nir_reader.NirConversion`, `spk2loihi.netx.nir_comparison.PopulationComparison`), which
            are empty of a netx file.
    """

    numbers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.numbers


def convert_file(
    file: NetworkFile, out: Path, *, inputs: Path | NDArray[Any] | None = None, reading: Reading | None = None
) -> Conversion:
    """Args:
        inputs: on which integers and equations are compared: as of `run_file`; generated if not given.
        reading: how a NIR file becomes integers; of a netx file its ``dt`` alone counts.

    Raises:
        UserError: the file cannot be read, or has what the other format or Loihi's neurons do not have.
    """
    reading = reading or Reading()
    if file.format == "netx":
        return _to_nir(file, out, reading.dt)
    from spk2loihi.netx.nir_comparison import GENERATED, compare, generated_input

    file = file.read_as(reading)
    conversion = file.conversion
    assert conversion is not None
    network = file.network()
    given: NDArray[Any] = generated_input(network) if inputs is None else read_input(file, inputs).messages
    compared = compare(conversion, network, given)
    write_atomically(out, conversion.writer)
    return Conversion(
        {
            "source": str(file.path),
            "out": str(out),
            "format": "netx",
            "layers": len(conversion.layers),
            **conversion.to_dict(),
            "input": {**GENERATED} if inputs is None else {"samples": len(given), "steps": int(np.shape(given)[-1])},
            "comparison": [each.to_dict() for each in compared],
        }
    )


def _to_nir(file: NetworkFile, out: Path, dt: float) -> Conversion:
    from spk2loihi.netx.nir_writer import netx_to_nir

    writer, network = netx_to_nir(file, dt)
    write_atomically(out, writer)
    return Conversion(
        {
            "source": str(file.path),
            "out": str(out),
            "format": "NIR",
            "layers": len(network.layers),
            "dt": dt,
            "populations": [],
            "errors": [],
            "notes": [],
            "comparison": [],
        }
    )
