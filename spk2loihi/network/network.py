"""The integer network: what `model.net` holds and what every backend runs. Pure data, integers only.

A network is a directed graph of *stages*, without cycles but for the feedback of a stage on itself. A stage is a
population of soft-reset integrate-and-fire neurons behind a fire gate; its drive comes from synapse groups (linear) or
from an attention product (bilinear), passes an optional integer soma function, and is fired against one integer
threshold.

Spike counts ``n`` of a stage, given its summed drive ``U`` over a window of ``T`` steps (``z`` is the soma function or
the identity)::

    n = clip(floor((z(U) + threshold // 2) / threshold), -T if signed else 0, T)

A stage of a *streamed* network (the `stock` preset) requantises instead, and its neurons send one message a token, with
the payload ``n`` (`spk2loihi.network.requantise`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import SCHEDULES, Arithmetic, Encoding, Schedule
from spk2loihi.errors import UserError
from spk2loihi.network.leak import Leak
from spk2loihi.network.requantise import Requantise
from spk2loihi.network.run_config import RunConfig, check_schedule
from spk2loihi.network.soma import Soma


@dataclass(frozen=True)
class SynapseGroup:
    """Token-wise linear synapses: a spike of value s on input j adds ``s * weight[i, j] << exponent[j]`` to neuron i.

    The exponent is shared by the synapses of an axon (Loihi's wgtExp). ``delay`` is in steps beyond the one step every
    synapse takes; it aligns groups of unequal depth.
    """

    source: str
    weight: NDArray[np.int64]  # mantissas: (d_out, d_in), or (d,) for the one-to-one synapses of a skip connection
    exponent: NDArray[np.int64]  # (d_in,)
    delay: int = 0

    @cached_property
    def scaled(self) -> NDArray[np.int64]:
        """Weights with their exponents applied, shaped as ``weight``."""
        return self.weight << self.exponent

    @property
    def one_to_one(self) -> bool:
        return self.weight.ndim == 1

    @cached_property
    def fan_out(self) -> NDArray[np.int64]:
        """Existing synapses (non-zero weights) per input channel, (d_in,)."""
        nonzero = self.weight != 0
        return (nonzero if self.one_to_one else nonzero.sum(0)).astype(np.int64)


@dataclass(frozen=True)
class Attention:
    """Bilinear drive from two spiking populations, kept in fast weights (the counts of either side).

    ``scores``:  U[h, i, j] = sum_c left[i, h, c] * right[j, h, c]   (left = query, right = key)
    ``context``: U[i, h, c] = sum_j left[h, i, j] * right[j, h, c]   (left = score spikes, right = value)
    """

    kind: Literal["scores", "context"]
    left: str
    right: str
    left_delay: int = 0
    right_delay: int = 0


@dataclass(frozen=True)
class Stage:
    """One population. Neurons are (tokens, channels), or (heads, tokens, tokens) for attention scores."""

    name: str  # e.g. "layer.0.query"
    depth: int  # window index: the stage fires in steps depth*T+1 ... (depth+1)*T
    channels: int  # d; for scores the number of heads
    threshold: int
    synapses: tuple[SynapseGroup, ...] = ()
    attention: Attention | None = None
    heads: int = 1  # of an attention drive
    relative: NDArray[np.int64] | None = None  # constant part of scores, by distance key - query: (heads, 2 L - 1)
    bias: NDArray[np.int64] | None = None  # (d,), added on each of the T steps of the integration window
    soma: Soma | None = None
    requantise: Requantise | None = None  # in place of the threshold, which is then only near what it stands for
    signed: bool = True  # spikes of -1 as well as +1
    tokens: Literal["all", "first"] = "all"  # "first": exists for the [CLS] token only
    fires: bool = True  # False: a readout, whose membrane is the result
    unit: float = 1.0  # float value of one spike (of one unit of U for a readout)
    unit_exponent: NDArray[np.int64] | None = None  # (d,): the value of channel c is unit * 2**unit_exponent[c]
    max_drive: int = 0  # proven bound on |U| and |membrane|

    @property
    def is_scores(self) -> bool:
        return self.attention is not None and self.attention.kind == "scores"

    @property
    def sources(self) -> tuple[str, ...]:
        """The stages it reads, itself not among them."""
        if self.attention is not None:
            return (self.attention.left, self.attention.right)
        return tuple(g.source for g in self.forward)

    @property
    def forward(self) -> tuple[SynapseGroup, ...]:
        """Synapses from other stages."""
        return tuple(g for g in self.synapses if g.source != self.name)

    @cached_property
    def feedback(self) -> SynapseGroup | None:
        """Synapses from the population to itself, which take one step like any others."""
        return next((g for g in self.synapses if g.source == self.name), None)

    def constant(self, rows: int, keys: int) -> NDArray[np.int64]:
        """What the places of query and key add to U over a window, whatever fires: (heads, rows, keys), or 0."""
        if self.relative is None:
            return np.zeros((), np.int64)
        if max(rows, keys) > self.relative.shape[1] // 2 + 1:
            raise ValueError(
                f"{self.name}: {keys} tokens, but the drive by distance is of {self.relative.shape[1]} places"
            )
        distance = np.arange(keys) - np.arange(rows)[:, None]
        part: NDArray[np.int64] = self.relative[:, distance + self.relative.shape[1] // 2]
        return part

    def to_dict(self) -> dict[str, Any]:
        """Everything but the weights, the bias and `relative`, as JSON holds it."""
        record: dict[str, Any] = {
            "name": self.name,
            "depth": self.depth,
            "channels": self.channels,
            "threshold": self.threshold,
            "heads": self.heads,
            "signed": self.signed,
            "tokens": self.tokens,
            "fires": self.fires,
            "unit": self.unit,
            "unit_exponent": None if self.unit_exponent is None else self.unit_exponent.tolist(),
            "soma": None if self.soma is None else self.soma.to_dict(),
            "requantise": None if self.requantise is None else self.requantise.to_dict(),
            "attention": None if self.attention is None else asdict(self.attention),
            "groups": [
                {"source": g.source, "exponent": g.exponent.tolist(), "delay": g.delay, "one_to_one": g.one_to_one}
                for g in self.synapses
            ],
        }
        return record if self.relative is None else {**record, "relative": True}


@dataclass(frozen=True)
class Embedding:
    """Host-side lookup: U = word[id] + position[p] + token_type[t], then the first stage's soma function."""

    word: NDArray[np.int64]  # (vocabulary, d)
    position: NDArray[np.int64]  # (positions, d)
    token_type: NDArray[np.int64]  # (types, d)


@dataclass(frozen=True)
class Network:
    """Everything needed to run: no sidecar, no checkpoint. ``stages`` are in topological order, embedding first."""

    timesteps: int  # T; of a streamed network, the largest payload
    max_tokens: int  # L: the token axis of the file, padding included
    stages: tuple[Stage, ...]
    embedding: Embedding
    tokenizer: str  # tokenizer.json of Hugging Face `tokenizers`
    task: dict[str, Any]  # spk2loihi.data TaskSpec, plus labels and metric
    config: dict[str, Any]  # SpikingBertConfig
    weight_bits: float = 8
    defaults: RunConfig = field(default_factory=RunConfig)  # how it runs unless told otherwise
    decay: int = 0  # of every neuron, in units of 1/4096 a step (`spk2loihi.network.leak`)
    provenance: dict[str, Any] = field(default_factory=dict)  # seed, versions, checksums, scores of model and teacher

    def __getitem__(self, name: str) -> Stage:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Stage]:
        return {s.name: s for s in self.stages}

    @property
    def synapses(self) -> int:
        """Non-zero weights a token; all tokens share them."""
        return sum(int(group.fan_out.sum()) for stage in self.stages for group in stage.synapses)

    @cached_property
    def streamed(self) -> bool:
        """One token a step through stock processes (the `stock` preset); no other schedule runs it."""
        return any(stage.requantise is not None for stage in self.stages)

    @property
    def leak(self) -> Leak:
        return Leak(self.decay)

    @cached_property
    def only_schedule(self) -> Schedule | None:
        """The one schedule that runs it: ``streamed``, or ``pipelined`` with leak or feedback; None: any but streamed.

        A leak forgets the windows before, and the spikes of feedback are needed before a window has ended.
        """
        if self.streamed:
            return "streamed"
        return "pipelined" if self.decay or any(stage.feedback is not None for stage in self.stages) else None

    @property
    def input(self) -> Stage:
        return self.stages[0]

    @property
    def readout(self) -> Stage:
        return self.stages[-1]

    def run_config(
        self,
        schedule: Schedule | None = None,
        encoding: Encoding | None = None,
        timesteps: int | None = None,
        stagger: int | None = None,
        arithmetic: Arithmetic | None = None,
    ) -> RunConfig:
        """The network's default configuration, changed where something is given.

        Args:
            timesteps: steps of a pipelined run, most steps of a settling one.

        Raises:
            UserError: a way the network cannot run, or a stagger without the settling schedule.
        """
        default = self.defaults
        if stagger is not None and (schedule or default.schedule) != "settling":
            raise UserError(
                f"`stagger` is {stagger}, but the {schedule or default.schedule} schedule has none: use it with the "
                "`schedule` settling"
            )
        if schedule in SCHEDULES:
            check_schedule(schedule, self.only_schedule)
        stagger = default.stagger if stagger is None else stagger
        if timesteps is None and schedule in (None, default.schedule):
            timesteps = default.steps
        changed = RunConfig(
            schedule or default.schedule,
            encoding or default.encoding,
            timesteps,
            stagger,
            arithmetic or default.arithmetic,
        )
        return changed.check(self.timesteps, self.only_schedule)
