"""Synapses and gates of the `stock` preset: what stock Loihi 2 processes can do, trained as it will run.

Instead of a threshold a stage has one synapse a neuron, of weight ``w_c / 2**m`` with ``w_c`` of 8 bits, and a range
gate (`spk2loihi.network.requantise`). Since that weight may differ by neuron, so may the scale of a neuron's synapses:
it is chosen so that ``w_c`` is a whole number, and requantising costs no precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.limits import EXCITATORY_WEIGHT_MAX, SHIFT_MAX, WEIGHT_EXPONENT_MAX
from spk2loihi.models.affine import ScoreAffine
from spk2loihi.models.neuron import FireGate, Threshold, as_type, constant, round_ste, wide_type

#: Largest |bias| in units of U: three digits of base 128 hold it (`spk2loihi.chip`), and the membrane has room for it.
PAYLOAD_BIAS_MAX = 2**20


def snap(ratio: Tensor) -> tuple[Tensor, int]:
    """Weights (of ``ratio``'s shape) and shift m of the synapses nearest to ``ratio`` > 0: ``weight / 2**m``.

    Applied to its own result it changes nothing.
    """
    m = shift_of(float(ratio.detach().max()))
    return snapped(ratio, 2.0**m), m


def snapped(ratio: Tensor, power: Tensor | float) -> Tensor:
    """Weights nearest to ``ratio``, where ``power`` is 2**m."""
    return (ratio.double() * power).round().clamp(1, EXCITATORY_WEIGHT_MAX)


def shift_of(largest: float) -> int:
    """m of synapses whose largest ratio this is."""
    return min(max(math.floor(math.log2(EXCITATORY_WEIGHT_MAX / largest)), 1), SHIFT_MAX)


@dataclass(frozen=True)
class Requantiser(Threshold):
    """Of a `PayloadGate` instead of a threshold: ``value`` is w / 2**m, with a straight-through gradient.

    After a function of the teacher ``value`` is the reciprocal of a payload's float value, and nothing is rounded.
    """

    weight: Tensor | None = None
    power: Tensor | float = 1.0

    @classmethod
    def of(cls, raw: Tensor, power: Tensor | float) -> Requantiser:
        """The nearest to ``raw``."""
        weight = snapped(raw.detach(), power)
        ratio = raw + ((weight / power).to(raw.dtype) - raw).detach()
        return cls(ratio, 0.0, weight, power)


class _Send(torch.autograd.Function):
    """Payloads, with the gradient of the unrounded ones; what the range gate stops has none."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, ratio: Tensor, low: int, limit: int) -> Tensor:
        here = as_type(ratio, drive.dtype)
        ctx.save_for_backward(drive, here)
        ctx.least, ctx.most, ctx.kind = -limit - 0.5 if low else 0.0, limit + 0.5, ratio.dtype
        kind = drive.dtype, drive.device
        n = torch.mul(drive, here).add_(constant(0.5, *kind)).floor_()
        if low == 0:
            n.clamp_(min=0)
        return n.masked_fill_((n.abs() if low else n) > constant(limit, *kind), 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        drive, ratio = ctx.saved_tensors
        # grad where least < drive * ratio < most, else 0
        grad = torch.ops.aten.hardtanh_backward(grads[0], drive * ratio, ctx.least, ctx.most)
        grad_ratio = None
        if ctx.needs_input_grad[1]:
            wide = wide_type(drive.dtype)
            products = as_type(grad, wide) * as_type(drive, wide)
            grad_ratio = as_type(products.sum_to_size(_like(ratio, drive)).view_as(ratio), ctx.kind)
        return grad * ratio, grad_ratio, None, None


def _like(ratio: Tensor, drive: Tensor) -> tuple[int, ...]:
    """Shape of ``ratio`` with as many axes as ``drive``."""
    return (1,) * (drive.ndim - ratio.ndim) + tuple(ratio.shape)


class PayloadGate(FireGate):
    """``n = round(w max(U, 0) / 2**m)``, 0 beyond T; the maximum only where the population is not signed.

    Where a module is evaluated the rounding is that of Lava's CPU models, to the bit: half a unit is added to U, and
    the shift rounds down.
    """

    margin = 1.5  # of the largest payload met in calibration

    def forward(self, drive: Tensor, unit: Tensor | None = None, threshold: Threshold | None = None) -> Tensor:
        if self.passing or not self.quantised:
            scaled = drive / self.spike_value if unit is None else drive * (unit / self.spike_value)
            if self.passing:
                return scaled
            return scaled if self.signed else scaled.clamp(min=0)
        if threshold is None:
            threshold = self._looked_up(unit)
        assert isinstance(threshold, Requantiser)
        if threshold.weight is not None and not self.training and not torch.is_grad_enabled():
            return self._exact(drive, threshold.weight, threshold.power)
        return cast(Tensor, _Send.apply(drive, threshold.value, self.low, self.timesteps))

    def _looked_up(self, unit: Tensor | None) -> Requantiser:
        if unit is None:  # after a function of the teacher, which fades out
            return Requantiser(1 / self.spike_value, 0.0)
        raw = unit / self.spike_value
        return Requantiser.of(raw, 2.0 ** shift_of(float(raw.detach().max())))

    def _exact(self, drive: Tensor, weight: Tensor, power: Tensor | float) -> Tensor:
        half = 2 * ((power + 2 * weight) / (4 * weight)).floor()
        u = drive.double() + half
        if not self.signed:
            u = u.clamp(min=0)
        v = (u * weight / power).floor()
        return v.mul(v.abs() <= self.timesteps).to(drive.dtype)

    def requantise(self, unit: Tensor) -> tuple[Tensor, int]:
        """Weights and shift for a drive whose unit has the float value ``unit``."""
        return snap((unit / self.spike_value).detach())

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set the threshold so that the largest of ``values`` leaves a margin: what passes the limit is lost whole."""
        largest = values.abs().max() if self.signed else values.max()
        if largest > 0:
            self.log_threshold.copy_((self.margin * largest).log())


def residual_exponent(weight: Tensor) -> Tensor:
    """Exponent that leaves half a residual weight 7 bits of mantissa and a sign."""
    return ((weight.abs() / 2).clamp(min=1.0).log2().floor() - 6).clamp(0, WEIGHT_EXPONENT_MAX)


def round_residual_ste(weight: Tensor) -> Tensor:
    """Nearest ``2 k 2**e`` with |k| <= 127 that a residual synapse can have; straight-through gradient 1."""
    value = weight.detach()
    power = 2 * torch.exp2(residual_exponent(value))
    return weight + ((value / power).round().clamp(-127, 127) * power - value)


def residual_parts(weight: int) -> tuple[int, int]:
    """Even mantissa and exponent of an integer that `round_residual_ste` made."""
    exponent = max(0, (abs(weight) // 2).bit_length() - 7)
    mantissa = weight >> exponent
    if mantissa << exponent != weight or mantissa % 2:
        raise ValueError(f"residual weight {weight} needs more than 7 bits of mantissa")
    return mantissa, exponent


class PayloadScores(ScoreAffine):
    """``P = alpha_h s + beta_h`` where alpha is the requantising weight of a head, and beta a bias of its drive."""

    def unit(self, unit: Tensor) -> Tensor:
        """As of `ScoreAffine`, (H, 1, 1)."""
        return (self.alpha.abs().clamp(min=1e-6) * unit)[:, None, None]

    def rescale(self, u: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """``U + b_h`` (B, H, L, L) and the float value of its unit (H, 1, 1), of ``U = q k`` with ``unit``."""
        bias, out = self.bias_and_unit(unit)
        return u + bias[:, None, None].to(u.dtype), out[:, None, None]

    def bias_and_unit(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """b (H,) in units of U, even, and the float value of a unit of U as seen by P, (H,)."""
        alpha = self.alpha.abs().clamp(min=1e-6)
        out = alpha * unit
        bias = self.beta / out
        if self.quantised:
            bias = 2 * round_ste(bias.clamp(-PAYLOAD_BIAS_MAX, PAYLOAD_BIAS_MAX) / 2)
        return bias, out
