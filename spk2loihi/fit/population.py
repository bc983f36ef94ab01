"""What a neurocore sees of a stage: sizes and bit widths, no weights.

`populations` reads them from a network; `resized` gives the same network with other widths, tokens or bits, which is
how `remedies` asks "what if".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spk2loihi.choices import Schedule
from spk2loihi.limits import BIAS_BITS, MEMBRANE_BITS
from spk2loihi.network.network import Network, Stage
from spk2loihi.netx.dense import stored_bits

Kind = Literal["input", "linear", "scores", "context"]


@dataclass(frozen=True)
class Input:
    """One synapse group of a linear population."""

    source: str
    width: int  # presynaptic channels of a token
    one_to_one: bool
    bits: int  # of a stored weight
    existing: int  # non-zero weights of a token


@dataclass(frozen=True)
class Population:
    """Neurons of one stage. Linear and context: (tokens, channels); scores: (heads, tokens, keys).

    A convolution is linear: its tokens are the positions along x, each of ``height`` positions along y, and an input
    has one channel for each position of the kernel. A dense layer, as Lava's Dense, is linear with one token.
    """

    name: str
    kind: Kind
    tokens: int  # 1 for a stage that exists for [CLS] only
    max_tokens: int
    channels: int  # heads, for scores
    heads: int
    inputs: tuple[Input, ...]  # of a linear population
    left: str  # sources of an attention population, or ""
    right: str
    left_bits: int  # of a stored spike count of that source
    right_bits: int
    head_width: int  # channels of one head, of an attention population
    state_bits: int  # of one neuron
    soma: str | None
    fires: bool
    pipelined: bool  # or settling: all gates are open at once
    height: int = 1
    dense: bool = False  # synapses carry the index of their target; nothing is shared

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.left, self.right) if self.left else tuple(i.source for i in self.inputs)

    @property
    def neurons(self) -> int:
        return self.tokens * self.height * self.channels * (self.max_tokens if self.kind == "scores" else 1)

    @property
    def fan_in(self) -> int:
        """Largest number of synapses onto one neuron."""
        if self.kind == "scores":
            return 2 * self.head_width
        if self.kind == "context":
            return self.max_tokens * (2 if self.pipelined else 1)
        return sum(1 if i.one_to_one else i.width for i in self.inputs)

    @property
    def synapses(self) -> int:
        """Existing synapses, every token's copy counted."""
        if self.left:
            return self.neurons * self.fan_in
        return self.tokens * self.height * sum(i.existing for i in self.inputs)


def populations(network: Network) -> list[Population]:
    """The stages of ``network`` in its order."""
    return [_population(network, stage) for stage in network.stages]


def _population(network: Network, stage: Stage) -> Population:
    attention, pipelined = stage.attention, network.defaults.schedule != "windowed"
    left, right = ("", "") if attention is None else (attention.left, attention.right)
    kind: Kind = "linear" if stage.synapses else "input"
    head_width = 0
    if attention is not None:
        kind, head_width = attention.kind, network[right].channels // stage.heads

    def bits_of(source: str) -> int:
        return count_bits(network.timesteps, network[source].signed) if source else 0

    return Population(
        name=stage.name,
        kind=kind,
        tokens=1 if stage.tokens == "first" else network.max_tokens,
        max_tokens=network.max_tokens,
        channels=stage.channels,
        heads=stage.heads,
        inputs=tuple(
            Input(
                g.source,
                network[g.source].channels,
                g.one_to_one,
                stored_bits(g.weight),
                int(np.count_nonzero(g.weight)),
            )
            for g in stage.synapses
        ),
        left=left,
        right=right,
        left_bits=bits_of(left),
        right_bits=bits_of(right),
        head_width=head_width,
        state_bits=state_bits(
            network.defaults.schedule,
            bias=stage.bias is not None,
            nonlinear=stage.soma is not None or attention is not None,
            fraction=network.leak.fraction,
            tracer=bits_of(stage.name) if stage.fires else 0,
        ),
        soma=None if stage.soma is None else stage.soma.kind,
        fires=stage.fires,
        pipelined=pipelined,
    )


def count_bits(timesteps: int, signed: bool) -> int:
    """Bits of a spike count in [0, T], or [-T, T]."""
    return timesteps.bit_length() + (1 if signed else 0)


def state_bits(schedule: Schedule, bias: bool, nonlinear: bool, tracer: int, fraction: int = 0) -> int:
    """Of one neuron: membrane and bias; not windowed, the drive summed so far where the stage is a function of it.

    Args:
        nonlinear: the stage has a soma function or attends.
        fraction: fractional bits of a leaky sum, of the drive or of the spikes sent.
        tracer: bits of a settling neuron's tracer.
    """
    bits = MEMBRANE_BITS + (BIAS_BITS if bias else 0)
    if schedule != "windowed" and nonlinear:
        bits += MEMBRANE_BITS + 2 * fraction
    return bits + (tracer if schedule == "settling" else 0)


def resized(
    given: Sequence[Population],
    widths: Mapping[int, int] | None = None,
    tokens: int | None = None,
    bits: int | None = None,
) -> list[Population]:
    """The same network with other sizes.

    Args:
        widths: old to new number of channels. Heads and the readout keep theirs.
        tokens: another token axis.
        bits: at most so many bits a weight of a dense synapse group.
    """
    channels = {
        p.name: p.channels if p.kind == "scores" or not p.fires else (widths or {}).get(p.channels, p.channels)
        for p in given
    }

    def rescale(p: Population, i: Input) -> Input:
        width, old = channels[i.source], i.width if i.one_to_one else i.width * p.channels
        new = width if i.one_to_one else width * channels[p.name]
        own_bits = i.bits if bits is None or i.one_to_one else min(i.bits, bits)
        return replace(i, width=width, bits=own_bits, existing=i.existing * new // old)

    length = {p.name: p.max_tokens if tokens is None else tokens for p in given}
    return [
        replace(
            p,
            tokens=1 if p.tokens == 1 else length[p.name],
            max_tokens=length[p.name],
            channels=channels[p.name],
            inputs=tuple(rescale(p, i) for i in p.inputs),
            head_width=_head_width(p, channels),
        )
        for p in given
    ]


def _head_width(p: Population, channels: Mapping[str, int]) -> int:
    return channels[p.right] // p.heads if p.right else 0
