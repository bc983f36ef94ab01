"""What the `neurocore` preset has in place of LayerNorm and softmax: affines that fold into synapses.

Each starts as a fit to the function it replaces, fades in while training (progressive re-parameterisation, SLAB, Guo et
al. 2024, arXiv 2405.11582), and is learned like any weight once the function is gone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spk2loihi.limits import BIAS_MAX
from spk2loihi.models.neuron import round_ste

_MOMENTUM = 0.05  # weight of a new batch in the running moments of a fit
_RIDGE = 1e-6


class FoldableAffine(nn.Module):
    """``gain * x + shift`` per channel; no state of the batch at hand, so it folds into weights, residual and bias."""

    moments: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        # Running means of x, y, x*x and x*y, (4, d), and how many batches went in: kept so that a resumed run goes on.
        # float64, since the line is a quotient of their small differences.
        self.register_buffer("moments", torch.zeros(4, channels, dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def fit(self, x: Tensor, y: Tensor, mask: Tensor) -> None:
        """Follow the least-squares line from x (B, L, d) to y (B, L, d) over tokens of ``mask`` (B, L, 1)."""
        kept = mask[..., 0].bool().expand(x.shape[:2])
        x, y = x[kept].double(), y[kept].double()  # (tokens, d)
        sums = torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0), torch.ones_like(x).sum(0)])  # (5, d)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)  # every process fits to the tokens of all, or they would drift apart
        self.moments.lerp_(sums[:4] / sums[4], 1.0 if self.batches == 0 else _MOMENTUM)
        self.batches += 1
        mean_x, mean_y, mean_xx, mean_xy = self.moments
        variance = (mean_xx - mean_x * mean_x).clamp(min=0)
        gain = (mean_xy - mean_x * mean_y) / (variance + _RIDGE * variance.mean())
        self.gain.copy_(gain)
        self.shift.copy_(mean_y - gain * mean_x)

    @torch.no_grad()
    def forget(self) -> None:
        """Start the fit anew."""
        self.batches.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain.to(x.dtype) + self.shift.to(x.dtype)


class ScoreAffine(nn.Module):
    """``P = alpha_h s + beta_h`` per head, for the score neurons' ``clip(P, 0, theta)`` in place of softmax.

    Integers: the fast weights of head h hold ``m_h`` times the counts (a spike adds m_h instead of 1), and the bias is
    added once a step, so that over a window ``z = m_h U + T b_h``.
    """

    def __init__(self, heads: int, timesteps: int, largest: int, quantised: bool) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(heads))
        self.beta = nn.Parameter(torch.zeros(heads))
        self.timesteps = timesteps
        self.largest = largest
        self.quantised = quantised

    def forward(self, scores: Tensor) -> Tensor:
        """P (B, H, L, L), unclipped floats, of float scores of that shape."""
        return scores * self.alpha[:, None, None].to(scores.dtype) + self.beta[:, None, None].to(scores.dtype)

    def integers(self, unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weight m (H,), bias a step b (H,), and the float value of one unit of z; ``unit`` is that of U."""
        alpha, beta = self.alpha.detach().abs().max(), self.beta.detach().abs().max()
        scale = torch.maximum(alpha / self.largest, beta / (unit.detach() * self.timesteps * BIAS_MAX))
        scale = scale.clamp(min=1e-8)
        out = scale * unit
        weight, bias = self.alpha / scale, self.beta / (out * self.timesteps)
        return (round_ste(weight), round_ste(bias), out) if self.quantised else (weight, bias, out)

    def unit(self, unit: Tensor) -> Tensor:
        """Float value of one unit of z, as `rescale` has it; ``unit`` is that of U."""
        return self.integers(unit)[2]

    def rescale(self, u: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, H, L, L) and the float value of its unit, of the drive U of T steps."""
        weight, bias, out = self.integers(unit)
        return u * weight[:, None, None] + self.timesteps * bias[:, None, None], out

    @torch.no_grad()
    def fit(self, scores: Tensor, probabilities: Tensor, pairs: Tensor, steps: int = 200) -> None:
        """Least squares of ``clip(alpha s + beta, 0, 1)`` to softmax ``probabilities``, by head.

        Args:
            pairs: 1 where query and key exist, broadcastable to (B, H, L, L).
        """
        kept = pairs.expand_as(scores).bool()
        for h in range(len(self.alpha)):
            s, p = scores[:, h][kept[:, h]].float(), probabilities[:, h][kept[:, h]].float()
            spread = s.std().clamp(min=1e-6)
            with torch.enable_grad():
                line = torch.stack([p.std() / spread, p.mean() - p.std() / spread * s.mean()])
                scale = torch.stack([p.std() / spread, p.std()])  # natural size of each of the two
                x = (line / scale).requires_grad_(True)
                optimiser = torch.optim.Adam([x], lr=0.05)
                for _ in range(steps):
                    alpha, beta = x * scale
                    clipped = (alpha * s + beta).clamp(max=1.0)
                    # a slight leak: a key below zero still says how far it is from firing
                    loss = (torch.where(clipped > 0, clipped, 0.01 * clipped) - p).square().mean()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
            self.alpha[h], self.beta[h] = (x * scale).detach()
