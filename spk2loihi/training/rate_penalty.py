"""T x density of a batch as a differentiable loss term: what training can do about the number of SynOps."""

from __future__ import annotations

import torch
from torch import Tensor

from spk2loihi.models import Equilibrium, SpikingBertForSequenceClassification
from spk2loihi.training.processes import process_mean


def t_times_density(model: SpikingBertForSequenceClassification, result: Equilibrium, mask: Tensor) -> Tensor:
    """SynOps for each synapse of the linear layers, a scalar: spikes weighted by the synapses they reach.

    Residuals are left out, and zero weights count as synapses (`simulate` leaves them out). The gradient of a spike
    count is that of its absolute value, straight through its rounding. Averaged over processes it is the figure of all
    their sentences.

    Args:
        mask: 1 at tokens, 0 at padding, (B, L).
    """
    tokens = mask[..., None].to(result.logits.dtype)  # (B, L, 1)
    synops = torch.zeros((), dtype=result.logits.dtype, device=result.logits.device)
    synapses = torch.zeros_like(synops)
    for spec in model.specs:
        if spec.kind not in ("linear", "readout"):
            continue
        n, fan_out = result.counts[spec.sources[0]], model.synapses_of(spec).out_features
        rows = 1 if spec.first else n.shape[1]
        kept = tokens[:, :rows]
        synops = synops + fan_out * (n[:, :rows].abs() * kept).sum()
        synapses = synapses + fan_out * n.shape[-1] * kept.sum()
    return synops / process_mean(synapses)
