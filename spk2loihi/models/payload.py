"""Synapses and gates of the `stock` preset: what stock Loihi 2 processes can do, trained as it will run.

Instead of a threshold a stage has one synapse a neuron, of weight ``w_c / 2**m`` with ``w_c`` of 8 bits, and a range
gate (`spk2loihi.network.requantise`). Since that weight may differ by neuron, so may the scale of a neuron's synapses:
it is chosen so that ``w_c`` is a whole number, and requantising costs no precision.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from spk2loihi.limits import EXCITATORY_WEIGHT_MAX, MEMBRANE_MAX, SHIFT_MAX, WEIGHT_EXPONENT_MAX
from spk2loihi.models.affine import ScoreAffine
from spk2loihi.models.count_product import ByteWeight, Columns, takes_bytes
from spk2loihi.models.neuron import FireGate, Threshold, round_ste
from spk2loihi.models.synaptic_linear import Synapses, SynapticLinear

#: Of the membrane, for the worst-case drive before its parts are rounded.
_DRIVE_SHARE = 0.96
#: Largest |bias| in units of U: three digits of base 128 hold it (`spk2loihi.chip`), and the membrane has room for it.
PAYLOAD_BIAS_MAX = 2**20


def snap(ratio: Tensor) -> tuple[Tensor, int]:
    """Weights (of ``ratio``'s shape) and shift m of the synapses nearest to ``ratio`` > 0: ``weight / 2**m``.

    Applied to its own result it changes nothing.
    """
    m = _shift(ratio)
    return (ratio.double() * 2.0**m).round().clamp(1, EXCITATORY_WEIGHT_MAX), m


def _shift(ratio: Tensor) -> int:
    return int((EXCITATORY_WEIGHT_MAX / ratio.detach().double().max()).log2().floor().clamp(1, SHIFT_MAX))


class _Send(torch.autograd.Function):
    """Payloads, with the gradient of the unrounded ones; what the range gate stops has none."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, ratio: Tensor, low: int, limit: int) -> Tensor:
        ctx.save_for_backward(drive, ratio)
        ctx.low, ctx.limit = low, limit
        n = torch.mul(drive, ratio.to(drive.dtype)).add_(0.5).floor_()
        n.clamp_(min=low) if low == 0 else None
        return n.mul_(n.abs() <= limit)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        drive, ratio = ctx.saved_tensors
        here = ratio.to(drive.dtype)
        value = drive * here
        passed = (value.abs() <= ctx.limit + 0.5) if ctx.low else (value > 0) & (value <= ctx.limit + 0.5)
        grad = grads[0] * passed
        grad_ratio = None
        if ctx.needs_input_grad[1]:
            wide = torch.promote_types(drive.dtype, torch.float32)
            grad_ratio = (grad.to(wide) * drive.to(wide)).sum_to_size(_like(ratio, drive)).view_as(ratio)
        return grad * here, grad_ratio, None, None


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
        if unit is None:  # after a function of the teacher, which fades out
            return cast(Tensor, _Send.apply(drive, 1 / self.spike_value, self.low, self.timesteps))
        raw = unit / self.spike_value
        weight, m = snap(raw.detach())
        if not self.training and not torch.is_grad_enabled():
            return self._exact(drive, weight, m)
        ratio = raw + ((weight / 2.0**m).to(raw.dtype) - raw).detach()
        return cast(Tensor, _Send.apply(drive, ratio, self.low, self.timesteps))

    def _exact(self, drive: Tensor, weight: Tensor, m: int) -> Tensor:
        half = 2 * ((2.0**m + 2 * weight) / (4 * weight)).floor()
        u = drive.double() + half
        if not self.signed:
            u = u.clamp(min=0)
        v = (u * weight / 2.0**m).floor()
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


class PayloadLinear(SynapticLinear):
    """Token-wise synapses with a scale for each neuron, from payloads to the drive of a `PayloadGate`.

    The drive is ``U = 2 W_int n + b_int + skip n_skip``, with ``W_int`` of ``bits`` signed bits: synapses of mixed
    signs have even weights, so all of U is even. Readouts, whose neurons are compared with one another, have one scale.
    """

    def set_exponents(self) -> None:
        """Columns have no exponents of their own; where weights have few bits, the best step is found."""
        if self.low_bits:
            self._set_step(self.weight)

    def synapses(
        self,
        in_value: Tensor,
        skip_value: Tensor | None = None,
        gain: Tensor | None = None,
        shift: Tensor | None = None,
        out_value: Tensor | None = None,
        pack: bool = False,
    ) -> Synapses:
        """As `SynapticLinear.synapses`; ``out_value`` is the float value of one unit of the stage's own payload.

        The unit is (d_out,), or a scalar for a readout; bias and weights are in units of U, the bias of a whole token.
        """
        weight, bias = self.folded(gain, shift)
        if not self.quantised:
            skip = None if skip_value is None else skip_value * (1.0 if gain is None else gain) / in_value
            return Synapses(weight, bias / in_value, bias / in_value, in_value.expand(len(weight)), skip)
        skipped = torch.zeros_like(bias) if skip_value is None else skip_value * (1.0 if gain is None else gain)
        others = (self.timesteps * skipped.abs() + bias.abs()).detach()
        scale = self._row_scale(weight.detach(), others, in_value.detach(), out_value)  # (d_out,)
        unit = scale * in_value / 2
        bias = bias / unit
        skip = None
        if skip_value is not None:
            skip = round_residual_ste(skipped / unit)
        rows, columns = scale[:, None] if scale.ndim else scale, torch.exp2(self.column_exponent)
        pack = pack and takes_bytes(weight)
        rounded, packed = self.integer_weight(weight, rows, rows * columns, columns, pack)
        bias = 2 * round_ste(bias.clamp(-PAYLOAD_BIAS_MAX, PAYLOAD_BIAS_MAX) / 2)
        whole = None if packed is None else ByteWeight(packed, Columns(), scale=2)
        return Synapses(2 * rounded, bias, bias, unit, skip, whole)

    def _row_scale(self, weight: Tensor, others: Tensor, in_value: Tensor, out_value: Tensor | None) -> Tensor:
        """Float value of a mantissa of 1, a row: fits the largest weight, the membrane, a whole requantising weight.

        Args:
            others: the most that residual and bias add to the drive, (d_out,) float values.
        """
        magnitudes = weight.abs()
        scale = self.step_ratio * magnitudes.mean(1) if self.low_bits else magnitudes.amax(1) / self.largest
        sums = magnitudes.sum(1) if not self.binary else scale * weight.shape[1]
        most = self.timesteps * sums + others / in_value
        scale = torch.maximum(scale, 2 * most / (_DRIVE_SHARE * MEMBRANE_MAX)).clamp(min=1e-8)
        if out_value is None:
            return scale.max()
        ratio = (scale * in_value / (2 * out_value.detach())).double()
        m = _shift(ratio)
        whole = (ratio * 2.0**m - 1e-6).ceil().clamp(1, EXCITATORY_WEIGHT_MAX)
        return (whole / 2.0**m * 2 * out_value.detach() / in_value).to(weight.dtype)

    def drive(
        self, counts: Tensor, steps: float, synapses: Synapses, skip_counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Drive U (..., d_out) of payloads (..., d_in), and the float value of its unit; ``steps`` does not matter."""
        return synapses.summed(counts, synapses.bias, synapses.packed, skip_counts), synapses.unit


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
