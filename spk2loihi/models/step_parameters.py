"""What the stages of a student are made of that depends on parameters alone: once a batch, for all stages together.

A training step on a GPU, or of a small batch, costs what its operators cost, whatever they compute. Stage by stage
these were thousands: a dozen for every threshold, unit and scale. As vectors over the stages they are some tens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spk2loihi.models.neuron import Threshold, integer_thresholds
from spk2loihi.models.payload_synapses import requantisers
from spk2loihi.models.synaptic_linear import Part, Synapses
from spk2loihi.models.topology import StageSpec

if TYPE_CHECKING:
    from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification


class StepParameters:
    """Of ``model`` as its parameters are now.

    While thresholds are being set, which each stage does for the next ones, every stage looks up its own when it
    computes.

    Attributes:
        gates: by stage name.
        mix: see `spk2loihi.models.wiring`.
    """

    def __init__(self, model: SpikingBertForSequenceClassification) -> None:
        self.model, self.gates, self.mix = model, model.gates(), model.mix
        # Leaky sums and unrounded rates are no whole counts.
        self.whole = not (model.fitting or model.config.leak or model.config.feedback)
        self._values: dict[str, Tensor] = {}
        self._synapses: dict[str, Synapses] = {}
        self._thresholds: Mapping[str, Threshold] = {}
        self._scales = {name: gate.channel_scale for name, gate in self.gates.items()}
        if model.classifier.quantised and not model.fitting:
            self._compute()

    def value(self, name: str) -> Tensor:
        """Float value of a spike of a stage."""
        return self._values[name] if self._values else self.gates[name].spike_value

    def scale(self, name: str) -> Tensor | None:
        """2**channel_exponent (d,) of a stage whose channels are equalised."""
        return self._scales[name]

    def threshold(self, name: str) -> Threshold | None:
        """Of a stage; None where its gate has to look it up."""
        return self._thresholds.get(name)

    def synapses(self, spec: StageSpec) -> Synapses:
        """Of a linear stage or the readout."""
        if spec.name in self._synapses:
            return self._synapses[spec.name]
        part = self._part(spec)
        out = self.value(spec.name) if spec.name in self.gates else None
        return part.module.synapses(
            self.value(spec.sources[0]), part.skip_value, part.gain, part.shift, out, self.whole
        )

    def has_function(self, spec: StageSpec) -> bool:
        """Whether a function other than the gate's own clip acts on the drive of a linear stage."""
        if spec.normed:
            return self.mix < 1 or self.model.affine_of(spec) is None
        if spec.activation is None and not (self.model.exact and spec.part == "pooler"):
            return False
        return self.mix < 1 and (spec.activation != "relu" or self.gates[spec.name].passing)

    def score_unit(self, spec: StageSpec) -> Tensor:
        """Float value of 1 in the product of a query's and a key's counts."""
        query, key = spec.sources
        head = self.model.config.hidden_size // self.model.config.num_attention_heads
        return self.value(query) * self.value(key) / math.sqrt(head)

    def context_unit(self, spec: StageSpec) -> Tensor:
        """Float value of 1 in the drive of a context."""
        score, value = spec.sources
        return self.value(score) * self.value(value) / 2**self.model.config.context_exponent

    def _part(self, spec: StageSpec) -> Part:
        gain, shift = self._fold(spec)
        skip = None
        if spec.skip is not None:
            scale = self.scale(spec.skip)
            assert scale is not None  # residuals come from stages whose channels are equalised
            skip = self.value(spec.skip) * scale
        return Part(self.model.synapses_of(spec), skip, gain, shift)

    def _fold(self, spec: StageSpec) -> tuple[Tensor | None, Tensor | None]:
        """Gain and shift (d_out,) of what is folded into synapses: an affine, or the powers of two of the channels."""
        if self.has_function(spec):
            return None, None
        affine = self.model.affine_of(spec)
        if affine is not None:
            return affine.gain, affine.shift
        return torch.exp2(-self.gates[spec.name].channel_exponent) if spec.equalised else None, None

    def _compute(self) -> None:
        names = list(self.gates)
        place = {name: i for i, name in enumerate(names)}
        values = torch.stack([gate.log_threshold for gate in self.gates.values()]).exp() / self.model.config.timesteps
        self._values = dict(zip(names, values.unbind(), strict=True))
        linear = [spec for spec in self.model.specs if spec.kind in ("linear", "readout")]
        sources = _index(tuple(place[spec.sources[0]] for spec in linear), values.device)
        parts, in_values = [self._part(spec) for spec in linear], values[sources]
        out_values = [self._values.get(spec.name) for spec in linear]
        found = parts[0].module.joined(parts, in_values, out_values, self.whole)
        self._synapses = {spec.name: synapses for spec, synapses in zip(linear, found, strict=True)}
        units = dict(self._units())
        fired = values[_index(tuple(place[name] for name in units), values.device)]
        if self.model.config.preset == "stock":
            self._thresholds = dict(zip(units, requantisers(list(units.values()), fired), strict=True))
            return
        thresholds = integer_thresholds(fired, torch.stack(list(units.values())))
        known = dict(self._values) | dict(zip(units, thresholds.unbind(), strict=True))
        numbers = torch.stack(list(known.values())).tolist()
        self._thresholds = {
            name: Threshold(value, number) for (name, value), number in zip(known.items(), numbers, strict=True)
        }

    def _units(self) -> Iterator[tuple[str, Tensor]]:
        """Float value of 1 in the drive of each gate that fires on it as it is."""
        for spec in self.model.specs:
            if spec.kind == "linear" and not self.has_function(spec):
                yield spec.name, self._synapses[spec.name].unit
            elif spec.kind == "context":
                yield spec.name, self.context_unit(spec)
            elif spec.kind == "scores" and spec.layer is not None and self.mix == 1:
                affine = self.model.encoder_layers()[spec.layer].score_affine
                if affine is not None:
                    yield spec.name, affine.unit(self.score_unit(spec))


@lru_cache(maxsize=64)
def _index(places: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(places, device=device)
