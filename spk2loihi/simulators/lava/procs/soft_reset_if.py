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

    In one time step, in this order (all integers)::

        drive += a_in + bias          while the integration window is open
        u      = soma(drive) + vth // 2   once, at the first step of the gate; ``//`` rounds down
        s_out  = +1 if u >= vth, -1 if signed and u < 0, else 0
        u     -= vth * s_out          reset by subtraction

    A graded population sends one message instead, ``clip(floor(u / vth), -T if signed else 0, T)``. In the pipelined
    schedule the gate opens with the integration window, and u starts at half a threshold. A linear population then has
    ``u += a_in + bias`` each step, saturating at 24 bits; one with a soma function or an attention drive compares its
    charge ``t clip(soma(mean of drive))`` at its step t with all spikes it has sent, in units of ``vth * T``.
    Before that, in a leaky network, ``u - vth // 2`` and all sums over time leak (`spk2loihi.network.leak`).
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
        self._order = 0 if not self._stage.depth else 1 if self._stage.attention is None else 2
        self._leak = self._timing.leak
        self._weights = self._leak.weights()

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
        if not 1 <= tau <= self._timing.steps:
            echo = tau == self._timing.steps + 1 and self._stage.feedback is not None  # of the last own spikes
            self._memory.violations[1] += int(not echo and not is_silent(a_in))
            return self._silence
        if self._by_mean or not self._stage.fires:
            return self._by_sums(tau, a_in)
        vth, half = int(self.vth[0]), int(self.vth[0]) // 2
        v = self._leak(self.u[self._rows] - half) if tau > 1 else np.zeros_like(self.u[self._rows])
        u = (v + half + a_in[self._rows] + self.bias[self._rows]).clip(-MEMBRANE_MAX, MEMBRANE_MAX)
        s = self._compare(u, vth)
        self.u[self._rows] = u - vth * s
        return self._spikes(self._own(s))

    def _by_sums(self, tau: int, a_in: NDArray[np.int32]) -> NDArray[np.int8]:
        """A step of a population that compares sums over time; ``drive`` is that of its drive, ``u`` of its spikes."""
        leak, window = self._leak, self._timing.timesteps
        if tau == 1:
            self._weights = leak.weights()
        weight = next(self._weights)
        if self._order == 2:  # a product of two sums, with their fractional bits
            self.drive[:] = leak(leak(self.drive)) + a_in
        elif self._order == 1:
            self.drive[:] = leak(self.drive) + leak.one(a_in.astype(np.int64) + self.bias)
        if not self._stage.fires:
            if tau == self._timing.steps:
                self._host.result[:] = leak.mean(self.drive, weight, window, 1)
            return self._silence
        mean = self.drive[self._rows]
        if self._order:
            mean = leak.mean(mean, weight, window, self._order) + self._constant
        vth, sent = int(self.vth[0]) * window, leak(self.u[self._rows])
        z = self._soma(mean).clip(-vth if self._stage.signed else 0, vth)
        s = self._compare(leak.membrane(z, weight, sent, vth), vth << leak.fraction)
        self.u[self._rows] = sent + leak.one(s)
        return self._spikes(self._own(s))

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
