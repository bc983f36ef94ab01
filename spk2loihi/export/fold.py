"""From a trained student to its integer network: fold scales into weights, biases, thresholds and soma constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.errors import UserError
from spk2loihi.limits import SOMA_THRESHOLD
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.models.affine import FoldableAffine, ScoreAffine
from spk2loihi.models.neuron import FireGate, Synapses, SynapticLinear, skip_parts
from spk2loihi.models.spiking_bert import SpikingLayer
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import (
    GAMMA_BITS,
    P_BITS,
    X_BITS,
    Gelu,
    HeadAffine,
    LayerNorm,
    Multiplier,
    Scale,
    Softmax,
    Soma,
)


@torch.no_grad()
def fold(
    model: SpikingBertForSequenceClassification,
    tokenizer: str,
    task: dict[str, Any],
    provenance: dict[str, Any] | None = None,
) -> Network:
    """The integer network of ``model``, within every limit of `spk2loihi.limits`.

    Raises:
        UserError: a stage exceeds a limit; names the stage, the value, the limit and the remedy. Or the model has leaky
            neurons or feedback, of which the integer contract knows nothing.
    """
    for name in ("leak", "feedback"):
        if getattr(model.config, name):
            raise UserError(
                f"{name} is {getattr(model.config, name)}, but the exported integer network has no {name}: train with "
                f"{name} 0"
            )
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
        # stagger: where Loihi 1 prices had their minimum, docs/schedules.md
        defaults=RunConfig(stagger=max(1, model.config.timesteps // 4)),
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
        stages.append(self._linear("pooler", model.pooler, x, depth + 1, "first"))
        synapses = model.classifier.synapses(self.value["pooler"])
        stages.append(
            Stage(
                "classifier",
                depth + 2,
                config.num_labels,
                1,
                self._groups(model.classifier, synapses, ("pooler",), depth + 2),
                bias=_int(synapses.bias),
                tokens="first",
                fires=False,
                unit=float(synapses.unit),
            )
        )
        return stages

    def _layer(self, at: str, layer: SpikingLayer, x: str, depth: int, first: bool) -> list[Stage]:
        heads, d = self.config.num_attention_heads, self.config.hidden_size
        tokens: Any = "first" if first else "all"
        stages = [
            self._linear(at + "query", layer.query, x, depth + 1, tokens),
            self._linear(at + "key", layer.key, x, depth + 1, "all"),
            self._linear(at + "value", layer.value, x, depth + 1, "all"),
        ]
        score, score_soma, score_threshold = at + "score", *self._score(at, layer.score_affine)
        stages.append(
            Stage(
                score,
                self._at(score, depth + 2),
                heads,
                score_threshold,
                attention=Attention("scores", at + "query", at + "key"),
                heads=heads,
                soma=score_soma,
                tokens=tokens,
                **self._fire(score),
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
            self._normed(
                attended, layer.attention_output, (at + "context", x), depth + 4,
                layer.attention_norm, layer.attention_affine, tokens,
            )
        )  # fmt: skip
        stages.append(self._ffn_in(at, layer, depth + 5, tokens))
        stages.append(
            self._normed(
                at + "ffn_out", layer.ffn_out, (at + "ffn_in", attended), depth + 6,
                layer.ffn_norm, layer.ffn_affine, tokens,
            )
        )  # fmt: skip
        return stages

    def _score(self, at: str, affine: ScoreAffine | None) -> tuple[Soma, int]:
        """Soma function and threshold of the score neurons."""
        head = self.config.hidden_size // self.config.num_attention_heads
        unit = self.value[at + "query"] * self.value[at + "key"] / math.sqrt(head)
        if affine is None:
            per_spike = SOMA_THRESHOLD / float(self.value[at + "score"])
            softmax = Softmax(
                Multiplier.from_float(float(unit) * 2**X_BITS), Multiplier.from_float(per_spike / 2**P_BITS)
            )
            return softmax, SOMA_THRESHOLD
        weight, bias, out = affine.integers(unit)
        threshold = int(self.gates[at + "score"].integer_threshold(out))
        return HeadAffine(_int(weight), _int(bias) * self.timesteps), threshold

    def _ffn_in(self, at: str, layer: SpikingLayer, depth: int, tokens: Any) -> Stage:
        name, source = at + "ffn_in", at + "attention_output"
        gate = self.gates[name]
        if self.config.preset == "neurocore":
            return self._linear(name, layer.ffn_in, source, depth, tokens, torch.exp2(-gate.channel_exponent))
        synapses = layer.ffn_in.synapses(self.value[source])
        gelu = Gelu(
            Multiplier.from_float(float(synapses.unit) * 2**X_BITS),
            Multiplier.from_float(SOMA_THRESHOLD / float(self.value[name]) / 2**X_BITS),
            _int(gate.channel_exponent),
        )
        return self._stage(name, depth, layer.ffn_in, synapses, (source,), tokens, SOMA_THRESHOLD, gelu)

    def _linear(
        self, name: str, module: SynapticLinear, source: str, depth: int, tokens: Any, gain: Tensor | None = None
    ) -> Stage:
        synapses = module.synapses(self.value[source], gain=gain)
        threshold = int(self.gates[name].integer_threshold(synapses.unit))
        return self._stage(name, depth, module, synapses, (source,), tokens, threshold)

    def _normed(
        self,
        name: str,
        module: SynapticLinear,
        sources: tuple[str, str],  # synapses, residual
        depth: int,
        norm: nn.LayerNorm,
        affine: FoldableAffine | None,
        tokens: Any,
    ) -> Stage:
        source, skip = sources
        in_value, skip_value = self.value[source], self.model.skip_value(skip)
        if affine is None:
            synapses = module.synapses(in_value, skip_value)
            soma = self._layernorm(norm, name)
            return self._stage(name, depth, module, synapses, sources, tokens, SOMA_THRESHOLD, soma)
        synapses = module.synapses(in_value, skip_value, affine.gain, affine.shift)
        threshold = int(self.gates[name].integer_threshold(synapses.unit))
        return self._stage(name, depth, module, synapses, sources, tokens, threshold)

    def _stage(
        self,
        name: str,
        depth: int,
        module: SynapticLinear,
        synapses: Synapses,
        sources: tuple[str, ...],
        tokens: Any,
        threshold: int,
        soma: Soma | None = None,
    ) -> Stage:
        """A firing stage; linear synapses from ``sources[0]``, a residual from ``sources[1]`` if there is one."""
        return Stage(
            name,
            self._at(name, depth),
            module.out_features,
            threshold,
            self._groups(module, synapses, sources, depth),
            bias=_int(synapses.bias),
            soma=soma,
            tokens=tokens,
            **self._fire(name),
        )

    def _groups(
        self, module: SynapticLinear, synapses: Synapses, sources: tuple[str, ...], depth: int
    ) -> tuple[SynapseGroup, ...]:
        exponents = _int(module.column_exponent)
        mantissas = _int(synapses.weight) >> exponents
        groups = [SynapseGroup(sources[0], mantissas, exponents, depth - self.depth[sources[0]] - 1)]
        if synapses.skip is not None:
            parts = np.array([skip_parts(int(w)) for w in _int(synapses.skip)], dtype=np.int64)  # (d, 2)
            groups.append(SynapseGroup(sources[1], parts[:, 0], parts[:, 1], depth - self.depth[sources[1]] - 1))
        return tuple(groups)

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
