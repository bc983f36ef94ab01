"""How the student's modules become the stages of `topology`: one wiring, whatever then sweeps or steps it.

``mix`` says where between the presets the network is: 0 has LayerNorm, softmax and GELU once per window
(`spikingbert`), 1 has affines folded into the synapses and the neuron's own clip (`neurocore`). Values between are
met only in training, while `neurocore` fades the one into the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spk2loihi.models.count_product import full_product
from spk2loihi.models.feedback import Feedback
from spk2loihi.models.ibert import ibert_gelu, ibert_softmax
from spk2loihi.models.integer_gelu import with_integer_values
from spk2loihi.models.neuron import round_ste
from spk2loihi.models.step_parameters import StepParameters
from spk2loihi.models.teacher_parts import relative_bias
from spk2loihi.models.topology import StageSpec
from spk2loihi.models.torch_stage import Counts, Drive, SomaFunction, TorchStage

if TYPE_CHECKING:
    from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification

_NO_VARIANCE = 1e-6  # LayerNorm epsilon in units of U, whose variance is in the thousands

_EXACT: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "tanh": torch.tanh,
}
"""Activations of teachers, as they have them."""


class Wiring:
    """The stages of ``model`` for one batch of token ids (B, L)."""

    def __init__(
        self,
        model: SpikingBertForSequenceClassification,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
    ) -> None:
        self.model, self.config, self.exact = model, model.config, model.exact
        self.step = StepParameters(model)
        self.gates, self.mix = self.step.gates, self.step.mix
        self.input_ids = input_ids
        self.types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        dtype = model.classifier.weight.dtype
        self.tokens = mask.to(dtype)[..., None]  # (B, L, 1)
        self.keys = mask.to(dtype)[:, None, None, :]  # (B, 1, 1, L)

    def stages(self) -> Iterator[TorchStage]:
        """In topological order."""
        wire = {
            "embedding": self._embedding,
            "linear": self._linear_stage,
            "scores": self._scores,
            "context": self._context,
            "readout": self._readout,
        }
        for spec in self.model.specs:
            yield wire[spec.kind](spec)

    def _rows(self, spec: StageSpec) -> Tensor:
        """Where the stage's tokens exist, (B, L or 1, 1)."""
        return self.tokens[:, :1] if spec.first else self.tokens

    def _embedding(self, spec: StageSpec) -> TorchStage:
        embeddings, norm = self.model.embeddings, self.model.norm_of(spec)
        return TorchStage(
            spec.name,
            spec.depth,
            lambda counts, steps: embeddings.drive(self.input_ids, self.types),
            self.gates[spec.name],
            lambda u, unit: self._layer_norm(norm, u, unit),
            order=0,
            mask=self.tokens,
            threshold=self.step.threshold(spec.name),
        )

    def _readout(self, spec: StageSpec) -> TorchStage:
        return TorchStage(spec.name, spec.depth, self._linear(spec), None)

    def _linear_stage(self, spec: StageSpec) -> TorchStage:
        gate, mask, drive = self.gates[spec.name], self._rows(spec), self._linear(spec)
        known = self.step.threshold(spec.name)
        if self.step.has_function(spec):
            soma = self._normed(spec) if spec.normed else self._activated(spec)
            return TorchStage(spec.name, spec.depth, drive, gate, soma, mask=mask, threshold=known)
        feedback = self.model.feedback_of(spec)
        if feedback is not None:
            drive = self._with_feedback(drive, feedback, spec.name)
        return TorchStage(spec.name, spec.depth, drive, gate, mask=mask, threshold=known, feedback=feedback is not None)

    def _linear(self, spec: StageSpec) -> Drive:
        module, source, skip = self.model.synapses_of(spec), spec.sources[0], spec.skip

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            x = counts[source][:, :1] if spec.first else counts[source]
            if skip is None:
                return module.drive(x, steps, self.step.synapses(spec))
            residual = counts[skip][:, :1] if spec.first else counts[skip]
            return module.drive(x, steps, self.step.synapses(spec), residual)

        return drive

    def _with_feedback(self, forward: Drive, feedback: Feedback, name: str) -> Drive:
        trained, synapses = torch.is_grad_enabled(), None  # the same in every evaluation of a fixed point

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            nonlocal synapses
            u, unit = forward(counts, steps)
            if name not in counts:
                return u, unit
            if synapses is None:
                with torch.set_grad_enabled(trained):  # a solver has no gradients, and its unit has none
                    synapses = feedback.synapses(self.gates[name].integer_threshold(forward(counts, steps)[1]))
            return u + F.linear(counts[name], synapses), unit

        return drive

    def _normed(self, spec: StageSpec) -> SomaFunction:
        """A LayerNorm, which the affine that will stand in for it follows."""
        norm, affine, rows = self.model.norm_of(spec), self.model.affine_of(spec), self._rows(spec)

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            y = self._layer_norm(norm, u, unit)
            if affine is None:
                return y
            x = u * unit
            affine.fit(x, y, rows)
            return _between(y, affine(x), self.mix)

        return soma

    def _layer_norm(self, norm: nn.LayerNorm, u: Tensor, unit: Tensor) -> Tensor:
        eps = _NO_VARIANCE if self.config.quantised else norm.eps
        if self.exact:
            u, eps = u * unit, self.config.layer_norm_eps
        elif unit.ndim:  # a unit a neuron
            u, eps = u * unit, norm.eps
        return F.layer_norm(u, u.shape[-1:], norm.weight.to(u.dtype), norm.bias.to(u.dtype), eps)

    def _activated(self, spec: StageSpec) -> SomaFunction:
        """GELU, on the way to the clip of neurons that only fire +1, which also is a ReLU."""
        gate = self.gates[spec.name]
        on_integers = self.config.quantised and not self.exact and self.mix == 0 and spec.activation == "gelu"

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            x = u * unit
            y = self._activation(spec, x)
            y = y if self.mix == 0 else _between(y, x, self.mix)  # the gate clips both at 0
            y = y * torch.exp2(-gate.channel_exponent) if spec.equalised else y
            if on_integers and u.dtype == torch.float64 and not (gate.calibrating or gate.passing):  # an evaluation
                return with_integer_values(y, u, unit, gate)
            return y

        return soma

    def _activation(self, spec: StageSpec, x: Tensor) -> Tensor:
        if self.exact:
            return _EXACT[self.config.hidden_act if spec.part == "ffn_in" else self.config.head](x)
        return F.relu(x) if spec.activation == "relu" else ibert_gelu(x)

    def _scores(self, spec: StageSpec) -> TorchStage:
        """Softmax of the keys that exist, or score neurons that see one pair of tokens each."""
        assert spec.layer is not None
        query, key = spec.sources
        heads, affine = self.config.num_attention_heads, self.model.encoder_layers()[spec.layer].score_affine
        pairs = self._rows(spec)[:, None] * self.keys  # (B, 1, L or 1, L)

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            q, k = _split_heads(counts[query], heads), _split_heads(counts[key], heads)
            unit = self.step.score_unit(spec)
            u = full_product(q, k.transpose(-1, -2))  # (B, H, L, L)
            if self.model.relative is None:
                return u, unit
            constant = relative_bias(self.model.relative, *u.shape[2:]) / unit  # (H, L, L), of a window
            if self.config.quantised and not self.exact:
                constant = round_ste(constant)
            return u + constant * (steps / self.config.timesteps) ** 2, unit

        gate, known = self.gates[spec.name], self.step.threshold(spec.name)
        if affine is not None and self.mix == 1:
            return TorchStage(
                spec.name, spec.depth, drive, gate, rescale=affine.rescale, order=2, mask=pairs, threshold=known
            )

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            s = u * unit
            p = self._softmax(s.masked_fill(self.keys == 0, -math.inf))
            if affine is None:
                return p
            if self.model.fitting:
                affine.fit(s, p, pairs)
            return _between(p, affine(s) * pairs, self.mix)

        return TorchStage(spec.name, spec.depth, drive, gate, soma, order=2, mask=pairs, threshold=known)

    def _softmax(self, scores: Tensor) -> Tensor:
        return scores.softmax(-1) if self.exact else ibert_softmax(scores)

    def _context(self, spec: StageSpec) -> TorchStage:
        score, value = spec.sources
        heads, refine = self.config.num_attention_heads, 2**self.config.context_exponent

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            context = full_product(counts[score], _split_heads(counts[value], heads))  # (B, H, L, d_h)
            return context.transpose(1, 2).flatten(2) * refine, self.step.context_unit(spec)

        return TorchStage(
            spec.name,
            spec.depth,
            drive,
            self.gates[spec.name],
            order=2,
            mask=self._rows(spec),
            threshold=self.step.threshold(spec.name),
        )


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, L, d) -> (B, H, L, d_h)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    """From ``start`` (share 0) to ``end`` (1), in the wider of their types, which mixed precision makes differ."""
    wide = torch.promote_types(start.dtype, end.dtype)
    return torch.lerp(start.to(wide), end.to(wide), share)
