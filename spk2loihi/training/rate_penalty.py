"""T x density of a batch as a differentiable loss term: what training can do about the number of SynOps."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from spk2loihi.models import Equilibrium, SpikingBertForSequenceClassification
from spk2loihi.training.processes import process_mean


def t_times_density(model: SpikingBertForSequenceClassification, result: Equilibrium, mask: Tensor) -> Tensor:
    """SynOps for each synapse of the linear layers, a scalar: spikes weighted by the synapses they reach.

    Zero weights count as synapses here (`simulate` leaves them out). The gradient of a spike count is that of its
    absolute value, straight through its rounding. Averaged over processes it is the figure of all their sentences.

    Args:
        mask: 1 at tokens, 0 at padding, (B, L).
    """
    tokens = mask[..., None].to(result.logits.dtype)  # (B, L, 1)
    synops = torch.zeros((), dtype=result.logits.dtype, device=result.logits.device)
    synapses = torch.zeros_like(synops)
    for source, fan_out, first in linear_synapses(model):
        n = result.counts[source]
        rows = 1 if first else n.shape[1]
        kept = tokens[:, :rows]
        synops = synops + fan_out * (n[:, :rows].abs() * kept).sum()
        synapses = synapses + fan_out * n.shape[-1] * kept.sum()
    return synops / process_mean(synapses)


def linear_synapses(model: SpikingBertForSequenceClassification) -> Iterator[tuple[str, int, bool]]:
    """Source stage, neurons each of its spikes reaches, and whether [CLS] alone has them; skips are left out."""
    source = "embedding"
    layers = model.encoder_layers()
    for i, layer in enumerate(layers):
        at, last = f"layer.{i}.", i == len(layers) - 1
        yield source, layer.query.out_features, last
        yield source, layer.key.out_features + layer.value.out_features, False
        yield at + "context", layer.attention_output.out_features, last
        yield at + "attention_output", layer.ffn_in.out_features, last
        yield at + "ffn_in", layer.ffn_out.out_features, last
        source = at + "ffn_out"
    yield source, model.pooler.out_features, True
    yield "pooler", model.classifier.out_features, True
