"""Published measurements of whole systems, shown next to the estimates, for scale."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One measurement of another network. ``energy_mj``: total energy of an inference, static power included."""

    system: str
    workload: str
    energy_mj: float
    dynamic_mj: float | None  # None where static power hides it
    note: str
    source: str


_LAVA_DL = "lava-dl, tutorials/lava/lib/dl/netx"

REFERENCES = (
    Reference(
        "Loihi 2 (Oheo Gulch)", "PilotNet LIF", 1.661103, 1.093544,
        "408.91 frames per second at 0.679 W, of which 0.232 W static; one frame repeated, so no input traffic",
        f"{_LAVA_DL}/pilotnet_snn/benchmark.ipynb, output of January 2023",
    ),
    Reference(
        "Loihi 2 (Oheo Gulch)", "PilotNet sigma-delta", 16.343833, None,
        "16.87 frames per second at 0.276 W, limited by sending frames to the chip; all of it is static power",
        f"{_LAVA_DL}/pilotnet_sdnn/benchmark.ipynb, output of January 2023",
    ),
)  # fmt: skip
