"""The spiking neuron at equilibrium: soft-reset integrate-and-fire behind a fire gate, with its gradients.

A soft-reset IF neuron that is given its whole drive U, starts at theta/2 and then fires for T steps emits
``n = clip(floor((U + theta/2) / theta), -T, T)`` spikes: the equilibrium rate ``clip(U / (T theta), -1, 1)`` rounded
to the nearest n/T. Reset: by subtraction of theta (addition after a -1 spike). Comparison: ``u >= theta`` fires +1,
``u < 0`` fires -1. No leak. Rounding of ``theta/2``: down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from spk2loihi.limits import SOMA_THRESHOLD

TOLERATED_ERROR = 0.02
"""Squared error of whole counts that a threshold may start with, as a share of the mean square of what they stand for.

The larger a threshold, the fewer spikes. On SST-2 (T = 16, docs/results.md) thresholds of the least error end with 1.7
times the SynOps of this one, and a score within the spread of seeds.
"""

_CANDIDATES = 90  # thresholds that calibration tries, from a hundredth of the largest value to ten times it
_SAMPLE = 50_000  # values that it looks at


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def round_ste(x: Tensor) -> Tensor:
    """Round half to even; straight-through gradient 1."""
    return cast(Tensor, _Round.apply(x))


def as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """``x.to(dtype)``, which is an operator even where there is nothing to do."""
    return x if x.dtype == dtype else x.to(dtype)


_WIDE = (torch.float32, torch.float64)


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """What its numbers are added up in."""
    return dtype if dtype in _WIDE else torch.float32


def constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor | float:
    """A number for operators of a CPU, which convert those of Python each time anew, in four more operators.

    Not where ``dtype`` is one of 16 bits, in which operators take numbers unrounded.
    """
    return _constant(value, dtype) if device.type == "cpu" and dtype in _WIDE else value


@lru_cache(maxsize=256)
def _constant(value: float, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype)


@dataclass(frozen=True)
class Threshold:
    """Of one gate: an integer in units of U, or theta/T after a soma function, and the same as a number of Python.

    Reading a number back from a GPU waits for it, so the numbers of all gates are read at once.
    """

    value: Tensor
    number: float


class _Fire(torch.autograd.Function):
    """Spike counts of a gate, with the gradient of the unrounded equilibrium (straight-through for the rounding).

    In place and fused where torch allows: training time is bound by such passes over memory, not by matrix products.
    """

    @staticmethod
    def forward(ctx: Any, drive: Tensor, threshold: Tensor, number: float, soma: bool, low: int, high: int) -> Tensor:
        """``soma``: the drive is the float value of a soma function, rounded first as its integer twin is."""
        ctx.save_for_backward(drive, threshold)
        ctx.low, ctx.high, ctx.number = low, high, number
        kind = drive.dtype, drive.device
        if soma:
            per_value = as_type(threshold, drive.dtype).reciprocal() * constant(SOMA_THRESHOLD, *kind)
            units = (drive * per_value).round_()
            n = units.add_(constant(SOMA_THRESHOLD // 2, *kind)).mul_(constant(1 / SOMA_THRESHOLD, *kind)).floor_()
        else:
            n = (drive + constant(number // 2, *kind)).div_(threshold).floor_()
        return n.clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        drive, threshold = ctx.saved_tensors
        bound = ctx.number
        # grad where low < drive / threshold < high, else 0
        grad = torch.ops.aten.hardtanh_backward(grads[0], drive, ctx.low * bound, ctx.high * bound)
        grad.div_(threshold if threshold.dtype == grad.dtype else bound)
        if not ctx.needs_input_grad[1]:
            return grad, None, None, None, None, None
        # in float64 where the drive is, else float32: a sum in bfloat16 is slow, and off by percents
        wide = wide_type(drive.dtype)
        product = torch.dot(as_type(grad.flatten(), wide), as_type(drive.flatten(), wide))
        grad_threshold = -(product / as_type(threshold, wide))
        return grad, grad_threshold, None, None, None, None


class FireGate(nn.Module):
    """Threshold and fire gate of one population; the threshold is learned, one scalar (netx allows one a layer).

    A count n of channel c stands for the float value ``n * threshold / T * 2**channel_exponent[c]``. The exponents are
    zero until `spk2loihi.models.equalise` sets them; they are folded into the soma function before and the weights
    after the gate, so the neuron itself knows nothing of them.

    Args:
        quantised: the threshold is an integer in units of U, and rates are rounded to n/T.
        channels: width of a population with a soma function, whose channels may be equalised; None for the others.
        rounds: False: rates are not rounded, as inside the fixed point of feedback; the threshold still is.
    """

    channel_exponent: Tensor

    def __init__(
        self, timesteps: int, signed: bool, quantised: bool, channels: int | None = None, rounds: bool = True
    ) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.signed = signed
        self.quantised = quantised
        self.rounds = rounds
        self.log_threshold = nn.Parameter(torch.zeros(()))
        self.calibrating = False  # its stage sets the threshold from every drive
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
        if self.quantised:
            return integer_thresholds(self.spike_value, unit)
        return self.spike_value / unit

    def forward(self, drive: Tensor, unit: Tensor | None = None, threshold: Threshold | None = None) -> Tensor:
        """Spike counts, same shape as ``drive``.

        Args:
            drive: integers in units of ``unit``; or, where ``unit`` is None (after a soma function), float values.
            threshold: of the gate where it is known already.
        """
        if self.passing or not self.quantised:
            scaled = drive / self.spike_value if unit is None else drive * (unit / self.spike_value)
            return scaled if self.passing else scaled.clamp(self.low, self.timesteps)
        if not self.rounds:
            assert unit is not None  # no stage with a soma function has feedback
            return (drive / self.integer_threshold(unit)).clamp(self.low, self.timesteps)
        if threshold is None:
            value = self.spike_value if unit is None else self.integer_threshold(unit)
            threshold = Threshold(value, float(value.detach()))
        return cast(
            Tensor,
            _Fire.apply(drive, threshold.value, threshold.number, unit is None, self.low, self.timesteps),
        )

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set the largest threshold with a squared error of at most `TOLERATED_ERROR`; if none has, that of the least.

        Args:
            values: what the gate gets of neurons that exist, in any shape.
        """
        flat = values.flatten().float()
        if len(flat) > _SAMPLE:  # by chance: a stride may meet some channels alone
            chosen = torch.randint(len(flat), (_SAMPLE,), generator=torch.Generator().manual_seed(0))
            flat = flat[chosen.to(flat.device)]
        largest = flat.abs().max() if self.signed else flat.max()
        if largest <= 0:
            return
        thresholds = largest * torch.logspace(-2, 1, _CANDIDATES, device=flat.device)
        errors = torch.stack([self._error(flat, threshold) for threshold in thresholds])
        allowed = torch.maximum(errors.min(), flat.square().mean() * TOLERATED_ERROR)
        self.log_threshold.copy_(thresholds[errors <= allowed].max().log())

    def _error(self, values: Tensor, threshold: Tensor) -> Tensor:
        step = threshold / self.timesteps
        return ((values / step).round().clamp(self.low, self.timesteps) * step - values).square().mean()


def integer_thresholds(values: Tensor, units: Tensor) -> Tensor:
    """Thresholds, integers >= 1 with straight-through gradients, of gates of these spike values and units of U."""
    return round_ste(values / units).clamp(min=1)
