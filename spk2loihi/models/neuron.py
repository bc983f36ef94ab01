"""The spiking neuron at equilibrium: soft-reset integrate-and-fire behind a fire gate, with its gradients.

A soft-reset IF neuron that is given its whole drive U, starts at theta/2 and then fires for T steps emits
``n = clip(floor((U + theta/2) / theta), -T, T)`` spikes: the equilibrium rate ``clip(U / (T theta), -1, 1)`` rounded
to the nearest n/T. Reset: by subtraction of theta (addition after a -1 spike). Comparison: ``u >= theta`` fires +1,
``u < 0`` fires -1. No leak. Rounding of ``theta/2``: down.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

#: Largest exponent of a synapse's weight (Loihi's wgtExp is a signed 4-bit number).
MAX_WEIGHT_EXPONENT = 7


#: Threshold of every stage with a soma function, whose results are rounded to this fraction of an output spike.
#: Times T = 127 (the largest graded int8 count) it still fits the 17 bits of netx `vThMant`: pipelined needs that.
SOMA_THRESHOLD = 1024


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
        grad_threshold = -(torch.dot(grad.flatten(), drive.flatten()) / bound) if ctx.needs_input_grad[1] else None
        return grad, grad_threshold, None, None, None


class _RoundWeight(torch.autograd.Function):
    """``clip(round(W / (scale * 2**e))) * 2**e`` with e per column, and a straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor, column_scale: Tensor, largest: int) -> Tensor:
        ctx.scale = scale
        return torch.div(weight, scale * column_scale).round_().clamp_(-largest, largest).mul_(column_scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] / ctx.scale, None, None, None


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
        """Threshold in units of ``unit`` (the float value of 1 in U), rounded to an integer >= 1."""
        return round_ste(self.spike_value / unit).clamp(min=1)

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


class SynapticLinear(nn.Linear):
    """Token-wise synapses: mantissas of ``bits`` signed bits, an exponent per input channel, an integer bias a step.

    Works on spike counts: the drive of ``n_in`` over ``steps`` steps is ``U = W_int n_in + steps * b_int`` with
    ``W_int = round(W / (s 2**e)) 2**e`` and ``b_int = round(b / (s * theta_in))``; one unit of U is
    ``s * theta_in / T``. The exponents (Loihi's wgtExp, shared by the synapses of an axon) are zero until
    `set_exponents` gives columns of large weights one of their own; s is one scalar a tensor.
    """

    column_exponent: Tensor

    def __init__(self, in_features: int, out_features: int, bits: int, timesteps: int, quantised: bool) -> None:
        super().__init__(in_features, out_features)
        self.largest = 2 ** (bits - 1) - 1
        self.timesteps = timesteps
        self.quantised = quantised
        self.register_buffer("column_exponent", torch.zeros(in_features))

    @torch.no_grad()
    def set_exponents(self) -> None:
        """Columns whose largest weight exceeds the median column's get the exponent that makes up for it, at most 7."""
        column = self.weight.abs().amax(0)
        base = column.median().clamp(min=1e-8)
        self.column_exponent.copy_((column / base).clamp(min=1.0).log2().ceil().clamp(max=MAX_WEIGHT_EXPONENT))

    def scale(self, in_value: Tensor, skip_value: Tensor | None = None) -> Tensor:
        """Float value of weight 1. With a skip connection it is enlarged, by less than 1 %, until the skip's weight
        ``skip_value / (scale * in_value)`` is exactly ``mantissa * 2**exponent`` with an 8-bit mantissa."""
        if not self.quantised:
            return torch.ones((), dtype=self.weight.dtype, device=self.weight.device)
        column = torch.maximum(-self.weight.detach().amin(0), self.weight.detach().amax(0))
        scale = (column / torch.exp2(self.column_exponent)).max().clamp(min=1e-8) / self.largest
        if skip_value is None:
            return scale
        ratio = (skip_value / in_value).detach()
        mantissa, exponent = skip_weight(float(ratio / scale))
        return ratio / (mantissa * 2**exponent)

    def integer_weight(self, scale: Tensor) -> Tensor:
        """(d_out, d_in), integers as floats: mantissa times 2**exponent."""
        if not self.quantised:
            return self.weight / scale
        return cast(Tensor, _RoundWeight.apply(self.weight, scale, torch.exp2(self.column_exponent), self.largest))

    def integer_bias(self, unit: Tensor) -> Tensor:
        """(d_out,), added once per step; ``unit`` is the float value of one unit of U."""
        per_step = self.bias / (unit * self.timesteps)
        return round_ste(per_step) if self.quantised else per_step

    def drive(
        self, counts: Tensor, steps: int, in_value: Tensor, skip: tuple[Tensor, Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Summed drive U (..., d_out) of ``counts`` (..., d_in) over ``steps`` steps, and the float value of its unit.

        Args:
            in_value: float value of one input spike.
            skip: counts (..., d_out), spike value and channel scale (d_out,) of a one-to-one residual group.
        """
        scale = self.scale(in_value, None if skip is None else skip[1])
        unit = scale * in_value
        u = nn.functional.linear(counts, self.integer_weight(scale), steps * self.integer_bias(unit))
        if skip is not None:
            weight = skip[1] / unit
            u = u + skip[0] * ((round_ste(weight) if self.quantised else weight) * skip[2])
        return u, unit


def skip_weight(ratio: float) -> tuple[int, int]:
    """Mantissa (at most 254, where mixed-sign netx weights end) and exponent of the largest representable skip weight
    not above ``ratio``, at least 1."""
    exponent = max(0, math.floor(math.log2(max(ratio, 1.0))) - 7)
    return max(1, min(254, math.floor(ratio / 2**exponent))), exponent
