"""From a trained student to its integer network: fold scales into weights, biases, thresholds and soma constants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.limits import SOMA_THRESHOLD, THRESHOLD_MAX
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.integer_gelu import integer_gelu
from spk2loihi.models.payload import PayloadGate, PayloadScores, residual_parts
from spk2loihi.models.synaptic_linear import Synapses, SynapticLinear, skip_parts
from spk2loihi.models.topology import StageSpec
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.leak import decay_of
from spk2loihi.network.network import Attention, Embedding, Network, Stage, SynapseGroup
from spk2loihi.network.requantise import Requantise
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import (
    GAMMA_BITS,
    P_BITS,
    X_BITS,
    HeadAffine,
    LayerNorm,
    Multiplier,
    Scale,
    Softmax,
    Soma,
)

_INTEGER_MAX = 2.0**62

#: Steps of a pipelined run in windows of T, of networks that run in no other way.
_PIPELINED_WINDOWS = 4


@torch.no_grad()
def fold(
    model: SpikingBertForSequenceClassification,
    tokenizer: str,
    task: dict[str, Any],
    provenance: dict[str, Any] | None = None,
) -> Network:
    """The integer network of ``model``, within every limit of `spk2loihi.limits`.

    Raises:
        UserError: a stage exceeds a limit, or its feedback the norm of a contraction; names the stage, the value, the
            limit and the remedy. Or 12 bits hold no such leak.
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
        defaults=_defaults(model.config),
        decay=decay_of(model.config.leak),
    )
    return check_limits(network)


def _defaults(config: SpikingBertConfig) -> RunConfig:
    # stagger: where Loihi 1 prices had their minimum, docs/schedules.md
    stagger = max(1, config.timesteps // 4)
    if config.leak or config.feedback:
        return RunConfig("pipelined", steps=_PIPELINED_WINDOWS * config.timesteps, stagger=stagger)
    return RunConfig("streamed", "graded") if config.preset == "stock" else RunConfig(stagger=stagger)


class _Folder:
    """Walks the topology of the model; ``value`` holds the float value of one spike of each stage."""

    def __init__(self, model: SpikingBertForSequenceClassification) -> None:
        self.model = model
        self.config = model.config
        self.timesteps = model.config.timesteps
        self.streamed = model.config.preset == "stock"
        self.gates = model.gates()
        self.value: dict[str, Tensor] = {name: gate.spike_value for name, gate in self.gates.items()}
        self.depth = {spec.name: spec.depth for spec in model.specs}

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
        fold = {
            "embedding": self._embedding,
            "linear": self._linear,
            "scores": self._scores,
            "context": self._context,
            "readout": self._readout,
        }
        return [fold[spec.kind](spec) for spec in self.model.specs]

    def _embedding(self, spec: StageSpec) -> Stage:
        return self._stage(spec, SOMA_THRESHOLD, soma=self._layernorm(self.model.norm_of(spec), spec.name))

    def _linear(self, spec: StageSpec) -> Stage:
        """A stage with synapses from one source and perhaps a residual from another."""
        module = self.model.synapses_of(spec)
        gain: Tensor | None = None
        shift: Tensor | None = None
        soma: Soma | None = None
        if spec.normed:
            affine = self.model.affine_of(spec)
            if affine is None:
                soma = self._layernorm(self.model.norm_of(spec), spec.name)
            else:
                gain, shift = affine.gain, affine.shift
        elif spec.scaled_rows(self.config.preset):
            gain = torch.exp2(-self.gates[spec.name].channel_exponent)
        skip_value = None if spec.skip is None else self.model.skip_value(spec.skip)
        synapses = module.synapses(self.value[spec.sources[0]], skip_value, gain, shift, self.value[spec.name])
        if self.streamed:
            groups = self._groups(spec, module, synapses)
            return self._requantising(spec, synapses.unit, synapses=groups, bias=_int(synapses.bias))
        if spec.soma(self.config.preset) == "gelu":
            soma = integer_gelu(self.gates[spec.name], synapses.unit)
        threshold = SOMA_THRESHOLD if soma else int(self.gates[spec.name].integer_threshold(synapses.unit))
        groups = (*self._groups(spec, module, synapses), *self._feedback(spec, threshold))
        return self._stage(spec, threshold, synapses=groups, bias=_int(synapses.bias), soma=soma)

    def _scores(self, spec: StageSpec) -> Stage:
        assert spec.layer is not None
        head = self.config.hidden_size // self.config.num_attention_heads
        query, key = spec.sources
        unit = self.value[query] * self.value[key] / math.sqrt(head)
        relative = self._relative(unit)
        affine = self.model.encoder_layers()[spec.layer].score_affine
        if isinstance(affine, PayloadScores):
            added, seen = affine.bias_and_unit(unit)
            return self._attending(spec, 0, "scores", None, added, seen)
        if affine is None:
            per_spike = SOMA_THRESHOLD / float(self.value[spec.name])
            softmax = Softmax(
                Multiplier.from_float(float(unit) * 2**X_BITS), Multiplier.from_float(per_spike / 2**P_BITS)
            )
            return self._attending(spec, SOMA_THRESHOLD, "scores", softmax, relative=relative)
        weight, bias, out = affine.integers(unit)
        threshold = int(self.gates[spec.name].integer_threshold(out))
        soma = HeadAffine(_int(weight), _int(bias) * self.timesteps)
        return self._attending(spec, threshold, "scores", soma, relative=relative)

    def _relative(self, unit: Tensor) -> NDArray[np.int64] | None:
        """What the distance of two tokens adds to U, (heads, 2 L - 1)."""
        if self.model.relative is None:
            return None
        middle, reach = self.model.relative.shape[1] // 2, self.config.max_tokens - 1
        return _int(self.model.relative[:, middle - reach : middle + reach + 1] / unit)

    def _context(self, spec: StageSpec) -> Stage:
        refine = self.config.context_exponent
        score, value = spec.sources
        unit = self.value[score] * self.value[value] / 2**refine
        if self.streamed:
            return self._attending(spec, 0, "context", None, seen=unit.expand(spec.channels(self.config.sizes)))
        return self._attending(spec, int(self.gates[spec.name].integer_threshold(unit)), "context", Scale(refine))

    def _attending(
        self,
        spec: StageSpec,
        threshold: int,
        kind: Literal["scores", "context"],
        soma: Soma | None,
        bias: Tensor | None = None,
        seen: Tensor | None = None,
        relative: NDArray[np.int64] | None = None,
    ) -> Stage:
        """An attention stage; ``seen`` is the float value of a unit of U, a channel, of one that requantises."""
        left, right = spec.sources
        attention = Attention(kind, left, right, self._delay(spec, left), self._delay(spec, right))
        if seen is not None:
            parts = {"attention": attention, "heads": self.config.num_attention_heads}
            return self._requantising(spec, seen, **parts, bias=None if bias is None else _int(bias))
        heads = self.config.num_attention_heads
        return self._stage(spec, threshold, attention=attention, heads=heads, soma=soma, relative=relative)

    def _requantising(self, spec: StageSpec, unit: Tensor, **parts: Any) -> Stage:
        """A firing stage of a streamed network."""
        gate = self.gates[spec.name]
        assert isinstance(gate, PayloadGate)
        weight, shift = gate.requantise(unit)
        requantise = Requantise(_int(weight), shift, not gate.signed, self.timesteps)
        near = min(max(1, 2**shift // int(weight.max())), THRESHOLD_MAX)
        return self._stage(spec, near, requantise=requantise, **parts)

    def _readout(self, spec: StageSpec) -> Stage:
        module = self.model.synapses_of(spec)
        synapses = module.synapses(self.value[spec.sources[0]])
        return Stage(
            spec.name,
            spec.depth,
            spec.channels(self.config.sizes),
            1,
            self._groups(spec, module, synapses),
            bias=_int(synapses.bias),
            tokens="first" if spec.first else "all",
            fires=False,
            unit=float(synapses.unit),
        )

    def _stage(self, spec: StageSpec, threshold: int, **parts: Any) -> Stage:
        """A firing stage."""
        gate = self.gates[spec.name]
        exponents = _int(gate.channel_exponent) if gate.channel_scale is not None else None
        stage = Stage(
            spec.name,
            spec.depth,
            spec.channels(self.config.sizes),
            threshold,
            tokens="first" if spec.first else "all",
            signed=gate.signed,
            unit=float(gate.spike_value),
            unit_exponent=exponents,
            **parts,
        )
        assert (None if stage.soma is None else stage.soma.kind) == spec.soma(self.config.preset), spec.name
        return stage

    def _groups(self, spec: StageSpec, module: SynapticLinear, synapses: Synapses) -> tuple[SynapseGroup, ...]:
        exponents = _int(module.column_exponent)
        mantissas = _int(synapses.weight) >> exponents
        groups = [SynapseGroup(spec.sources[0], mantissas, exponents, self._delay(spec, spec.sources[0]))]
        if synapses.skip is not None:
            split = residual_parts if self.streamed else skip_parts
            parts = np.array([split(int(w)) for w in _int(synapses.skip)], dtype=np.int64)  # (d, 2)
            skip = spec.sources[1]
            groups.append(SynapseGroup(skip, parts[:, 0], parts[:, 1], self._delay(spec, skip)))
        return tuple(groups)

    def _feedback(self, spec: StageSpec, threshold: int) -> Iterator[SynapseGroup]:
        """Synapses of value neurons onto themselves."""
        feedback = self.model.feedback_of(spec)
        if feedback is not None:
            mantissas, powers = feedback.integers(torch.tensor(float(threshold)))
            yield SynapseGroup(spec.name, _int(mantissas), _int(powers.log2()))

    def _delay(self, spec: StageSpec, source: str) -> int:
        """Windows between the source's and the one before the stage's own, in steps of a pipelined run."""
        return spec.depth - self.depth[source] - 1

    def _layernorm(self, norm: nn.LayerNorm, name: str) -> LayerNorm:
        per_spike = SOMA_THRESHOLD / float(self.value[name]) * 2**GAMMA_BITS
        return LayerNorm(_int(norm.weight.double() * per_spike), _int(norm.bias.double() * per_spike))


def _int(x: Tensor) -> NDArray[np.int64]:
    values = x.detach().round().cpu().numpy()
    if not (np.abs(values) < _INTEGER_MAX).all():  # also where it is not a number
        raise ValueError("a number is not finite, or passes 62 bits")
    result: NDArray[np.int64] = values.astype(np.int64)
    return result
