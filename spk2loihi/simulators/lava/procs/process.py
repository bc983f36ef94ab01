"""Lava Processes of this project: the neuron, and the two synapse types for which Lava has no Process.

Ports and Vars only; behaviour is in `models`. Matrix synapses are Lava's own ``lava.proc.conv.process.Conv``, built by
``lava.lib.dl.netx.blocks.process.Conv``.
"""

from __future__ import annotations

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from spk2loihi.export.network import Attention, Stage
from spk2loihi.simulators.lava.packing import Grid
from spk2loihi.simulators.lava.shared import HostMemory, Shape, StageMemory, Timing


class SoftResetIF(AbstractProcess):
    """A population of soft-reset integrate-and-fire neurons behind a fire gate (compare ``lava.proc.lif.process.LIF``).

    In one time step, in this order (all integers, no leak)::

        drive += a_in + bias          while the integration window is open
        u      = soma(drive) + vth // 2   once, at the first step of the gate; ``//`` rounds down
        s_out  = +1 if u >= vth, -1 if signed and u < 0, else 0
        u     -= vth * s_out          reset by subtraction

    A graded population sends one message instead, ``clip(floor(u / vth), -T if signed else 0, T)``. In the pipelined
    schedule the gate opens with the integration window, and u starts at half a threshold. A linear population then has
    ``u += a_in + bias`` each step, saturating at 24 bits; one with a soma function or an attention drive compares
    ``u + t clip(soma(mean of drive))`` with ``vth * T`` at its step t, and ``u -= vth * T * s_out``.

    Args:
        shape: (slots, 1, d), or (lanes, heads, width, width) for attention scores.
        stage: the population; its synapses are not used here.
        bias: added on each step of the integration window, broadcast to ``shape``.
    """

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
        self.u = Var(shape=shape, init=0)
        self.bias = Var(shape=shape, init=bias)
        self.vth = Var(shape=(1,), init=stage.threshold)


class OneToOneSynapse(AbstractProcess):
    """One synapse a neuron: ``a_out(t) = weight * s_in(t - 1 - delay)``, the synapses of a skip connection.

    Args:
        shape: of the spikes, (slots, 1, d).
        weight: integers, exponent applied, (d,).
        delay: steps beyond the one every synapse takes.
    """

    def __init__(self, *, shape: Shape, weight: NDArray[np.int64], delay: int, name: str) -> None:
        super().__init__(shape=shape, delay=delay, name=name)
        self.s_in = InPort(shape=shape)
        self.a_out = OutPort(shape=shape)
        self.weight = Var(shape=weight.shape, init=weight)


class BilinearSynapse(AbstractProcess):
    """Attention drive of two spiking populations, on fast weights: the spike counts L and R of either side.

    ``a_out(t + 1) = l R(t) + L(t-1) r`` with the spikes l, r that arrive at step t; counts include them in R(t), not in
    L(t-1), so that the sum over time is exactly ``L R`` (`spk2loihi.export.network.Attention` has the indices).

    Args:
        left_shape, right_shape, out_shape: populations as in `spk2loihi.simulators.lava.shared.neuron_shape`.
        bound: largest |U| the sum over a run can reach.
    """

    def __init__(
        self,
        *,
        left_shape: Shape,
        right_shape: Shape,
        out_shape: Shape,
        attention: Attention,
        heads: int,
        grid: Grid,
        timing: Timing,
        bound: int,
        name: str,
    ) -> None:
        super().__init__(
            left_shape=left_shape,
            right_shape=right_shape,
            out_shape=out_shape,
            attention=attention,
            heads=heads,
            grid=grid,
            timing=timing,
            bound=bound,
            name=name,
        )
        self.left = InPort(shape=left_shape)
        self.right = InPort(shape=right_shape)
        self.a_out = OutPort(shape=out_shape)
