"""Channel equalisation: outlier channels get a power of two of their own, folded away before deployment.

A netx layer has one threshold, so one outlier channel of a LayerNorm or GELU would make the spikes of every other
channel coarse (the outliers of BERT: Kovaleva et al. 2021, SmoothQuant, Xiao et al. 2023). Dividing channel c by
``2**k[c]`` before the gate, in the gain of the soma function, and multiplying column c of the next weights by it
changes no float result. With powers of two the residual's weights stay exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spk2loihi.models.affine import FoldableAffine
from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification
from spk2loihi.models.synaptic_linear import SynapticLinear

MAX_EXPONENT = 3  # a residual weight's own exponent takes the rest of the 7 that wgtExp allows
_BASE_QUANTILE = 0.5  # channels up to this quantile of amplitude keep the common threshold
_AMPLITUDE_QUANTILE = 0.999  # of a channel's |activation|


@torch.no_grad()
def equalise(
    model: SpikingBertForSequenceClassification,
    amplitudes: dict[str, Tensor],
    max_exponent: int = MAX_EXPONENT,
) -> None:
    """Set the channel exponents of ``model`` in place; its continuous function does not change.

    Args:
        amplitudes: by stage with a soma function, a large quantile of each channel's |activation|, (d,), in the
            units of the current model (whose exponents must still be zero).
    """
    exponents = {}
    for name, amplitude in amplitudes.items():
        base = amplitude.quantile(_BASE_QUANTILE).clamp(min=1e-6)
        exponents[name] = (amplitude / base).clamp(min=1.0).log2().round().clamp(max=max_exponent)
        model.gates()[name].channel_exponent.copy_(exponents[name])
    for spec in model.specs:
        if spec.normed:
            _scale_norm(model.norm_of(spec), exponents[spec.name])
        if spec.kind in ("linear", "readout") and spec.sources[0] in exponents:
            model.synapses_of(spec).weight.mul_(torch.exp2(exponents[spec.sources[0]]))
    for module in model.modules():
        if isinstance(module, SynapticLinear):
            module.set_exponents()
        if isinstance(module, FoldableAffine):
            module.forget()  # the LayerNorm it was fitted to has changed


def channel_amplitudes(activations: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
    """The ``amplitudes`` of `equalise` from activations (B, L, d) and the token mask (B, L)."""
    result = {}
    for name, x in activations.items():
        kept = x[mask[:, : x.shape[1]].bool()]  # (tokens, d)
        result[name] = kept.abs().quantile(_AMPLITUDE_QUANTILE, dim=0)
    return result


def _scale_norm(norm: torch.nn.LayerNorm, exponent: Tensor) -> None:
    norm.weight.mul_(torch.exp2(-exponent))
    norm.bias.mul_(torch.exp2(-exponent))
