"""What one measured run says of a Loihi 2: a bound of the price of a SynOp, and the time of a SynOp.

Intel printed power, frames and partition of PilotNet LIF on one Loihi 2 (`MEASURED`). The network file is in the
lava-dl wheel, and the emulator runs it bit for bit, so its SynOps are known. All dynamic power divided by all SynOps is
the most that a SynOp of that run can have cost: neuron updates and messages took a part of it. It bounds nothing on
other networks; where neurons are updated more often per SynOp, a SynOp's share is dearer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spk2loihi.errors import UserError

#: Intel's numbers and their source, with the emulator's counts, which `derive_pilotnet_bound` finds again.
MEASURED: dict[str, Any] = json.loads(
    (Path(__file__).with_name("measurements") / "pilotnet_lif.json").read_text(encoding="utf-8")
)
NAME = "loihi2-pilotnet-bound"

#: Steps per second of the measured run, and seconds of one step.
STEPS_PER_SECOND: float = MEASURED["frames_per_second"] * MEASURED["steps_per_frame"]
STEP_S = 1 / STEPS_PER_SECOND
#: SynOps of the busiest core in one step, and the seconds of one of them if they alone filled the step.
BUSIEST_CORE: float = MEASURED["emulator"]["busiest"]["synops_per_step_and_core"]
SYNOP_S = STEP_S / BUSIEST_CORE
#: SynOps per neuron update; every neuron is updated in every step.
SYNOPS_PER_UPDATE: float = MEASURED["emulator"]["synops_per_step"] / MEASURED["emulator"]["neurons"]

_PERIODS = 2  # of resets: the first fills the network, the second is counted


@dataclass(frozen=True)
class Derivation:
    """The bound, and what it was computed from.

    Attributes:
        dynamic_pj, total_pj: a SynOp, at most; without and with static power.
        counter_ratio: the chip's own count of SynOps divided by the emulator's.
        synop_ns: of the busiest core, if its SynOps alone filled a step.
    """

    synops_per_step: float
    synops_by_layer: dict[str, float]
    neurons: int
    synops_per_update: float
    steps_per_second: float
    dynamic_power_W: float
    total_power_W: float
    dynamic_pj: float
    total_pj: float
    chip_synops_per_step: float
    counter_ratio: float
    step_us: float
    busiest_layer: int
    busiest_core_synops: float
    synop_ns: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, **asdict(self)}

    def lines(self) -> list[str]:
        """The derivation, in sentences."""
        watts = f"{self.dynamic_power_W} W of dynamic and {self.total_power_W} W of total power"
        return [
            f"The emulator counts {self.synops_per_step:,.0f} SynOps a step on PilotNet LIF (zero input).",
            f"The chip's own counter, read off Intel's plot: {self.chip_synops_per_step:,}, "
            f"{100 * (self.counter_ratio - 1):+.1f} %.",
            f"Intel printed {watts} at {self.steps_per_second:,.0f} steps a second.",
            f"So a SynOp of that run cost at most {self.dynamic_pj:.1f} pJ, and {self.total_pj:.1f} with static power.",
            f"A step took {self.step_us:.1f} µs. The busiest core (layer {self.busiest_layer}, Intel's partition) had "
            f"{self.busiest_core_synops:,.0f} SynOps in it: {self.synop_ns:.2f} ns each, if they alone fill it.",
            f"There were {self.synops_per_update:.1f} SynOps per neuron update. With fewer, a SynOp can cost more.",
            f"Source: {self.source}.",
        ]


def derive_pilotnet_bound() -> Derivation:
    """Run the emulator on the wheel's PilotNet LIF and divide Intel's watts by its SynOps.

    Raises:
        UserError: lava-dl is not installed, so its network file is not there.
    """
    from spk2loihi.netx import StockNetwork

    interval: int = MEASURED["reset_interval"]
    network = StockNetwork.from_file(
        pilotnet_file(), reset_interval=interval, reset_offset=MEASURED["reset_offset"]
    )  # fmt: skip
    counts = []
    for periods in (_PERIODS - 1, _PERIODS):  # input neurons without input: their bias, 0, is the only drive
        run = network.run(np.zeros((1, *network.input_shape, periods * interval), np.int32))
        counts.append({number: int(n[0]) for number, n in run.synops.items()})
    by_layer = {number: (counts[1][number] - counts[0][number]) / interval for number in counts[0]}
    synops, neurons = sum(by_layer.values()), sum(int(np.prod(layer.shape)) for layer in network.layers)
    loads = {row["layer"]: by_layer[row["layer"]] / row["cores"] for row in MEASURED["cores"]}
    busiest = max(loads, key=lambda number: loads[number])
    return Derivation(
        synops_per_step=synops,
        synops_by_layer={str(number): n for number, n in by_layer.items()},
        neurons=neurons,
        synops_per_update=synops / neurons,
        steps_per_second=STEPS_PER_SECOND,
        dynamic_power_W=MEASURED["dynamic_power_W"],
        total_power_W=MEASURED["total_power_W"],
        dynamic_pj=MEASURED["dynamic_power_W"] / STEPS_PER_SECOND / synops * 1e12,
        total_pj=MEASURED["total_power_W"] / STEPS_PER_SECOND / synops * 1e12,
        chip_synops_per_step=MEASURED["chip_synops_per_step"],
        counter_ratio=MEASURED["chip_synops_per_step"] / synops,
        step_us=STEP_S * 1e6,
        busiest_layer=busiest,
        busiest_core_synops=loads[busiest],
        synop_ns=STEP_S / loads[busiest] * 1e9,
        source=MEASURED["source"],
    )


def pilotnet_file() -> Path:
    """PilotNet LIF in the installed lava-dl wheel."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [f for f in files("lava-dl") or () if f.parts[-2:] == ("pilotnet_lif", "network.net")]
    except PackageNotFoundError:
        found = []
    path = Path(str(found[0].locate())) if found else None
    if path is None or not path.is_file():
        raise UserError(
            f"{NAME} is derived from the PilotNet LIF file in the wheel of lava-dl, which is not installed: use "
            "Python 3.10 and pip install lava-dl==0.6.0"
        )
    return path
