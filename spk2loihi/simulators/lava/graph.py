"""From the integer network to a graph of Lava processes, of stock netx blocks where netx has one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from lava.lib.dl.netx.blocks.process import Conv as ConvBlock
from lava.magma.core.process.process import ProcessServer
from lava.proc.conv.process import Conv
from numpy.typing import NDArray

from spk2loihi.network.bounds import worst_drive
from spk2loihi.network.network import Network, Stage, SynapseGroup
from spk2loihi.simulators.lava.lava_processes import CHANNEL_SIZE
from spk2loihi.simulators.lava.packing import Grid
from spk2loihi.simulators.lava.procs.settling_if import SettlingIF
from spk2loihi.simulators.lava.procs.soft_reset_if import SoftResetIF
from spk2loihi.simulators.lava.procs.synapses import BilinearSynapse, OneToOneSynapse
from spk2loihi.simulators.lava.shared_memory import HostMemory, Shape, StageMemory, Timing, neuron_shape

MESSAGE_BITS = 8
"""Bits of a spike, signed or graded. With 0 bits Lava's Conv takes every message for a spike of +1."""


@dataclass
class Graph:
    """The Lava processes of a network, and the memory the host shares with them.

    Attributes:
        root: the first process; compiling it compiles all processes connected to it.
        processes: all of them, blocks and their parts included.
        channel_bytes: memory Lava takes for its channels.
    """

    network: Network
    grid: Grid
    timing: Timing
    host: HostMemory
    stages: dict[str, StageMemory] = field(default_factory=dict)
    root: Any = None
    processes: list[Any] = field(default_factory=list)
    channel_bytes: int = 0
    _out_ports: dict[str, Any] = field(default_factory=dict)

    def add(self, stage: Stage) -> None:
        """One population and the synapses that drive it."""
        neuron = self._neuron_arguments(stage)
        matrices = [group for group in stage.synapses if not group.one_to_one]
        if matrices:
            block = self._conv_block(stage, neuron, matrices[0])
            population, out_port = block.neuron, block.out
        else:
            bias = self._bias(stage)
            population = self._neuron(bias=bias[:, None, None] if stage.is_scores else bias, **neuron)
            out_port = population.s_out
        self._out_ports[stage.name] = out_port  # before the synapses, of which some may be the population's own
        for group in matrices[1:]:
            self._conv(stage, group, population.a_in)
        for group in stage.synapses:
            if group.one_to_one:
                delayed = OneToOneSynapse(
                    shape=neuron["shape"], weight=group.scaled, delay=self._delay(group), name=_name(stage, group)
                )
                self._connect(self._out_ports[group.source], delayed.s_in, np.int8)
                self._connect(delayed.a_out, population.a_in, np.int32)
        if stage.attention is not None:
            self._attention(stage, population.a_in)
        if self.root is None:
            self.root = population

    @property
    def _neuron(self) -> Any:
        return SettlingIF if self.timing.schedule == "settling" else SoftResetIF

    def _delay(self, group: SynapseGroup) -> int:
        """Delays align windows, and the parts of pipelined runs; there is nothing to align in settling."""
        return 0 if self.timing.schedule == "settling" else group.delay

    def _neuron_arguments(self, stage: Stage) -> dict[str, Any]:
        shape = neuron_shape(stage, self.grid)
        memory = StageMemory.allocate(shape, self.timing.steps if stage.fires else 0)
        self.stages[stage.name] = memory
        return {"shape": shape, "stage": stage, "timing": self.timing, "memory": memory, "host": self.host}

    def _bias(self, stage: Stage) -> NDArray[np.int32]:
        """Bias a step; T times the network's where it is given once: in a window of one step, and when settling."""
        bias = np.zeros(stage.channels, np.int64) if stage.bias is None else stage.bias
        once = self.timing.encoding == "graded" or self.timing.schedule == "settling"
        each = self.timing.timesteps if once else 1
        return (bias * each).astype(np.int32)

    def _conv_block(self, stage: Stage, neuron: dict[str, Any], group: SynapseGroup) -> ConvBlock:
        """Stock netx block: a 1x1 convolution over the token axis, and this project's neuron."""
        shape = neuron.pop("shape")
        source = self._relayed(group)
        block = ConvBlock(
            shape=shape,
            input_shape=source.shape,
            weight=_kernel(group),
            bias=self._bias(stage),
            input_message_bits=MESSAGE_BITS,
            neuron_params={"neuron_proc": self._neuron, "num_message_bits": MESSAGE_BITS, **neuron},
        )
        block.synapse.name = _name(stage, group)
        self._connect(source, block.inp, np.int8)
        self._count_channel(shape, np.int32)  # from synapse to neuron inside the block
        neuron["shape"] = shape
        return block

    def _conv(self, stage: Stage, group: SynapseGroup, a_in: Any) -> None:
        source = self._relayed(group)
        synapse = Conv(
            weight=_kernel(group), input_shape=source.shape, num_message_bits=MESSAGE_BITS, name=_name(stage, group)
        )
        self._connect(source, synapse.s_in, np.int8)
        self._connect(synapse.a_out, a_in, np.int32)

    def _relayed(self, group: SynapseGroup) -> Any:
        """Out port with the spikes of a group's source, delayed by a relay if the group has a delay."""
        source, delay = self._out_ports[group.source], self._delay(group)
        if not delay:
            return source
        weight = np.ones(source.shape[-1], np.int64)
        relay = OneToOneSynapse(
            shape=source.shape, weight=weight, delay=delay - 1, name=f"{group.source} + {delay} steps"
        )
        self._connect(source, relay.s_in, np.int8)
        return relay.a_out

    def _attention(self, stage: Stage, a_in: Any) -> None:
        assert stage.attention is not None
        left, right = (self._out_ports[name] for name in stage.sources)
        steps = self.timing.steps if self.timing.schedule == "pipelined" else None
        attention = stage.attention
        if self.timing.schedule == "settling":
            attention = replace(attention, left_delay=0, right_delay=0)
        synapse = BilinearSynapse(
            left_shape=left.shape,
            right_shape=right.shape,
            out_shape=a_in.shape,
            attention=attention,
            heads=stage.heads,
            grid=self.grid,
            timing=self.timing,
            bound=self.timing.leak.largest(worst_drive(self.network, stage, steps)),
            name=f"{stage.name} from {stage.attention.left} and {stage.attention.right}",
        )
        self._connect(left, synapse.left, np.int8)
        self._connect(right, synapse.right, np.int8)
        self._connect(synapse.a_out, a_in, np.int32)

    def _connect(self, out_port: Any, in_port: Any, dtype: type) -> None:
        out_port.connect(in_port)
        self._count_channel(in_port.shape, dtype)

    def _count_channel(self, shape: Shape, dtype: type) -> None:
        self.channel_bytes += math.prod(shape) * np.dtype(dtype).itemsize * CHANNEL_SIZE


def build(network: Network, grid: Grid, timing: Timing) -> Graph:
    """Processes and shared memory of ``network`` on a grid of token slots."""
    host = HostMemory.allocate(grid, network.input.channels, network.readout.channels)
    graph = Graph(network, grid, timing, host)
    server = ProcessServer()
    known = len(server.processes)
    for stage in network.stages:
        graph.add(stage)
    graph.processes = server.processes[known:]
    return graph


def _kernel(group: SynapseGroup) -> NDArray[np.int64]:
    """Weights in netx order, (d_out, 1, 1, d_in), exponent applied: Lava's CPU models of Conv ignore ``weight_exp``."""
    return (group.scaled)[:, None, None, :]


def _name(stage: Stage, group: SynapseGroup) -> str:
    return f"{stage.name} from {group.source}"
