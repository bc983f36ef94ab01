"""A float32 torch loop over T, as SpikingBERT's published code and SpikingJelly step, of the same student.

What the count-based engine is compared with. The loop has every advantage that does not change the answer: neurons are
stepped in their windows, so LayerNorm, softmax and GELU (I-BERT's polynomials, as the student has them) run once a
window and not once a step, in floats; attention is one product of the window's spikes; nothing is recorded. What is
left is what a loop over T cannot avoid: T products of every linear layer with the spikes of a step, and T steps of
every neuron.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.soma import GAMMA_BITS, P_BITS, X_BITS, Gelu, HeadAffine, LayerNorm, Scale, Softmax


class SteppedLoop:
    """Float32 weights, as a torch module would hold them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._weights = {
            (stage.name, group.source): torch.from_numpy(group.scaled).float()
            for stage in network.stages
            for group in stage.synapses
        }
        e = network.embedding
        self._tables = [torch.from_numpy(table).float() for table in (e.word, e.position, e.token_type)]

    @torch.inference_mode()
    def logits(self, batch: TokenBatch) -> Tensor:
        """Membranes of the readout, (B, labels)."""
        mask = torch.from_numpy(batch.mask)
        trains: dict[str, list[Tensor]] = {}
        for stage in self.network.stages:
            if stage.attention is not None:
                u = self._attention(stage, trains)
            elif stage.depth:
                u = self._linear(stage, trains)
            else:
                word, position, kind = self._tables
                u = F.embedding(torch.from_numpy(batch.input_ids), word) + position[: mask.shape[1]]
                u = u + F.embedding(torch.from_numpy(batch.token_type_ids), kind)
            if not stage.fires:
                return u[:, 0]
            rows = mask[:, :1] if stage.tokens == "first" else mask
            alive = (rows[:, None, :, None] & mask[:, None, None]) if stage.is_scores else rows[..., None]
            trains[stage.name] = self._fire(stage, self._soma(stage, u, mask), alive)
        raise ValueError("a network ends with a readout")

    def _linear(self, stage: Stage, trains: dict[str, list[Tensor]]) -> Tensor:
        assert stage.bias is not None
        bias = torch.from_numpy(stage.bias).float()
        u = torch.zeros(())
        for t in range(self.network.timesteps):
            for i, group in enumerate(stage.synapses):
                spikes = trains[group.source][t]
                spikes = spikes[:, :1] if stage.tokens == "first" else spikes
                weight = self._weights[stage.name, group.source]
                drive = spikes * weight if group.one_to_one else F.linear(spikes, weight)
                u = u + (drive + bias if i == 0 else drive)
        return u

    def _attention(self, stage: Stage, trains: dict[str, list[Tensor]]) -> Tensor:
        assert stage.attention is not None
        left, right = (sum(trains[name]) for name in (stage.attention.left, stage.attention.right))
        assert isinstance(left, Tensor) and isinstance(right, Tensor)
        heads = right.unflatten(-1, (stage.heads, -1)).transpose(1, 2)
        if stage.attention.kind == "context":
            return (left @ heads).transpose(1, 2).flatten(2)
        return left.unflatten(-1, (stage.heads, -1)).transpose(1, 2) @ heads.transpose(-1, -2)

    def _soma(self, stage: Stage, u: Tensor, mask: Tensor) -> Tensor:
        soma = stage.soma
        if isinstance(soma, LayerNorm):
            gamma, beta = (torch.from_numpy(x).float() * 2.0**-GAMMA_BITS for x in (soma.gamma, soma.beta))
            return F.layer_norm(u, u.shape[-1:], gamma, beta)
        if isinstance(soma, Softmax):
            scale = soma.scale.mantissa * 2.0 ** (-soma.scale.shift - X_BITS)
            gain = soma.gain.mantissa * 2.0 ** (P_BITS - soma.gain.shift)
            x = (u * scale).masked_fill(~mask[:, None, None], -1e9)
            x = x - x.amax(-1, keepdim=True)
            z = torch.floor(x * (-1 / math.log(2)))
            e = (0.3585 * (x + z * math.log(2) + 1.353) ** 2 + 0.344) * torch.exp2(-z)
            return e * (gain / e.sum(-1, keepdim=True))
        if isinstance(soma, Gelu):
            scale = soma.scale.mantissa * 2.0 ** (-soma.scale.shift - X_BITS)
            gain = soma.gain.mantissa * 2.0 ** (X_BITS - soma.gain.shift)
            x = u * scale
            t = (x.abs() * math.sqrt(0.5)).clamp_(max=1.769) - 1.769
            return (
                x
                * 0.5
                * (1 + torch.sign(x) * (1 - 0.2888 * t * t))
                * gain
                * torch.exp2(-torch.from_numpy(soma.exponent).float())
            )
        if isinstance(soma, Scale):
            return u * 2**soma.exponent
        if isinstance(soma, HeadAffine):
            weight, bias = (torch.from_numpy(x).float()[:, None, None] for x in (soma.weight, soma.bias))
            return u * weight + bias
        return u

    def _fire(self, stage: Stage, u: Tensor, alive: Tensor) -> list[Tensor]:
        """Soft-reset integrate-and-fire neurons, step by step."""
        u = u + stage.threshold // 2
        train = []
        for _ in range(self.network.timesteps):
            spikes = (u >= stage.threshold).float()
            if stage.signed:
                spikes = spikes - (u < 0).float()
            u = u - stage.threshold * spikes
            train.append(spikes * alive)
        return train
