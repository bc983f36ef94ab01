"""The neuron of the settling schedule as a Lava Process, and its CPU model."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spk2loihi.simulators.lava.procs.neurons import IntArray, Population, PopulationModel


class SettlingIF(Population):
    """A population of integrate-and-fire neurons that trace what they have sent and take it back (ST-BIF).

    In one time step, in this order (all integers, no leak)::

        drive += a_in
        drive += bias                     once, at the population's first step (`Timing.start`)
        target = soma(drive) + vth // 2   from that step on, in rows where the drive has changed; ``//`` rounds down
        u      = target - vth * tracer
        s_out  = +1 if u >= vth and tracer < T, -1 if u < 0 and tracer > low, else 0      low: -T if signed, else 0
        tracer += s_out

    The reset is the tracer's: a spike moves u by ``-vth * s_out``, and no other way. A row is what the soma function
    acts on: a token, or a head and a query for scores. The bias is that of a whole window, T times the network's.
    """

    STATE = ("target", "tracer")


@implements(proc=SettlingIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySettlingIFModel(PopulationModel):
    """Bit-exact; order and rounding are documented at `SettlingIF`."""

    target: IntArray = LavaPyType(np.ndarray, np.int64, precision=24)
    tracer: IntArray = LavaPyType(np.ndarray, np.int64, precision=8)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._start = self._timing.start(self._stage)
        self._most = self._timing.timesteps
        self._low = -self._most if self._stage.signed else 0
        self._restless = True  # something may fire in this step: a drive has changed, or the step before had spikes

    def run_spk(self) -> None:
        step = self._timing.step_of_run(self.time_step)
        a_in = self.a_in.recv()
        if step == 1:
            self._reset(self.target, self.tracer)
            self._restless = False
        changed = self._integrate(step, a_in)
        spikes = self._silence
        if not self._stage.fires:
            self._host.result[:] = self.drive
        elif step >= self._start:
            if changed.any():
                self._aim(changed)
                self._restless = True
            if self._restless:
                spikes = self._fire()
                self._restless = spikes is not self._silence
        self.s_out.send(spikes)
        if self._host.record[0] and self._stage.fires:
            self._memory.train[(step - 1) % len(self._memory.train)] = spikes
        if spikes is not self._silence:
            self._memory.last[spikes.any(-1)] = step

    def _integrate(self, step: int, a_in: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Rows of existing tokens the drive of which has changed, (n, 1) or (n, H)."""
        self.drive += a_in
        changed: NDArray[np.bool_] = self._own(a_in[self._rows]).any(-1)
        if step == self._start:
            self.drive += self.bias
            changed[:] = True
        return changed

    def _aim(self, changed: NDArray[np.bool_]) -> None:
        """The target of these rows."""
        soma, drive, target = self._stage.soma, self.drive[self._rows], self.target[self._rows]
        if soma is None:
            z = drive[changed]
        elif not soma.on_host:  # some want to know the head
            z = (soma(drive) if self._keys is None else soma(drive[:, :, None])[:, :, 0])[changed]
        else:
            keys = None if self._keys is None else np.broadcast_to(self._keys, drive.shape)[changed]
            z = soma(drive[changed], keys)
            self._memory.elements[0] += z.size if keys is None else np.count_nonzero(keys)
        target[changed] = z + self.vth // 2
        self.target[self._rows] = target

    def _fire(self) -> NDArray[np.int8]:
        tracer, vth = self.tracer[self._rows], int(self.vth[0])
        u = self.target[self._rows] - vth * tracer
        s = ((u >= vth) & (tracer < self._most)).astype(np.int64)
        s -= (u < 0) & (tracer > self._low)
        s = self._own(s)
        if not s.any():
            return self._silence
        self.tracer[self._rows] = tracer + s
        spikes = self._spikes(s)
        self._count(spikes)
        return spikes
