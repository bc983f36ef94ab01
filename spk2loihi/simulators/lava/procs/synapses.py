"""Lava Processes of this project: the two synapse types for which Lava has none.

Ports and Vars only; behaviour is in `models`. Matrix synapses are Lava's own ``lava.proc.conv.process.Conv``, built by
``lava.lib.dl.netx.blocks.process.Conv``.
"""

from __future__ import annotations

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from spk2loihi.network.network import Attention
from spk2loihi.simulators.lava.packing import Grid
from spk2loihi.simulators.lava.shared_memory import Shape, Timing


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
    L(t-1), so that the sum over time is exactly ``L R`` (`spk2loihi.network.network.Attention` has the indices).

    Args:
        left_shape, right_shape, out_shape: populations as in `spk2loihi.simulators.lava.shared_memory.neuron_shape`.
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
