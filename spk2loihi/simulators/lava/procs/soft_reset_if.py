"""The soft-reset neuron of the windowed and pipelined schedules as a Lava Process, and its CPU model."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from spk2loihi.limits import MEMBRANE_MAX
from spk2loihi.simulators.lava.channels import is_silent
from spk2loihi.simulators.lava.procs.neurons import IntArray, Population, PopulationModel


class SoftResetIF(Population):
    """A population of soft-reset integrate-and-fire neurons.

    In one time step, in this order (all integers, no leak)::

        drive += a_in + bias          while the integration window is open
        u      = soma(drive) + vth // 2   once, at the first step of the gate; ``//`` rounds down
        s_out  = +1 if u >= vth, -1 if signed and u < 0, else 0
        u     -= vth * s_out          reset by subtraction

    A graded population sends one message instead, ``clip(floor(u / vth), -T if signed else 0, T)``. In the pipelined
    schedule the gate opens with the integration window, and u starts at half a threshold. A linear population then has
    ``u += a_in + bias`` each step, saturating at 24 bits; one with a soma function or an attention drive compares
    ``u + t clip(soma(mean of drive))`` with ``vth * T`` at its step t, and ``u -= vth * T * s_out``.
    The bias is that of one step.
    """

    STATE = ("u",)


@implements(proc=SoftResetIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySoftResetIFModel(PopulationModel):
    """Soft-reset integrate-and-fire, bit-exact; order and rounding are documented at `SoftResetIF`."""

    u: IntArray = LavaPyType(np.ndarray, np.int64, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        # Pipelined, the charge of a nonlinear population is a function of its drive's running mean.
        self._by_mean = self._stage.soma is not None or self._stage.attention is not None or not self._stage.depth

    def run_spk(self) -> None:
        step = self._timing.step_of_run(self.time_step)
        a_in = self.a_in.recv()
        if step == 1:
            self._reset(self.u)
        tau = self._timing.local_step(self._stage, step)
        spikes = self._windowed(tau, a_in) if self._timing.schedule == "windowed" else self._pipelined(tau, a_in)
        self.s_out.send(spikes)
        self._observe(tau, spikes)

    def _windowed(self, tau: int, a_in: NDArray[np.int32]) -> NDArray[np.int8]:
        steps = self._timing.steps
        if not is_silent(a_in):
            if tau <= 1:
                self.drive += a_in
            else:
                self._memory.violations[1] += 1
        if self._stage.depth and 2 - steps <= tau <= 1:
            self.drive += self.bias
        if tau == 1:
            if self._stage.fires:
                self.u[self._rows] = self._soma(self.drive[self._rows]) + self.vth // 2
            else:
                self._host.result[:] = self.drive
        if not (self._stage.fires and 1 <= tau <= steps):
            return self._silence
        u, vth = self.u[self._rows], int(self.vth[0])
        if self._timing.encoding == "graded":
            most = self._timing.timesteps
            s = (u // vth).clip(-most if self._stage.signed else 0, most)
        else:
            s = self._compare(u, vth)
        self.u[self._rows] = u - vth * s
        return self._spikes(self._own(s))

    def _pipelined(self, tau: int, a_in: NDArray[np.int32]) -> NDArray[np.int8]:
        steps, window = self._timing.steps, self._timing.timesteps
        if not 1 <= tau <= steps:
            self._memory.violations[1] += int(not is_silent(a_in))
            return self._silence
        if self._stage.depth:
            self.drive += a_in
            self.drive += self.bias
        if not self._stage.fires:
            if tau == steps:
                self._host.result[:] = self.drive * window // tau
            return self._silence
        vth = int(self.vth[0]) * (window if self._by_mean else 1)
        u = self.u[self._rows] if tau > 1 else np.full_like(self.u[self._rows], vth // 2)
        if self._by_mean:  # u holds half a threshold less what was sent; it is compared with the charge added to it
            mean = self._mean(self.drive[self._rows], tau) + self._constant
            z = self._soma(mean).clip(-vth if self._stage.signed else 0, vth)
            s = self._compare(u + z * tau, vth)
        else:
            u = (u + a_in[self._rows] + self.bias[self._rows]).clip(-MEMBRANE_MAX, MEMBRANE_MAX)
            s = self._compare(u, vth)
        self.u[self._rows] = u - vth * s
        return self._spikes(self._own(s))

    def _mean(self, drive: IntArray, tau: int) -> IntArray:
        """Running mean of a drive, scaled to a window of T steps; an attention drive grows with the square of time."""
        window = self._timing.timesteps
        if not self._stage.depth:
            return drive
        if self._stage.attention is not None:
            return drive * window**2 // tau**2
        return drive * window // tau

    def _soma(self, drive: IntArray) -> IntArray:
        if self._stage.soma is None:
            return drive
        if self._keys is None:
            return self._stage.soma(drive)
        return self._stage.soma(drive[:, :, None], self._keys[:, :, None])[:, :, 0]  # scores are (..., H, L, L)

    def _compare(self, u: IntArray, vth: int) -> IntArray:
        s = (u >= vth).astype(np.int64)
        if self._stage.signed:
            s -= u < 0
        return s

    def _observe(self, tau: int, spikes: NDArray[np.int8]) -> None:
        """Count and record what was sent, wherever in time that was."""
        if not self._stage.fires or not 1 <= tau <= self._timing.steps:
            if not is_silent(spikes):
                self._memory.violations[0] += np.count_nonzero(spikes)
            return
        self._count(spikes)
        if self._host.record[0]:
            self._memory.train[tau - 1] = spikes
