"""The populations of a student that does not exist yet, from its topology and its sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spk2loihi.chip.synapse_patterns import DIGITS
from spk2loihi.choices import SCHEDULES, Schedule
from spk2loihi.errors import UserError
from spk2loihi.fit.chip_limits import WEIGHT_WIDTH
from spk2loihi.fit.population import Input, Kind, Population, count_bits, state_bits
from spk2loihi.limits import EXCITATORY_WEIGHT_MAX, TIMESTEPS_MAX
from spk2loihi.models.topology import Sizes, StageSpec, check_sizes, topology
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.requantise import Requantise
from spk2loihi.network.run_config import RunConfig
from spk2loihi.ranges import check_numbers, shown


@dataclass(frozen=True)
class StudentShape:
    """Sizes `spk2loihi train` would be given."""

    preset: str = "spikingbert"
    layers: int = 6
    hidden: int = 384
    intermediate: int | None = None  # default: 4 x hidden
    heads: int = 12
    tokens: int = 64
    bits: float = 8
    timesteps: int = 16
    labels: int = 2
    schedule: Schedule = "windowed"

    @property
    def stored_bits(self) -> int:
        """Of a weight on the chip: ternary ones, of 1.58 bits, take 2."""
        return math.ceil(self.bits)


def shape_populations(shape: StudentShape) -> list[Population]:
    """Populations of a student of that shape, all weights non-zero and of full width.

    Raises:
        UserError: a size no student can have.
    """
    names = ("layers", "hidden", "intermediate", "heads", "tokens", "timesteps", "labels")
    check_numbers({name: getattr(shape, name) for name in names})
    if shape.schedule not in SCHEDULES:
        raise UserError(f"`schedule` is {shown(shape.schedule)}: choose one of {', '.join(SCHEDULES)}")
    check_sizes(shape.hidden, shape.heads, shape.timesteps, shape.bits, shape.tokens, shape.tokens, shape.preset)
    specs = {spec.name: spec for spec in topology(shape.layers)}
    return [_population(spec, specs, shape) for spec in specs.values()]


def shape_network(shape: StudentShape) -> Network:
    """A streamed network of that shape, for its graph alone: no weight and no digit of a bias is 0.

    Raises:
        UserError: a size no student can have.
    """
    shape_populations(shape)  # checks it
    sizes = Sizes(shape.hidden, shape.intermediate or 4 * shape.hidden, shape.heads, shape.labels)
    specs = {spec.name: spec for spec in topology(shape.layers)}
    nothing = np.zeros((1, shape.hidden), np.int64)
    return Network(
        timesteps=TIMESTEPS_MAX,
        max_tokens=shape.tokens,
        stages=tuple(_stage(spec, specs, shape, sizes) for spec in specs.values()),
        embedding=Embedding(nothing, nothing, nothing),
        tokenizer="",
        task={},
        config={"preset": shape.preset},
        weight_bits=shape.stored_bits,
        defaults=RunConfig("streamed", "graded"),
    )


def _stage(spec: StageSpec, specs: dict[str, StageSpec], shape: StudentShape, sizes: Sizes) -> Stage:
    channels, fires = spec.channels(sizes), spec.kind != "readout"
    most = 2 ** (shape.stored_bits - 1) - 1 if shape.stored_bits > 1 else 1
    groups, attention = [], None
    if spec.kind in ("linear", "readout"):
        for i, source in enumerate(spec.sources):
            width = specs[source].channels(sizes)
            weight = np.full((channels,) if i else (channels, width), 2 * most)
            weight[::2] *= -1  # synapses of mixed signs
            groups.append(SynapseGroup(source, weight, np.zeros(width, np.int64)))
    elif spec.kind in ("scores", "context"):
        left, right = spec.sources
        attention = Attention("scores" if spec.kind == "scores" else "context", left, right)
    signed = spec.signed(shape.preset, True)
    requantise = Requantise(np.full(channels, EXCITATORY_WEIGHT_MAX), 8, not signed, TIMESTEPS_MAX)
    return Stage(
        spec.name,
        spec.depth,
        channels,
        1,
        tuple(groups),
        attention,
        heads=shape.heads if attention else 1,
        bias=np.full(channels, 2 * sum(DIGITS)) if groups or spec.kind == "scores" else None,
        requantise=requantise if fires and spec.sources else None,
        signed=signed,
        tokens="first" if spec.first else "all",
        fires=fires,
    )


def _population(spec: StageSpec, specs: dict[str, StageSpec], shape: StudentShape) -> Population:
    sizes = Sizes(shape.hidden, shape.intermediate or 4 * shape.hidden, shape.heads, shape.labels)
    attends = spec.kind in ("scores", "context")
    left, right = spec.sources if attends else ("", "")

    def bits_of(source: str) -> int:
        return count_bits(shape.timesteps, specs[source].signed(shape.preset, True)) if source else 0

    def group(source: str, one_to_one: bool) -> Input:
        """No zero weight, and every bit used; a residual's one weight takes all bits there are."""
        width = specs[source].channels(sizes)
        bits = WEIGHT_WIDTH.value if one_to_one else shape.stored_bits
        return Input(source, width, one_to_one, bits, width if one_to_one else width * spec.channels(sizes))

    kinds: dict[str, Kind] = {"embedding": "input", "scores": "scores", "context": "context"}
    soma, fires, linear = spec.soma(shape.preset), spec.kind != "readout", spec.kind in ("linear", "readout")
    return Population(
        name=spec.name,
        kind=kinds.get(spec.kind, "linear"),
        tokens=1 if spec.first else shape.tokens,
        max_tokens=shape.tokens,
        channels=spec.channels(sizes),
        heads=shape.heads if attends else 1,
        inputs=tuple(group(source, i > 0) for i, source in enumerate(spec.sources)) if linear else (),
        left=left,
        right=right,
        left_bits=bits_of(left),
        right_bits=bits_of(right),
        head_width=specs[right].channels(sizes) // shape.heads if attends else 0,
        state_bits=state_bits(
            shape.schedule,
            bias=linear,
            nonlinear=soma is not None or attends,
            tracer=bits_of(spec.name) if fires else 0,
        ),
        soma=soma,
        fires=fires,
        pipelined=shape.schedule != "windowed",
    )
