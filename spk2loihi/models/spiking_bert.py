"""SpikingBERT student: a Hugging Face model whose forward pass computes its spiking equilibrium in one sweep.

Every activation of BERT becomes a population of soft-reset integrate-and-fire neurons (SpikingBERT, Bal & Sengupta,
AAAI-24, arXiv 2308.10873). The network is feed-forward, so its average spiking rates reach equilibrium layer by layer
and the implicit differentiation of the paper is ordinary differentiation of that sweep (docs/equations.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from spk2loihi.choices import AFFINE_PRESETS
from spk2loihi.limits import EMBEDDING_BITS
from spk2loihi.models.affine import FoldableAffine, ScoreAffine
from spk2loihi.models.config import SpikingBertConfig
from spk2loihi.models.feedback import Feedback, settle
from spk2loihi.models.neuron import FireGate
from spk2loihi.models.payload import PayloadGate, PayloadScores
from spk2loihi.models.payload_synapses import PayloadLinear
from spk2loihi.models.solve_record import Solves
from spk2loihi.models.solvers import SolverStat
from spk2loihi.models.synaptic_linear import SynapticLinear
from spk2loihi.models.teacher_parts import TeacherParts
from spk2loihi.models.topology import StageSpec, hidden_states
from spk2loihi.models.torch_stage import Counts, TorchStage
from spk2loihi.models.wiring import Wiring

_SCORE_MARGIN = 4.0  # probabilities that a softmax kept below 1 may grow once it is gone
_FADE_SHARE = 0.45  # share of the training over which `neurocore` fades the teacher's functions out


@dataclass
class Equilibrium:
    """Result of one sweep.

    Attributes:
        counts: spikes of every firing stage in a window of T steps.
        values: float value of one spike of each stage (theta/T), and its channel scale (d,) or None.
        scores: pre-softmax attention scores of each layer, (B, H, L, L) floats.
        logits: (B, labels), or (B, L, labels) where every token has an answer.
        solves: how the fixed point of each stage with feedback was found.
    """

    counts: Counts
    values: dict[str, tuple[Tensor, Tensor | None]]
    scores: list[Tensor]
    logits: Tensor
    solves: dict[str, SolverStat] = field(default_factory=dict)

    def hidden(self, stage: str) -> Tensor:
        """Float activations (B, L, d) a stage's rates stand for."""
        value, scale = self.values[stage]
        return self.counts[stage] * (value if scale is None else value * scale)


class SpikingEmbeddings(nn.Module):
    """Token, position and type tables, read on the host; LayerNorm; a fire gate."""

    def __init__(self, config: SpikingBertConfig) -> None:
        super().__init__()
        width = config.embedding_size or config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.norm = nn.LayerNorm(width)
        self.gate = FireGate(config.timesteps, config.signed, config.quantised, width)
        self.quantised = config.quantised

    def scale(self) -> Tensor:
        """Float value of one unit of the integer tables."""
        tables = (self.word_embeddings, self.position_embeddings, self.token_type_embeddings)
        ends = torch.stack([x for table in tables for x in torch.aminmax(table.weight.detach())])
        largest = torch.linalg.vector_norm(ends, torch.inf)
        return largest / (2 ** (EMBEDDING_BITS - 1) - 1)

    def drive(self, input_ids: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
        """U (B, L, d) and the float value of its unit."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        rows = (
            self.word_embeddings(input_ids),
            self.position_embeddings(positions),
            self.token_type_embeddings(token_type_ids),
        )
        scale = self.scale()
        terms = [(row / scale).round() if self.quantised else row / scale for row in rows]  # read, not trained
        return terms[0] + terms[1] + terms[2], scale


class SpikingLayer(nn.Module):
    """One BERT encoder layer: spiking Q, K, V, score, context, attention output, FFN in and FFN out populations."""

    attention_affine: FoldableAffine | None
    ffn_affine: FoldableAffine | None
    score_affine: ScoreAffine | None
    feedback: Feedback | None

    def __init__(self, config: SpikingBertConfig) -> None:
        super().__init__()
        d, ffn = config.hidden_size, config.intermediate_size

        def linear(n_in: int, n_out: int) -> SynapticLinear:
            return _synapses(n_in, n_out, config)

        self.query, self.key, self.value = linear(d, d), linear(d, d), linear(d, d)
        self.attention_output, self.attention_norm = linear(d, d), nn.LayerNorm(d)
        self.ffn_in, self.ffn_out, self.ffn_norm = linear(d, ffn), linear(ffn, d), nn.LayerNorm(d)
        self.feedback = Feedback(d, config.feedback, config.quantised) if config.feedback else None
        self.attention_affine = self.ffn_affine = self.score_affine = None
        if config.preset in AFFINE_PRESETS:
            self.attention_affine, self.ffn_affine = FoldableAffine(d), FoldableAffine(d)
            scores = PayloadScores if config.preset == "stock" else ScoreAffine
            self.score_affine = scores(
                config.num_attention_heads, config.timesteps, config.largest_score_weight, config.quantised
            )
        self.gates = nn.ModuleDict({spec.part: _gate(spec, config) for spec in config.topology if spec.layer == 0})


def _gate(spec: StageSpec, config: SpikingBertConfig) -> FireGate:
    rounds = not (spec.part == "value" and config.feedback)  # the rates of a fixed point are not rounded
    channels = spec.channels(config.sizes) if spec.equalised else None
    kind = PayloadGate if config.preset == "stock" else FireGate
    gate = kind(config.timesteps, spec.signed(config.preset, config.signed), config.quantised, channels, rounds)
    if isinstance(gate, PayloadGate) and spec.part == "score":
        gate.margin = _SCORE_MARGIN
    return gate


def _synapses(n_in: int, n_out: int, config: SpikingBertConfig) -> SynapticLinear:
    linear = PayloadLinear if config.preset == "stock" else SynapticLinear
    return linear(n_in, n_out, config.weight_bits, config.timesteps, config.quantised)


class SpikingBertPreTrainedModel(PreTrainedModel):
    config_class = SpikingBertConfig
    base_model_prefix = "spiking_bert"

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, FireGate):
            nn.init.zeros_(module.log_threshold)
            nn.init.zeros_(module.channel_exponent)
        if isinstance(module, Feedback):
            nn.init.zeros_(module.free)
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


class SpikingBertForSequenceClassification(SpikingBertPreTrainedModel):
    """Spiking BERT with BERT's pooler (tanh replaced by the neuron's own clip) and classifier as spiking read-outs.

    Attributes:
        exact: the teacher's own functions, in floats (`spk2loihi.models.float_network`).
        solves: of all passes so far, by stage with feedback.
    """

    config_class = SpikingBertConfig  # transformers 5 would otherwise read it from (string) annotations

    def __init__(self, config: SpikingBertConfig) -> None:
        super().__init__(config)
        d = config.hidden_size
        self.embeddings = SpikingEmbeddings(config)
        if config.embedding_size is not None:
            self.projection = _synapses(config.embedding_size, d, config)
            self.projection_gate = _gate(self.specs[1], config)
        self.relative: nn.Parameter | None = None
        if config.relative_positions:
            shape = config.num_attention_heads, 2 * config.max_position_embeddings - 1
            self.relative = nn.Parameter(torch.zeros(shape))
        self.layers = nn.ModuleList(SpikingLayer(config) for _ in range(config.num_hidden_layers))
        if config.head != "tokens":
            self.pooler = _synapses(d, d, config)
            self.pooler_gate = _gate(self.specs[-2], config)
        self.classifier = _synapses(d, config.num_labels, config)
        self.exact = False
        self.solves = {f"layer.{i}.value": Solves() for i in range(config.num_hidden_layers) if config.feedback}
        self._fade = 1.0
        self._trained = False
        self.post_init()

    @cached_property
    def specs(self) -> tuple[StageSpec, ...]:
        """The stages of the network, in topological order."""
        return self.config.topology

    def synapses_of(self, spec: StageSpec) -> SynapticLinear:
        """The module with the synapses of a linear stage, or of the readout."""
        return cast(SynapticLinear, getattr(self._holder(spec), spec.part))

    def norm_of(self, spec: StageSpec) -> nn.LayerNorm:
        """The LayerNorm of a stage that has one, or had one before an affine took its place."""
        name = {"embedding": "norm", "attention_output": "attention_norm", "ffn_out": "ffn_norm"}[spec.part]
        return cast(nn.LayerNorm, getattr(self._holder(spec), name))

    def affine_of(self, spec: StageSpec) -> FoldableAffine | None:
        """The affine in place of a layer's LayerNorm, in the `neurocore` preset."""
        name = {"attention_output": "attention_affine", "ffn_out": "ffn_affine"}.get(spec.part)
        return None if name is None else cast("FoldableAffine | None", getattr(self._holder(spec), name))

    def feedback_of(self, spec: StageSpec) -> Feedback | None:
        """The feedback of a stage that has any: of value neurons."""
        if spec.part != "value" or spec.layer is None:
            return None
        return self.encoder_layers()[spec.layer].feedback

    def _holder(self, spec: StageSpec) -> nn.Module:
        if spec.layer is not None:
            return self.layers[spec.layer]
        return self.embeddings if spec.kind == "embedding" else self

    def encoder_layers(self) -> list[SpikingLayer]:
        return cast("list[SpikingLayer]", list(self.layers))

    def gates(self) -> dict[str, FireGate]:
        """Fire gates by stage name, in pipeline order."""
        named: dict[str, FireGate] = {"embedding": self.embeddings.gate}
        if self.config.embedding_size is not None:
            named["projection"] = self.projection_gate
        for i, layer in enumerate(self.encoder_layers()):
            named |= {f"layer.{i}.{name}": cast(FireGate, gate) for name, gate in layer.gates.items()}
        return named | ({} if self.config.head == "tokens" else {"pooler": self.pooler_gate})

    @property
    def mix(self) -> float:
        """Where the network is between the teacher's functions (0) and those of its preset: see `wiring`."""
        if self.config.preset not in AFFINE_PRESETS or (self.fitting and not self._trained):
            return 0.0
        return self._fade if self.training else 1.0

    @property
    def fitting(self) -> bool:
        """A float network is being measured, to start thresholds and affines from."""
        return any(gate.passing or gate.calibrating for gate in self.gates().values())

    def set_progress(self, share: float) -> None:
        """Tell the model how much of the training is done: presets without them fade the teacher's functions out."""
        self._fade = min(1.0, share / _FADE_SHARE)

    def skip_value(self, name: str) -> Tensor:
        """Float value (d,) of one spike of each channel of a stage that feeds a residual."""
        gate = self.gates()[name]
        assert gate.channel_scale is not None  # residuals come from stages whose channels are equalised
        return gate.spike_value * gate.channel_scale

    def stages(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Iterator[TorchStage]:
        """The stages of the network in topological order, wired for one batch of token ids (B, L)."""
        return Wiring(self, input_ids, attention_mask, token_type_ids).stages()

    def equilibrium(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Equilibrium:
        """Spike counts of every stage at equilibrium, in one sweep and with gradients.

        Raises:
            UserError: a fixed point of feedback was not found.
        """
        counts: Counts = {}
        scores: list[Tensor] = []
        solves: dict[str, SolverStat] = {}
        precise = not self.training
        wiring = Wiring(self, input_ids, attention_mask, token_type_ids)
        for stage in wiring.stages():
            if stage.feedback:
                n, solves[stage.name] = settle(
                    stage, counts, self.config.timesteps, precise, self.config.solving, self.solves[stage.name]
                )
                counts[stage.name] = n if stage.mask is None else n * stage.mask
                continue
            u, unit = stage.drive(counts, self.config.timesteps)
            if stage.name.endswith(".score"):
                scores.append(u * unit)
            if stage.gate is None:
                logits = u * unit if self.config.head == "tokens" else (u * unit)[:, 0]
                break
            n = stage.fire(u, unit, precise)
            # Padding never reaches a token, whose scores are masked; training need not silence the rest of it.
            silenced = not self.training or (stage.rescale is not None)
            counts[stage.name] = n * stage.mask if silenced and stage.mask is not None else n
        values = {name: (wiring.step.value(name), wiring.step.scale(name)) for name in wiring.gates}
        return Equilibrium(counts, values, scores, logits, solves)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits (B, labels), or (B, L, labels) of tags; hidden states are the embedding's and each layer's (the last
        one [CLS] only, but for tags).

        Args:
            labels: the loss is Hugging Face's: cross-entropy of classes (B,), or of tags (B, L) but for those of -100;
                squared error of values (B,); binary cross-entropy of several labels (B, labels), floats.
        """
        result = self.equilibrium(input_ids, attention_mask, token_type_ids)
        loss = None if labels is None else self._loss(result.logits, labels)
        names = hidden_states(self.specs)
        return SequenceClassifierOutput(
            loss=loss,
            logits=result.logits,
            hidden_states=tuple(result.hidden(name) for name in names),
            attentions=tuple(result.scores),
        )

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.config.problem_type == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        if self.config.num_labels == 1:
            return F.mse_loss(logits.flatten(), labels.flatten().to(logits.dtype))
        return F.cross_entropy(logits.flatten(0, -2), labels.flatten())

    @torch.no_grad()
    def copy_teacher(self, parts: TeacherParts, layers: list[int]) -> None:
        """Start from a teacher: its embeddings and head, and the encoder layers ``layers`` in that order."""
        e = self.embeddings
        e.word_embeddings.weight.copy_(parts.word)
        e.position_embeddings.weight.copy_(parts.position)
        e.token_type_embeddings.weight.copy_(parts.token_type)
        pairs: list[tuple[nn.Module, nn.Module]] = [(e.norm, parts.norm)]
        for layer, index in zip(self.encoder_layers(), layers, strict=True):
            pairs += [(getattr(layer, name), theirs) for name, theirs in parts.layers[index].pairs()]
        if parts.projection is not None:
            pairs.append((self.projection, parts.projection))
        if self.relative is not None and parts.relative is not None:
            self.relative.copy_(parts.relative)
        if parts.pooler is not None and self.config.head != "tokens":
            pairs.append((self.pooler, parts.pooler))
        pairs.append((self.classifier, parts.classifier))
        for mine, theirs in pairs:
            own = dict(mine.named_parameters())
            for name, parameter in theirs.named_parameters():
                own[name].copy_(parameter)

    @contextmanager
    def unclipped(self) -> Iterator[None]:
        """Within this context gates pass every drive on, unrounded and unbounded: the float network spikes encode."""
        gates = list(self.gates().values())
        for gate in gates:
            gate.passing = True
        try:
            with torch.no_grad():
                yield
        finally:
            for gate in gates:
                gate.passing = False

    @contextmanager
    def calibration(self, trained: bool = False) -> Iterator[None]:
        """Within this context every forward pass sets each threshold from the drives it sees.

        Args:
            trained: the functions of the preset have taken the place of the teacher's already.
        """
        gates = list(self.gates().values())
        self._trained = trained
        for gate in gates:
            gate.calibrating = True
        try:
            with torch.no_grad():
                yield
        finally:
            self._trained = False
            for gate in gates:
                gate.calibrating = False


AutoConfig.register(SpikingBertConfig.model_type, SpikingBertConfig, exist_ok=True)
AutoModelForSequenceClassification.register(SpikingBertConfig, SpikingBertForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(
    SpikingBertConfig, SpikingBertForSequenceClassification, exist_ok=True
)  # of tags
