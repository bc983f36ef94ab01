"""The spiking neuron at equilibrium: soft-reset integrate-and-fire behind a fire gate, with its gradients.

A soft-reset IF neuron that is given its whole drive U, starts at theta/2 and then fires for T steps emits
``n = clip(floor((U + theta/2) / theta), -T, T)`` spikes: the equilibrium rate ``clip(U / (T theta), -1, 1)`` rounded
to the nearest n/T. Reset: by subtraction of theta (addition after a -1 spike). Comparison: ``u >= theta`` fires +1,
``u < 0`` fires -1. No leak. Rounding of ``theta/2``: down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from spk2loihi.limits import BIAS_MAX, SOMA_THRESHOLD, WEIGHT_EXPONENT_MAX, WEIGHT_MAX

#: From this many bits the largest weight sets a tensor's scale; with fewer that would waste the levels.
_FULL_RANGE_BITS = 5


#: Bits of a residual's weight from which nothing would be left of the others on its scale.
_WIDEST_SKIP = 30


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; straight-through gradient 1."""
    return x + (x.round() - x).detach()


class _Fire(torch.autograd.Function):
    """Spike counts of a gate, with the gradient of the unrounded equilibrium (straight-through for the rounding).

    In place and fused where torch allows: training time is bound by such passes over memory, not by matrix products.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, threshold: Tensor, soma: bool, low: int, high: int) -> Tensor:
        """``soma``: the drive is the float value of a soma function, rounded first as its integer twin is."""
        ctx.save_for_backward(drive, threshold)
        ctx.low, ctx.high = low, high
        if soma:
            units = (drive * (SOMA_THRESHOLD / threshold.to(drive.dtype))).round_()
            n = units.add_(SOMA_THRESHOLD // 2).div_(SOMA_THRESHOLD).floor_()
        else:
            n = (drive + (threshold / 2).floor()).div_(threshold).floor_()
        return n.clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        drive, threshold = ctx.saved_tensors
        bound = float(threshold)
        # grad where low < drive / threshold < high, else 0
        grad = torch.ops.aten.hardtanh_backward(grads[0], drive, ctx.low * bound, ctx.high * bound).div_(bound)
        if not ctx.needs_input_grad[1]:
            return grad, None, None, None, None
        # in float64 where the drive is, else float32: a sum in bfloat16 is slow, and off by percents
        wide = torch.promote_types(drive.dtype, torch.float32)
        grad_threshold = torch.dot(grad.flatten().to(wide), drive.flatten().to(wide)) / -bound
        return grad, grad_threshold, None, None, None


class _RoundWeight(torch.autograd.Function):
    """``clip(round(W / (scale * 2**e))) * 2**e`` with e per column, and a straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, column_scale: Tensor, largest: int, binary: bool) -> Tensor:
        ctx.scale = scale
        if binary:
            return torch.where(weight < 0, -column_scale, column_scale)
        return torch.div(weight, scale * column_scale).round_().clamp_(-largest, largest).mul_(column_scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] / ctx.scale, None, None, None, None


class FireGate(nn.Module):
    """Threshold and fire gate of one population; the threshold is learned, one scalar (netx allows one a layer).

    A count n of channel c stands for the float value ``n * threshold / T * 2**channel_exponent[c]``. The exponents are
    zero until `spk2loihi.models.equalise` sets them; they are folded into the soma function before and the weights
    after the gate, so the neuron itself knows nothing of them.

    Args:
        channels: width of a population with a soma function, whose channels may be equalised; None for the others.
    """

    channel_exponent: Tensor

    def __init__(self, timesteps: int, signed: bool, quantised: bool, channels: int | None = None) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.signed = signed
        self.quantised = quantised
        self.log_threshold = nn.Parameter(torch.zeros(()))
        self.calibrating = False  # set the threshold from every drive
        self.passing = False  # no rounding, no bounds
        self.register_buffer("channel_exponent", torch.zeros(channels or 0))

    @property
    def threshold(self) -> Tensor:
        """theta > 0, in the float units of the teacher's activations."""
        return self.log_threshold.exp()

    @property
    def spike_value(self) -> Tensor:
        """Float value of one spike: theta / T."""
        return self.threshold / self.timesteps

    @property
    def channel_scale(self) -> Tensor | None:
        """2**channel_exponent (d,), or None where channels are not equalised."""
        return torch.exp2(self.channel_exponent) if self.channel_exponent.numel() else None

    @property
    def low(self) -> int:
        return -self.timesteps if self.signed else 0

    def integer_threshold(self, unit: Tensor) -> Tensor:
        """Threshold in units of ``unit`` (the float value of 1 in U), rounded to an integer >= 1 if quantised."""
        threshold = self.spike_value / unit
        return round_ste(threshold).clamp(min=1) if self.quantised else threshold

    def forward(self, drive: Tensor, unit: Tensor | None = None) -> Tensor:
        """Spike counts, same shape as ``drive``.

        Args:
            drive: integers in units of ``unit``; or, where ``unit`` is None (after a soma function), float values.
        """
        if self.calibrating:
            self.calibrate(drive.detach() if unit is None else drive.detach() * unit.detach())
        if self.passing or not self.quantised:
            scaled = drive / self.spike_value if unit is None else drive * (unit / self.spike_value)
            return scaled if self.passing else scaled.clamp(self.low, self.timesteps)
        threshold = self.spike_value if unit is None else self.integer_threshold(unit)
        return cast(Tensor, _Fire.apply(drive, threshold, unit is None, self.low, self.timesteps))

    @torch.no_grad()
    def calibrate(self, values: Tensor, candidates: int = 40, sample: int = 50_000) -> None:
        """Set the threshold that represents ``values`` with the least squared error."""
        flat = values.flatten()
        flat = flat[:: max(1, flat.numel() // sample)]
        largest = flat.abs().max() if self.signed else flat.max()
        if largest <= 0:
            return
        best = (math.inf, self.threshold)
        for fraction in torch.linspace(0.05, 1.0, candidates):
            threshold = largest * fraction
            step = threshold / self.timesteps
            error = ((flat / step).round().clamp(self.low, self.timesteps) * step - flat).square().mean().item()
            if error < best[0]:
                best = (error, threshold)
        self.log_threshold.copy_(best[1].log())


@dataclass(frozen=True)
class Synapses:
    """Integers (as floats, with straight-through gradients) of one linear drive, and the float value of its unit."""

    weight: Tensor  # (d_out, d_in), mantissa times 2**column_exponent
    bias: Tensor  # (d_out,), added once a step
    unit: Tensor  # float value of 1 in U; (d_out,) where neurons have scales of their own
    skip: Tensor | None  # (d_out,), of the one-to-one residual group


class SynapticLinear(nn.Linear):
    """Token-wise synapses: mantissas of ``bits`` signed bits, an exponent per input channel, an integer bias a step.

    Works on spike counts: the drive of ``n_in`` over ``steps`` steps is ``U = W_int n_in + steps * b_int`` with
    ``W_int = round(W / (s 2**e)) 2**e`` and ``b_int = round(b / (s * theta_in))``; one unit of U is
    ``s * theta_in / T``. The exponents (Loihi's wgtExp, shared by the synapses of an axon) are zero until
    `set_exponents` gives columns of large weights one of their own; s is one scalar a tensor. From 5 bits it just fits
    the largest weight; below, it is the multiple of mean |W| that `set_exponents` found to lose least. Where a bias
    would pass 13 bits, as a regression's mean does, s is as much larger as that bias needs.

    ``bits`` 1 means weights of -1 and +1; 1.58 (log2 of 3; BitNet b1.58, arXiv 2402.17764) weights of -1, 0 and +1.
    """

    column_exponent: Tensor
    step_ratio: Tensor

    def __init__(self, in_features: int, out_features: int, bits: float, timesteps: int, quantised: bool) -> None:
        super().__init__(in_features, out_features)
        self.binary = bits == 1
        self.largest = 1 if bits < 2 else 2 ** (int(bits) - 1) - 1
        self.low_bits = bits < _FULL_RANGE_BITS
        self.timesteps = timesteps
        self.quantised = quantised
        self.register_buffer("column_exponent", torch.zeros(in_features))
        if self.low_bits:
            self.register_buffer("step_ratio", torch.ones(()))  # s / mean |W|

    @torch.no_grad()
    def set_exponents(self) -> None:
        """Columns of larger weights than the median column's get the exponent that makes up for it, at most 7.

        With many bits large means the largest weight, which sets the scale; with few the root mean square.
        """
        column = self.weight.square().mean(0).sqrt() if self.low_bits else self.weight.abs().amax(0)
        excess = (column / column.median().clamp(min=1e-8)).clamp(min=1.0).log2()
        self.column_exponent.copy_((excess.round() if self.low_bits else excess.ceil()).clamp(max=WEIGHT_EXPONENT_MAX))
        if self.low_bits:
            self._set_step(self.weight / torch.exp2(self.column_exponent))

    @torch.no_grad()
    def _set_step(self, flat: Tensor) -> None:
        """The multiple of mean |W| that loses least as the step of few bits."""
        ratios = torch.linspace(0.1, 2.0, 39, device=flat.device)
        errors = [(self._rounded(flat, s) * s - flat).square().sum() for s in ratios * flat.abs().mean()]
        self.step_ratio.copy_(ratios[torch.stack(errors).argmin()])

    def _rounded(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Mantissas of weights whose exponents are divided out."""
        if self.binary:
            return torch.where(weight < 0, -1.0, 1.0)
        return (weight / scale).round().clamp(-self.largest, self.largest)

    def _scale(self, weight: Tensor) -> Tensor:
        """Float value of weight 1."""
        if not self.quantised:
            return torch.ones((), dtype=weight.dtype, device=weight.device)
        columns = torch.exp2(self.column_exponent)
        if self.low_bits:
            return self.step_ratio * (weight.detach().abs() / columns).mean().clamp(min=1e-8)
        column = torch.maximum(-weight.detach().amin(0), weight.detach().amax(0))
        return (column / columns).max().clamp(min=1e-8) / self.largest

    def _integer_weight(self, weight: Tensor, scale: Tensor) -> Tensor:
        if not self.quantised:
            return weight / scale
        return cast(
            Tensor, _RoundWeight.apply(weight, scale, torch.exp2(self.column_exponent), self.largest, self.binary)
        )

    def synapses(
        self,
        in_value: Tensor,
        skip_value: Tensor | None = None,
        gain: Tensor | None = None,
        shift: Tensor | None = None,
        out_value: Tensor | None = None,
    ) -> Synapses:
        """What the drive of these synapses is made of.

        Args:
            in_value: float value of one input spike.
            skip_value: float values of one spike of the residual's channels, (d_out,).
            gain, shift: (d_out,) of an affine after the sum, folded into weights, residual and bias.
            out_value: float value of one spike of the stage itself; matters to `PayloadLinear` alone.
        """
        weight: Tensor = self.weight if gain is None else self.weight * gain[:, None]
        bias: Tensor = self.bias if gain is None else self.bias * gain
        if shift is not None:
            bias = bias + shift
        scale = self._scale(weight)
        if self.quantised:
            scale = torch.maximum(scale, bias.detach().abs().max() / (in_value.detach() * self.timesteps * BIAS_MAX))
        if skip_value is not None and self.quantised:
            if gain is None:
                scale = _scale_for_skip(scale, in_value, skip_value)
            else:
                most = (gain * skip_value).detach().abs().max() / in_value.detach()
                scale = torch.maximum(scale, most / (WEIGHT_MAX << WEIGHT_EXPONENT_MAX))
        unit = scale * in_value
        skip = None
        if skip_value is not None:
            ratio = skip_value / unit if gain is None else gain * skip_value / unit
            skip = round_skip_ste(ratio) if self.quantised else ratio
        per_step = bias / (unit * self.timesteps)
        return Synapses(
            self._integer_weight(weight, scale), round_ste(per_step) if self.quantised else per_step, unit, skip
        )

    def drive(
        self, counts: Tensor, steps: float, synapses: Synapses, skip_counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Drive U (..., d_out) of ``counts`` (..., d_in) over ``steps`` steps, and the float value of its unit."""
        u = nn.functional.linear(counts, synapses.weight, steps * synapses.bias)
        if skip_counts is not None:
            assert synapses.skip is not None
            u = u + skip_counts * synapses.skip
        return u, synapses.unit


def _scale_for_skip(scale: Tensor, in_value: Tensor, skip_value: Tensor) -> Tensor:
    """``scale`` enlarged until the residual's weight ``skip_value / (scale * in_value)`` is exactly ``mantissa *
    2**exponent`` with an 8-bit mantissa; channels differ by powers of two.

    By less than 1 %, or as much as it takes for the exponents of all channels to be those of a synapse.
    """
    ratio = (skip_value.min() / in_value).detach()
    wanted = float(ratio / scale)
    spread = float((skip_value.max() / skip_value.min()).detach().log2().round())
    if spread > WEIGHT_EXPONENT_MAX or wanted > 2.0**_WIDEST_SKIP:
        raise ValueError(f"the weights of a residual are up to {float(wanted) * 2**spread:g} times the others")
    exponent = _skip_exponent(torch.tensor(max(wanted, 1.0))).clamp(max=WEIGHT_EXPONENT_MAX - spread)
    mantissa = torch.floor(wanted / 2**exponent).clamp(1, WEIGHT_MAX)
    return ratio / (mantissa * 2**exponent)


def _skip_exponent(weight: Tensor) -> Tensor:
    """Exponent that leaves a residual weight at most 8 bits of mantissa."""
    return (weight.abs().clamp(min=1.0).log2().floor() - 7).clamp(min=0)


def round_skip_ste(weight: Tensor) -> Tensor:
    """Nearest ``mantissa * 2**exponent`` a residual synapse can have; straight-through gradient 1."""
    value = weight.detach()
    power = torch.exp2(_skip_exponent(value))
    rounded = (value / power).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) * power
    return weight + (rounded - value)


def skip_parts(weight: int) -> tuple[int, int]:
    """Mantissa and exponent of an integer that `round_skip_ste` made."""
    exponent = max(0, abs(weight).bit_length() - 8)
    mantissa = weight >> exponent
    if mantissa << exponent != weight:
        raise ValueError(f"residual weight {weight} needs more than 8 bits of mantissa")
    return mantissa, exponent
