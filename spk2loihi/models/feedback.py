"""Feedback connections of a population on itself, bounded so that their equilibrium exists and is unique.

With feedback the rates of a population are a fixed point ``a = clip(W a_in + b + V a, -theta, theta)`` (IDE, Xiao et
al. 2021, arXiv 2109.14247, with one hidden layer). The clip has Lipschitz constant 1, so the right-hand side is a
contraction, and Banach's theorem gives the fixed point, as soon as the spectral norm of V is below 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spk2loihi.models.implicit import Solving, fixed_point
from spk2loihi.models.neuron import round_ste
from spk2loihi.models.solve_record import Solves
from spk2loihi.models.solvers import SolverStat
from spk2loihi.models.torch_stage import Counts, TorchStage

LARGEST_MANTISSA = 127
"""Of a feedback weight, whatever the bits of the others: like a residual's, it has no scale of its own."""

_GRAM_ITERATIONS = 5


def spectral_bound(weight: Tensor) -> Tensor:
    """Upper bound of the largest singular value of ``weight`` (d, d); differentiable, and never too small.

    Gram iteration (Delattre et al. 2023, arXiv 2305.16173): with G_1 = W^T W and G_k+1 = G_k^T G_k,
    sigma <= |G_k|_F ** (1 / 2^k). After k = 5 it exceeds sigma by a factor of at most d ** (1/64): 1.10 for d = 384.
    """
    gram, log_scale = weight, torch.zeros((), dtype=weight.dtype, device=weight.device)
    for _ in range(_GRAM_ITERATIONS):
        size = gram.norm().clamp(min=torch.finfo(weight.dtype).tiny)  # kept at 1: powers would overflow
        gram, log_scale = (gram / size).mT @ (gram / size), 2 * (log_scale + size.log())
    return ((gram.norm().clamp(min=torch.finfo(weight.dtype).tiny).log() + log_scale) / 2**_GRAM_ITERATIONS).exp()


class Feedback(nn.Module):
    """Token-wise synapses from a population to itself, of a spectral norm of at most ``bound``.

    Quantised, they are integers in the units of the population's own drive, in which its threshold is theta: mantissas
    of 8 bits, and an exponent for each axon, ``round(V theta / 2**e) 2**e``. Training sees the integers
    (straight-through). Rounding may pass the bound a little; export refuses a norm of 1 or more
    (`spk2loihi.network.bounds`).

    Args:
        bound: in (0, 1); by how much, at most, the iteration shrinks an error at each step.
    """

    def __init__(self, channels: int, bound: float, quantised: bool) -> None:
        super().__init__()
        self.bound = bound
        self.quantised = quantised
        self.free = nn.Parameter(torch.zeros(channels, channels))  # starts as a network without feedback

    def weight(self) -> Tensor:
        """V (d, d): the free weights, scaled down where their norm could exceed the bound."""
        return self.free * (self.bound / spectral_bound(self.free)).clamp(max=1.0)

    def integers(self, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """Mantissas (d, d), with straight-through gradients, and 2**exponent of each axon (d,).

        Args:
            threshold: theta, in units of U.
        """
        scaled = self.weight() * threshold
        with torch.no_grad():
            excess = scaled.abs().amax(0) / LARGEST_MANTISSA
            power = torch.exp2(excess.clamp(min=1.0).log2().ceil())
        return round_ste(scaled / power), power

    def synapses(self, threshold: Tensor) -> Tensor:
        """What a spike adds to U (d, d), given theta in units of U."""
        if not self.quantised:
            return self.weight() * threshold
        mantissa, power = self.integers(threshold)
        return mantissa * power


def settle(
    stage: TorchStage, counts: Counts, steps: int, precise: bool, solving: Solving, solves: Solves
) -> tuple[Tensor, SolverStat]:
    """Counts (B, L, d) of a stage whose drive depends on them, solved token by token from those without feedback.

    Thresholds are calibrated on the drive without feedback. Mixed precision stops here: no solver reaches a fixed point
    of drives with the 8 bits of a bfloat16.

    Args:
        solves: of this stage, to which this solve and that of its gradient are added.
    """
    assert stage.gate is not None
    wide = {name: n.to(torch.promote_types(n.dtype, torch.float32)) for name, n in counts.items()}

    def rates(n: Counts) -> Tensor:
        return stage.fire(*stage.drive({**wide, **n}, steps), precise)

    with torch.autocast(stage.gate.threshold.device.type, enabled=False):
        start = rates({})
        calibrating, stage.gate.calibrating = stage.gate.calibrating, False
        try:
            flat, stat = fixed_point(
                lambda n: rates({stage.name: n.view_as(start)}).flatten(0, -2), start.flatten(0, -2), solving,
                f"stage {stage.name}: the equilibrium of its feedback", solves,
            )  # fmt: skip
        finally:
            stage.gate.calibrating = calibrating
    return flat.view_as(start), stat
