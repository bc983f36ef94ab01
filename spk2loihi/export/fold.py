"""From a trained student to its integer network: fold scales into weights, biases, thresholds and soma constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.export.bounds import check_limits
from spk2loihi.export.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.export.soma import GAMMA_BITS, P_BITS, X_BITS, Gelu, LayerNorm, Multiplier, Scale, Softmax
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.neuron import SOMA_THRESHOLD, FireGate, SynapticLinear, skip_weight
from spk2loihi.models.spiking_bert import SpikingLayer


@torch.no_grad()
def fold(
    model: SpikingBertForSequenceClassification,
    tokenizer: str,
    task: dict[str, Any],
    provenance: dict[str, Any] | None = None,
) -> Network:
    """The integer network of ``model``, within every limit of `spk2loihi.export.limits`.

    Raises:
        UserError: a stage exceeds a limit; names the stage, the value, the limit and the remedy.
    """
    folder = _Folder(model)
    network = Network(
        timesteps=model.config.timesteps,
        max_tokens=model.config.max_tokens,
        stages=tuple(folder.stages()),
        embedding=folder.embedding(),
        tokenizer=tokenizer,
        task=task,
        config=model.config.to_dict(),
        weight_bits=model.config.weight_bits,
        provenance=provenance or {},
    )
    return check_limits(network)


class _Folder:
    """Walks the model in pipeline order; ``value`` holds the float value of one spike of each stage."""

    def __init__(self, model: SpikingBertForSequenceClassification) -> None:
        self.model = model
        self.config = model.config
        self.timesteps = model.config.timesteps
        self.gates = model.gates()
        self.value: dict[str, Tensor] = {name: gate.spike_value for name, gate in self.gates.items()}
        self.depth: dict[str, int] = {}

    def embedding(self) -> Embedding:
        e, scale = self.model.embeddings, self.model.embeddings.scale()

        def table(module: nn.Embedding, rows: int | None = None) -> NDArray[np.int64]:
            return _int(module.weight[:rows] / scale)

        return Embedding(
            table(e.word_embeddings),
            table(e.position_embeddings, self.config.max_tokens),
            table(e.token_type_embeddings),
        )

    def stages(self) -> list[Stage]:
        config, model = self.config, self.model
        stages = [
            Stage(
                "embedding",
                self._at("embedding", 0),
                config.hidden_size,
                SOMA_THRESHOLD,
                soma=self._layernorm(model.embeddings.norm, "embedding"),
                **self._fire("embedding"),
            )
        ]
        x, depth = "embedding", 0
        for i, layer in enumerate(model.encoder_layers()):
            stages += self._layer(f"layer.{i}.", layer, x, depth, first=i == config.num_hidden_layers - 1)
            x, depth = f"layer.{i}.ffn_out", depth + 6
        stages.append(self._linear("pooler", model.pooler, x, depth + 1, first=True))
        group, bias, unit = self._synapses(model.classifier, "pooler", depth + 2)
        stages.append(
            Stage(
                "classifier",
                depth + 2,
                config.num_labels,
                1,
                (group,),
                bias=bias,
                tokens="first",
                fires=False,
                unit=unit,
            )
        )
        return stages

    def _layer(self, at: str, layer: SpikingLayer, x: str, depth: int, first: bool) -> list[Stage]:
        heads, d = self.config.num_attention_heads, self.config.hidden_size
        tokens: Any = "first" if first else "all"
        stages = [
            self._linear(at + "query", layer.query, x, depth + 1, first),
            self._linear(at + "key", layer.key, x, depth + 1, False),
            self._linear(at + "value", layer.value, x, depth + 1, False),
        ]
        score_unit = float(self.value[at + "query"] * self.value[at + "key"]) / math.sqrt(d // heads)
        softmax = Softmax(
            Multiplier.from_float(score_unit * 2**X_BITS),
            Multiplier.from_float(SOMA_THRESHOLD / float(self.value[at + "score"]) / 2**P_BITS),
        )
        stages.append(
            Stage(
                at + "score",
                self._at(at + "score", depth + 2),
                heads,
                SOMA_THRESHOLD,
                attention=Attention("scores", at + "query", at + "key"),
                heads=heads,
                soma=softmax,
                tokens=tokens,
                **self._fire(at + "score"),
            )
        )
        refine = self.config.context_exponent
        context_unit = self.value[at + "score"] * self.value[at + "value"] / 2**refine
        stages.append(
            Stage(
                at + "context",
                self._at(at + "context", depth + 3),
                d,
                int(self.gates[at + "context"].integer_threshold(context_unit)),
                attention=Attention("context", at + "score", at + "value", right_delay=1),
                heads=heads,
                soma=Scale(refine),
                tokens=tokens,
                **self._fire(at + "context"),
            )
        )
        attended = at + "attention_output"
        stages.append(
            self._normed(attended, layer.attention_output, at + "context", x, depth + 4, layer.attention_norm, tokens)
        )
        group, bias, unit = self._synapses(layer.ffn_in, attended, depth + 5)
        gelu = Gelu(
            Multiplier.from_float(unit * 2**X_BITS),
            Multiplier.from_float(SOMA_THRESHOLD / float(self.value[at + "ffn_in"]) / 2**X_BITS),
            _int(self.gates[at + "ffn_in"].channel_exponent),
        )
        stages.append(
            Stage(
                at + "ffn_in",
                self._at(at + "ffn_in", depth + 5),
                self.config.intermediate_size,
                SOMA_THRESHOLD,
                (group,),
                bias=bias,
                soma=gelu,
                tokens=tokens,
                **self._fire(at + "ffn_in"),
            )
        )
        stages.append(
            self._normed(at + "ffn_out", layer.ffn_out, at + "ffn_in", attended, depth + 6, layer.ffn_norm, tokens)
        )
        return stages

    def _linear(self, name: str, module: SynapticLinear, source: str, depth: int, first: bool) -> Stage:
        group, bias, unit = self._synapses(module, source, depth)
        return Stage(
            name,
            self._at(name, depth),
            module.out_features,
            int(self.gates[name].integer_threshold(torch.tensor(unit, dtype=module.weight.dtype))),
            (group,),
            bias=bias,
            tokens="first" if first else "all",
            **self._fire(name),
        )

    def _normed(
        self, name: str, module: SynapticLinear, source: str, skip: str, depth: int, norm: nn.LayerNorm, tokens: Any
    ) -> Stage:
        scale = module.scale(self.value[source], self.value[skip])
        unit = scale * self.value[source]
        mantissa, exponent = skip_weight(float(self.value[skip].div(unit).round()))
        exponents = _int(self.gates[skip].channel_exponent) + exponent
        groups = (
            self._group(module, scale, source, depth),
            SynapseGroup(skip, np.full_like(exponents, mantissa), exponents, depth - self.depth[skip] - 1),
        )
        return Stage(
            name,
            self._at(name, depth),
            module.out_features,
            SOMA_THRESHOLD,
            groups,
            bias=_int(module.integer_bias(unit)),
            soma=self._layernorm(norm, name),
            tokens=tokens,
            **self._fire(name),
        )

    def _synapses(
        self, module: SynapticLinear, source: str, depth: int
    ) -> tuple[SynapseGroup, NDArray[np.int64], float]:
        """Weights, bias a step, and the float value of one unit of U."""
        scale = module.scale(self.value[source])
        unit = scale * self.value[source]
        return self._group(module, scale, source, depth), _int(module.integer_bias(unit)), float(unit)

    def _group(self, module: SynapticLinear, scale: Tensor, source: str, depth: int) -> SynapseGroup:
        exponents = _int(module.column_exponent)
        mantissas = _int(module.integer_weight(scale)) >> exponents
        return SynapseGroup(source, mantissas, exponents, depth - self.depth[source] - 1)

    def _layernorm(self, norm: nn.LayerNorm, name: str) -> LayerNorm:
        per_spike = SOMA_THRESHOLD / float(self.value[name]) * 2**GAMMA_BITS
        return LayerNorm(_int(norm.weight.double() * per_spike), _int(norm.bias.double() * per_spike))

    def _fire(self, name: str) -> dict[str, Any]:
        gate: FireGate = self.gates[name]
        exponents = _int(gate.channel_exponent) if gate.channel_scale is not None else None
        return {"signed": gate.signed, "unit": float(gate.spike_value), "unit_exponent": exponents}

    def _at(self, name: str, depth: int) -> int:
        self.depth[name] = depth
        return depth


def _int(x: Tensor) -> NDArray[np.int64]:
    result: NDArray[np.int64] = x.detach().round().cpu().numpy().astype(np.int64)
    return result
