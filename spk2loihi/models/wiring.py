"""How the student's modules become stages: one wiring for both presets, whatever then sweeps or steps it.

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

from spk2loihi.models.affine import FoldableAffine
from spk2loihi.models.feedback import Feedback
from spk2loihi.models.ibert import ibert_gelu, ibert_softmax
from spk2loihi.models.neuron import SynapticLinear
from spk2loihi.models.torch_stage import Counts, Drive, TorchStage

if TYPE_CHECKING:
    from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification, SpikingLayer

_NO_VARIANCE = 1e-6  # LayerNorm epsilon in units of U, whose variance is in the thousands

Fold = Callable[[], tuple[Tensor | None, Tensor | None]]
"""Gain and shift (d_out,) of an affine to fold into synapses, looked up when the drive is computed."""


def _no_fold() -> tuple[None, None]:
    return None, None


class Wiring:
    """The stages of ``model`` for one batch of token ids (B, L)."""

    def __init__(
        self,
        model: SpikingBertForSequenceClassification,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
    ) -> None:
        self.model, self.config, self.mix = model, model.config, model.mix
        self.gates = model.gates()
        self.input_ids = input_ids
        self.types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        dtype = model.classifier.weight.dtype
        self.tokens = mask.to(dtype)[..., None]  # (B, L, 1)
        self.keys = mask.to(dtype)[:, None, None, :]  # (B, 1, 1, L)

    def stages(self) -> Iterator[TorchStage]:
        """In topological order."""
        model, gates, tokens = self.model, self.gates, self.tokens
        yield TorchStage(
            "embedding",
            0,
            lambda counts, steps: model.embeddings.drive(self.input_ids, self.types),
            gates["embedding"],
            lambda u, unit: self._layer_norm(model.embeddings.norm, u),
            order=0,
            mask=tokens,
        )
        x, depth = "embedding", 0
        for i, layer in enumerate(model.encoder_layers()):
            # Only the [CLS] state leaves the last layer, so only its row of every stage but key and value exists.
            yield from self._layer(f"layer.{i}.", layer, x, depth, first=i == len(model.layers) - 1)
            x, depth = f"layer.{i}.ffn_out", depth + 6
        pooled = self._linear(model.pooler, x, first=True)
        yield TorchStage("pooler", depth + 1, pooled, gates["pooler"], mask=tokens[:, :1])
        yield TorchStage("classifier", depth + 2, self._linear(model.classifier, "pooler"), None)

    def _layer(self, at: str, layer: SpikingLayer, x: str, depth: int, first: bool) -> Iterator[TorchStage]:
        rows = self.tokens[:, :1] if first else self.tokens
        for name in ("query", "key", "value"):
            one = first and name == "query"
            drive, feedback = self._linear(getattr(layer, name), x, first=one), False
            if name == "value" and layer.feedback is not None:
                drive, feedback = self._with_feedback(drive, layer.feedback, at + name), True
            mask = rows if one else self.tokens
            yield TorchStage(at + name, depth + 1, drive, self.gates[at + name], mask=mask, feedback=feedback)
        yield self._scores(at, depth + 2, layer, rows[:, None] * self.keys)
        yield TorchStage(at + "context", depth + 3, self._context(at), self.gates[at + "context"], order=2, mask=rows)
        yield self._normed(
            at + "attention_output", depth + 4, layer.attention_output, (at + "context", x, first),
            layer.attention_norm, layer.attention_affine, rows,
        )  # fmt: skip
        yield self._ffn_in(at, depth + 5, layer, rows)
        yield self._normed(
            at + "ffn_out", depth + 6, layer.ffn_out, (at + "ffn_in", at + "attention_output", False),
            layer.ffn_norm, layer.ffn_affine, rows,
        )  # fmt: skip

    def _value(self, name: str) -> Tensor:
        """Looked up when a drive is computed: calibration sets thresholds on the way."""
        return self.gates[name].spike_value

    def _linear(
        self, module: SynapticLinear, source: str, skip: str | None = None, first: bool = False, fold: Fold = _no_fold
    ) -> Drive:
        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            x = counts[source][:, :1] if first else counts[source]
            if skip is None:
                return module.drive(x, steps, module.synapses(self._value(source), None, *fold()))
            residual = counts[skip][:, :1] if first else counts[skip]
            return module.drive(
                x, steps, module.synapses(self._value(source), self.model.skip_value(skip), *fold()), residual
            )

        return drive

    def _with_feedback(self, forward: Drive, feedback: Feedback, name: str) -> Drive:
        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            u, unit = forward(counts, steps)
            return (u + feedback.drive(counts[name], self._value(name), unit) if name in counts else u), unit

        return drive

    def _normed(
        self,
        name: str,
        depth: int,
        module: SynapticLinear,
        sources: tuple[str, str, bool],  # synapses, residual, of [CLS] only
        norm: nn.LayerNorm,
        affine: FoldableAffine | None,
        rows: Tensor,
    ) -> TorchStage:
        """A linear stage with a residual and a LayerNorm, or the affine that stands in for it."""
        if affine is not None and self.mix == 1:
            drive = self._linear(module, *sources, lambda: (affine.gain, affine.shift))
            return TorchStage(name, depth, drive, self.gates[name], mask=rows)

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            y = self._layer_norm(norm, u)
            if affine is None:
                return y
            x = u * unit
            affine.fit(x, y, rows)
            return _between(y, affine(x), self.mix)

        return TorchStage(name, depth, self._linear(module, *sources), self.gates[name], soma, mask=rows)

    def _layer_norm(self, norm: nn.LayerNorm, u: Tensor) -> Tensor:
        eps = _NO_VARIANCE if self.config.quantised else norm.eps
        return F.layer_norm(u, u.shape[-1:], norm.weight.to(u.dtype), norm.bias.to(u.dtype), eps)

    def _ffn_in(self, at: str, depth: int, layer: SpikingLayer, rows: Tensor) -> TorchStage:
        """GELU, or the clip of neurons that only fire +1."""
        gate = self.gates[at + "ffn_in"]
        source = at + "attention_output"
        if self.mix == 1:
            drive = self._linear(layer.ffn_in, source, fold=lambda: (torch.exp2(-gate.channel_exponent), None))
            return TorchStage(at + "ffn_in", depth, drive, gate, mask=rows)

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            x = u * unit
            y = ibert_gelu(x) if self.mix == 0 else _between(ibert_gelu(x), x, self.mix)  # the gate clips both at 0
            return y * torch.exp2(-gate.channel_exponent)

        return TorchStage(at + "ffn_in", depth, self._linear(layer.ffn_in, source), gate, soma, mask=rows)

    def _scores(self, at: str, depth: int, layer: SpikingLayer, pairs: Tensor) -> TorchStage:
        """Softmax of the keys that exist, or score neurons that see one pair of tokens each."""
        name, heads, affine = at + "score", self.config.num_attention_heads, layer.score_affine

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            q, k = _split_heads(counts[at + "query"], heads), _split_heads(counts[at + "key"], heads)
            unit = self._value(at + "query") * self._value(at + "key") / math.sqrt(q.shape[-1])
            return q @ k.transpose(-1, -2), unit  # (B, H, L, L)

        if affine is not None and self.mix == 1:
            return TorchStage(name, depth, drive, self.gates[name], rescale=affine.rescale, order=2, mask=pairs)

        def soma(u: Tensor, unit: Tensor) -> Tensor:
            s = u * unit
            p = ibert_softmax(s.masked_fill(self.keys == 0, -math.inf))
            if affine is None:
                return p
            if self.model.fitting:
                affine.fit(s, p, pairs)
            return _between(p, affine(s) * pairs, self.mix)

        return TorchStage(name, depth, drive, self.gates[name], soma, order=2, mask=pairs)

    def _context(self, at: str) -> Drive:
        heads, refine = self.config.num_attention_heads, 2**self.config.context_exponent

        def drive(counts: Counts, steps: float) -> tuple[Tensor, Tensor]:
            context = counts[at + "score"] @ _split_heads(counts[at + "value"], heads)  # (B, H, L, d_h)
            unit = self._value(at + "score") * self._value(at + "value") / refine
            return context.transpose(1, 2).flatten(2) * refine, unit

        return drive


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, L, d) -> (B, H, L, d_h)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    """From ``start`` (share 0) to ``end`` (1), in the wider of their types, which mixed precision makes differ."""
    wide = torch.promote_types(start.dtype, end.dtype)
    return torch.lerp(start.to(wide), end.to(wide), share)
