"""What the neurons of every schedule share: a population as a Lava Process, and the bookkeeping of its CPU model."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from spk2loihi.network.network import Stage
from spk2loihi.simulators.lava.channels import DirectInPort, silence
from spk2loihi.simulators.lava.shared_memory import HostMemory, Shape, StageMemory, Timing

IntArray = NDArray[np.int64]


class Population(AbstractProcess):
    """Neurons of one stage behind a fire gate (compare ``lava.proc.lif.process.LIF``).

    Args:
        shape: (slots, 1, d), or (lanes, heads, width, width) for attention scores.
        stage: the population; its synapses are not used here.
        bias: added to the drive when the schedule says, broadcast to ``shape``.
    """

    STATE: ClassVar[tuple[str, ...]] = ()
    """Vars beside the drive, of the shape of the population and zero at first."""

    def __init__(
        self,
        *,
        shape: Shape,
        stage: Stage,
        timing: Timing,
        memory: StageMemory,
        host: HostMemory,
        bias: NDArray[np.int32] | int = 0,
    ) -> None:
        super().__init__(shape=shape, stage=stage, timing=timing, memory=memory, host=host, name=stage.name)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.drive = Var(shape=shape, init=0)
        for name in self.STATE:
            setattr(self, name, Var(shape=shape, init=0))
        self.bias = Var(shape=shape, init=bias)
        self.vth = Var(shape=(1,), init=stage.threshold)


class PopulationModel(PyLoihiProcessModel):
    """Ports and memory of a population. Only the rows of existing tokens are fired: padded slots never spike."""

    a_in: DirectInPort = LavaPyType(DirectInPort, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8, precision=8)
    drive: IntArray = LavaPyType(np.ndarray, np.int64, precision=24)
    bias: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=24)
    vth: NDArray[np.int32] = LavaPyType(np.ndarray, np.int32, precision=17)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._stage: Stage = proc_params["stage"]
        self._timing: Timing = proc_params["timing"]
        self._memory: StageMemory = proc_params["memory"]
        self._host: HostMemory = proc_params["host"]
        self._silence = silence(self._memory.counts.shape, np.int8)
        self._rows: tuple[Any, ...] = ()
        self._keys: NDArray[np.bool_] | None = None
        self._constant: IntArray = np.zeros((), np.int64)  # part of the drive of rows that no spike adds

    def _reset(self, *state: IntArray) -> None:
        """A new run, of the sentences the host has loaded; ``state``: what else starts from zero."""
        for array in (self.drive, *state, *self._memory.outcome):
            array[:] = 0
        self._rows, self._keys = self._host.rows(self._stage)
        if not self._stage.depth:
            self.drive[:] = self._host.drive
        if self._stage.relative is not None:
            self._constant = self._stage.constant(*self.drive.shape[2:])[:, self._rows[2]].swapaxes(
                0, 1
            )  # (n, H, width)
            if self._timing.schedule != "pipelined":  # where it is no part of what grows with time
                self.drive[self._rows] = self._constant

    def _own(self, rows: NDArray[Any]) -> NDArray[Any]:
        """``rows`` of existing tokens, 0 for keys of other sentences in the lane."""
        return rows if self._keys is None else rows * self._keys

    def _spikes(self, s: IntArray) -> NDArray[np.int8]:
        """Spikes of the rows of existing tokens as spikes of the whole population."""
        spikes = np.zeros_like(self._silence)
        spikes[self._rows] = s
        return spikes

    def _count(self, spikes: NDArray[np.int8]) -> None:
        self._memory.counts[:] += spikes
        self._memory.events[:] += spikes != 0
