"""The encoder as a graph of stages, once: what feeds what, in which window, for which tokens. Pure data, no torch.

The torch model wires its modules along it, export folds along it, and `fit` sizes students that do not exist yet. A
layer reads its input ``x`` (the embedding, or ``ffn_out`` of the layer before) and takes six windows::

    query, key, value            from x                                 window 1
    score                        from query and key                     window 2
    context                      from score and value                   window 3
    attention_output             from context, residual from x          window 4
    ffn_in                       from attention_output                  window 5
    ffn_out                      from ffn_in, residual from attention_output   window 6

An embedding that is not as wide as the layers is projected first, in a window of its own. Only the first token's state
leaves the last layer of a sentence classifier, so only its row exists there, but for key and value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spk2loihi.choices import AFFINE_PRESETS, PRESETS
from spk2loihi.errors import UserError
from spk2loihi.limits import TIMESTEPS_MAX, WEIGHT_BITS
from spk2loihi.ranges import check_numbers, shown

Kind = Literal["embedding", "linear", "scores", "context", "readout"]
Activation = Literal["gelu", "relu"]

_WINDOWS = 6  # a layer


class Sizes(NamedTuple):
    """Widths a stage can have."""

    hidden: int
    intermediate: int
    heads: int
    labels: int
    embedding: int | None = None  # None: as wide as the layers


@dataclass(frozen=True)
class StageSpec:
    """One population.

    Attributes:
        name: ``layer.0.query``; outside the layers the same as ``part``.
        part: what it is in its layer, and the name of the module that holds its synapses.
        depth: window index.
        sources: linear and readout: of the synapses and, if there is one, of the residual; scores: query and key;
            context: score and value.
        first: it exists for the first token ([CLS]) only.
        activation: function of its drive, where it has one of its own.
    """

    name: str
    part: str
    layer: int | None
    depth: int
    kind: Kind
    sources: tuple[str, ...] = ()
    first: bool = False
    activation: Activation | None = None

    @property
    def skip(self) -> str | None:
        """Source of the residual."""
        return self.sources[1] if self.kind == "linear" and len(self.sources) == 2 else None

    @property
    def normed(self) -> bool:
        """A LayerNorm, or the affine that stands for it, acts on its drive."""
        return self.part in ("embedding", "attention_output", "ffn_out")

    @property
    def equalised(self) -> bool:
        """Its channels may have powers of two of their own (`spk2loihi.models.equalise`)."""
        return self.normed or self.activation is not None or self.part == "projection"

    def scaled_rows(self, preset: str) -> bool:
        """Those powers of two are part of its synapses, because it has no soma function to carry them."""
        return self.equalised and not self.normed and self.soma(preset) is None

    def channels(self, sizes: Sizes) -> int:
        """Neurons of a token; heads, for scores."""
        widths = {"score": sizes.heads, "ffn_in": sizes.intermediate, "classifier": sizes.labels}
        if self.part == "embedding" and sizes.embedding is not None:
            return sizes.embedding
        return widths.get(self.part, sizes.hidden)

    def soma(self, preset: str) -> str | None:
        """Kind of its soma function (`spk2loihi.network.soma`)."""
        if preset == "stock":
            return "layernorm" if self.part == "embedding" else None
        if self.part == "context":
            return "scale"
        if preset == "neurocore":
            return {"embedding": "layernorm", "score": "head_affine"}.get(self.part)
        if self.normed:
            return "layernorm"
        return "softmax" if self.part == "score" else "gelu" if self.activation == "gelu" else None

    def signed(self, preset: str, signed: bool) -> bool:
        """Whether it sends spikes of -1, where the student does: probabilities and a plain ReLU are never negative."""
        rectified = self.activation == "relu" or (self.activation == "gelu" and preset in AFFINE_PRESETS)
        return signed and self.part != "score" and not rectified


def topology(
    layers: int, *, activation: Activation = "gelu", head: str = "tanh", projected: bool = False
) -> tuple[StageSpec, ...]:
    """All stages of an encoder of so many layers, in topological order.

    Args:
        activation: of the feed-forward parts.
        head: what leads from the last layer to the readout: a pooler of the first token with the activation ``tanh``
            (the neuron's own clip stands for it), ``gelu`` or ``relu``; or ``tokens``: nothing, for every token.
        projected: the embedding has a width of its own.
    """
    stages = [StageSpec("embedding", "embedding", None, 0, "embedding")]
    if projected:
        stages.append(StageSpec("projection", "projection", None, 1, "linear", ("embedding",)))
    x, depth = stages[-1].name, stages[-1].depth
    for i in range(layers):
        stages += _layer(i, x, depth, i == layers - 1 and head != "tokens", activation)
        x, depth = stages[-1].name, depth + _WINDOWS
    if head == "tokens":
        stages.append(StageSpec("classifier", "classifier", None, depth + 1, "readout", (x,)))
        return tuple(stages)
    own: Activation | None = "gelu" if head == "gelu" else "relu" if head == "relu" else None
    stages.append(StageSpec("pooler", "pooler", None, depth + 1, "linear", (x,), True, own))
    stages.append(StageSpec("classifier", "classifier", None, depth + 2, "readout", ("pooler",), True))
    return tuple(stages)


def _layer(i: int, x: str, depth: int, last: bool, activation: Activation) -> list[StageSpec]:
    def name(part: str) -> str:
        return f"layer.{i}.{part}"

    def stage(
        part: str,
        window: int,
        *sources: str,
        kind: Kind = "linear",
        first: bool = last,
        activation: Activation | None = None,
    ) -> StageSpec:
        return StageSpec(name(part), part, i, depth + window, kind, sources, first, activation)

    return [
        stage("query", 1, x),
        stage("key", 1, x, first=False),
        stage("value", 1, x, first=False),
        stage("score", 2, name("query"), name("key"), kind="scores"),
        stage("context", 3, name("score"), name("value"), kind="context"),
        stage("attention_output", 4, name("context"), x),
        stage("ffn_in", 5, name("attention_output"), activation=activation),
        stage("ffn_out", 6, name("ffn_in"), name("attention_output")),
    ]


def hidden_states(specs: Iterable[StageSpec]) -> list[str]:
    """Stages whose activations are BERT's hidden states: the embedding's, projected if it is, and each layer's."""
    parts = [spec for spec in specs if spec.part in ("embedding", "projection", "ffn_out")]
    return [spec.name for spec in parts if not (spec.part == "embedding" and parts[1].part == "projection")]


def check_sizes(
    hidden: int, heads: int, timesteps: int, bits: float, max_tokens: int, positions: int, preset: str
) -> None:
    """
    Raises:
        UserError: sizes no student can have.
    """
    if preset not in PRESETS:
        raise UserError(f"`preset` {shown(preset)} is not known: choose one of {', '.join(PRESETS)}")
    if not isinstance(timesteps, int) or not 1 <= timesteps <= TIMESTEPS_MAX:
        raise UserError(
            f"`timesteps` is {shown(timesteps)}, but a window has 1 to {TIMESTEPS_MAX} steps (a count must fit 8 "
            "signed bits): choose a number in that range"
        )
    if bits not in WEIGHT_BITS:
        raise UserError(
            f"`bits` is {shown(bits)}, but a signed Loihi weight has at most 8 bits: choose one of "
            f"{', '.join(f'{known:g}' for known in WEIGHT_BITS)}"
        )
    check_numbers({"hidden": hidden, "heads": heads, "max_tokens": max_tokens})
    if hidden % heads:
        raise UserError(f"`hidden` is {hidden}, which is not a multiple of {heads} attention heads: change it")
    if max_tokens > positions:
        raise UserError(
            f"`max_tokens` is {max_tokens}, but the model has {positions} position embeddings: choose at most that many"
        )
