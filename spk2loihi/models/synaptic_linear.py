"""Synapses of integer weights, trained as the chip will have them: those of all stages are rounded at once.

What weights, biases and residuals round to depends on parameters alone. So a step computes it once, for all stages
together (`integer_synapses`): scales, units and biases as vectors over the stages, and two passes over each matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from spk2loihi.limits import BIAS_MAX, WEIGHT_EXPONENT_MAX, WEIGHT_MAX
from spk2loihi.models.count_product import ByteWeight, Columns, byte_columns, count_product, takes_bytes
from spk2loihi.models.neuron import round_ste

#: From this many bits the largest weight sets a tensor's scale; with fewer that would waste the levels.
_FULL_RANGE_BITS = 5

#: Bits of a residual's weight from which nothing would be left of the others on its scale.
_WIDEST_SKIP = 30

_LEAST_SCALE = 1e-8  # of a matrix of zeros


class _RoundWeight(torch.autograd.Function):
    """``clip(round(W / divisor)) * 2**e``, where the divisor of a column is ``scale * 2**e``; straight-through."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        scale: Tensor,
        divisor: Tensor,
        columns: Tensor,
        largest: int,
        binary: bool,
        pack: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """W_int, and where ``pack`` its mantissas as bytes."""
        ctx.scale = scale
        if binary:
            mantissa = torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)
        else:
            mantissa = torch.div(weight, divisor).round_().clamp_(-largest, largest)
        packed = None
        if pack:
            packed = mantissa.to(torch.int8)
            ctx.mark_non_differentiable(packed)
        return mantissa.mul_(columns), packed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0] / ctx.scale, None, None, None, None, None, None


@dataclass(frozen=True)
class Synapses:
    """Integers (as floats, with straight-through gradients) of one linear drive, and the float value of its unit."""

    weight: Tensor  # (d_out, d_in), mantissa times 2**column_exponent
    bias: Tensor  # (d_out,), added once a step
    window_bias: Tensor  # (d_out,), T times that
    unit: Tensor  # float value of 1 in U; (d_out,) where neurons have scales of their own
    skip: Tensor | None  # (d_out,), of the one-to-one residual group
    packed: ByteWeight | None = None  # the weight, for counts of a whole window

    def summed(
        self, counts: Tensor, bias: Tensor, packed: ByteWeight | None, skip_counts: Tensor | None = None
    ) -> Tensor:
        """Drive U (..., d_out) of ``counts`` (..., d_in), in bytes where ``packed`` is the weight."""
        if packed is None:
            u = nn.functional.linear(counts, self.weight, bias)
        else:
            u = count_product(counts, self.weight, packed) + bias
        if skip_counts is None:
            return u
        assert self.skip is not None
        return u + skip_counts * self.skip


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

    def integer_weight(
        self, weight: Tensor, scale: Tensor, divisor: Tensor, columns: Tensor, pack: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """W_int of ``weight``, perhaps the module's own times a gain, with a straight-through gradient.

        Args:
            scale: s, broadcastable to ``weight``.
            divisor: s times ``columns``.
            columns: 2**column_exponent (d_in,).
            pack: also give its mantissas, as bytes.
        """
        rounded = _RoundWeight.apply(weight, scale, divisor, columns, self.largest, self.binary, pack)
        return cast("tuple[Tensor, Tensor | None]", rounded)

    def folded(self, gain: Tensor | None, shift: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias before rounding, an affine after the sum folded in."""
        weight: Tensor = self.weight if gain is None else self.weight * gain[:, None]
        bias: Tensor = self.bias if gain is None else self.bias * gain
        return weight, bias if shift is None else bias + shift

    def synapses(
        self,
        in_value: Tensor,
        skip_value: Tensor | None = None,
        gain: Tensor | None = None,
        shift: Tensor | None = None,
        out_value: Tensor | None = None,
        pack: bool = False,
    ) -> Synapses:
        """What the drive of these synapses is made of.

        Args:
            in_value: float value of one input spike.
            skip_value: float values of one spike of the residual's channels, (d_out,).
            gain, shift: (d_out,) of an affine after the sum, folded into weights, residual and bias.
            out_value: float value of one spike of the stage itself; matters to `PayloadLinear` alone.
            pack: inputs will be whole counts, of bytes.
        """
        if self.quantised:
            return self.joined([Part(self, skip_value, gain, shift)], in_value[None], [out_value], pack)[0]
        return self._unrounded(in_value, skip_value, gain, shift)

    @staticmethod
    def joined(
        parts: Sequence[Part], in_values: Tensor, out_values: Sequence[Tensor | None], pack: bool
    ) -> list[Synapses]:
        """`synapses` of quantised modules of one T, all at once; values (parts,), and one each, None of a readout."""
        return integer_synapses(parts, in_values, pack)

    def _unrounded(
        self, in_value: Tensor, skip_value: Tensor | None, gain: Tensor | None, shift: Tensor | None
    ) -> Synapses:
        weight, bias = self.folded(gain, shift)
        skip = None
        if skip_value is not None:
            skip = skip_value / in_value if gain is None else gain * skip_value / in_value
        return Synapses(weight, bias / (in_value * self.timesteps), bias / in_value, in_value, skip)

    def drive(
        self, counts: Tensor, steps: float, synapses: Synapses, skip_counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Drive U (..., d_out) of ``counts`` (..., d_in) over ``steps`` steps, and the float value of its unit."""
        whole = steps == self.timesteps
        bias = synapses.window_bias if whole else steps * synapses.bias
        return synapses.summed(counts, bias, synapses.packed if whole else None, skip_counts), synapses.unit


@dataclass(frozen=True)
class Part:
    """A module in `integer_synapses`; its other fields are as in `SynapticLinear.synapses`."""

    module: SynapticLinear
    skip_value: Tensor | None = None
    gain: Tensor | None = None
    shift: Tensor | None = None


def integer_synapses(parts: Sequence[Part], in_values: Tensor, pack: bool = False) -> list[Synapses]:
    """The synapses of quantised modules of one T, given the float value of one input spike of each, (parts,).

    Args:
        pack: inputs will be whole counts, of bytes.
    """
    timesteps = parts[0].module.timesteps
    weights, biases = zip(*(part.module.folded(part.gain, part.shift) for part in parts), strict=True)
    outputs, inputs = tuple(len(b) for b in biases), tuple(part.module.in_features for part in parts)
    bias, of_output = torch.cat(biases), parts_of(outputs, in_values.device)  # (N,), N neurons of all parts
    with torch.no_grad():
        columns = torch.exp2(torch.cat([part.module.column_exponent for part in parts]))
        of_input = parts_of(inputs, in_values.device)
        scale = _weight_scales(parts, weights, columns, of_input)  # (parts,)
        scale = torch.maximum(scale, largest_of(bias, of_output, len(parts)) / (in_values * timesteps * BIAS_MAX))
    plain = [i for i, part in enumerate(parts) if part.skip_value is not None and part.gain is None]
    folded = [i for i, part in enumerate(parts) if part.skip_value is not None and part.gain is not None]
    values = {i: skip_value_of(parts[i]) for i in plain + folded}
    for which, rule in ((plain, _scales_for_skips), (folded, _scales_for_folded_skips)):
        if which:
            joined = torch.stack([values[i].detach() for i in which])  # (which, d)
            scale[which] = rule(scale[which], in_values.detach()[which], joined)
    unit = scale * in_values
    skips: dict[int, Tensor] = {}
    if values:
        ratios = torch.stack(list(values.values())) / unit[list(values), None]
        skips = dict(zip(values, round_skip_ste(ratios), strict=True))
    per_step = round_ste(bias / (unit[of_output] * timesteps))
    powers = columns.split(inputs)
    pack = pack and takes_bytes(weights[0])
    rows = zip(
        parts,
        weights,
        scale.unbind(),
        (scale[of_input] * columns).split(inputs),
        powers,
        _byte_columns(columns, powers, timesteps) if pack else [None] * len(parts),
        per_step.split(outputs),
        (timesteps * per_step).split(outputs),
        unit.unbind(),
        strict=True,
    )
    found = []
    for i, (part, weight, s, divisor, column, taken, b, window, u) in enumerate(rows):
        rounded, mantissa = part.module.integer_weight(weight, s, divisor, column, taken is not None)
        packed = None if mantissa is None or taken is None else ByteWeight(mantissa, taken)
        found.append(Synapses(rounded, b, window, u, skips.get(i), packed))
    return found


def _byte_columns(joined: Tensor, powers: Sequence[Tensor], timesteps: int) -> Sequence[Columns | None]:
    """Of each part; ``joined`` are all ``powers``."""
    if bool((joined == 1).all()):
        return [Columns()] * len(powers)
    return [byte_columns(power, timesteps) for power in powers]


def skip_value_of(part: Part) -> Tensor:
    assert part.skip_value is not None
    return part.skip_value if part.gain is None else part.gain * part.skip_value


def _weight_scales(parts: Sequence[Part], weights: Sequence[Tensor], columns: Tensor, of_input: Tensor) -> Tensor:
    """Float value of weight 1, of each part."""
    if parts[0].module.low_bits:  # as are all of a network
        sizes = [part.module.in_features for part in parts]
        means = [(w.abs() / c).mean() for w, c in zip(weights, columns.split(sizes), strict=True)]
        return torch.stack([part.module.step_ratio for part in parts]) * torch.stack(means).clamp(min=_LEAST_SCALE)
    largest = torch.cat([torch.maximum(-w.amin(0), w.amax(0)) for w in weights]) / columns
    levels = torch.full((), parts[0].module.largest, dtype=largest.dtype, device=largest.device)
    return largest_of(largest, of_input, len(parts)).clamp(min=_LEAST_SCALE) / levels


@lru_cache(maxsize=64)
def parts_of(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Which part each of the joined vectors of these ``sizes`` belongs to."""
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(device)


def largest_of(x: Tensor, part: Tensor, parts: int) -> Tensor:
    """Largest magnitude in each part of ``x``, (parts,)."""
    return x.new_zeros(parts).scatter_reduce_(0, part, x.detach().abs(), "amax")


def _scales_for_folded_skips(scale: Tensor, in_value: Tensor, skip_value: Tensor) -> Tensor:
    """``scale`` (k,), enlarged until the residual's largest weight has an exponent that a synapse can have."""
    most = skip_value.abs().amax(1) / in_value
    return torch.maximum(scale, most / (WEIGHT_MAX << WEIGHT_EXPONENT_MAX))


def _scales_for_skips(scale: Tensor, in_value: Tensor, skip_value: Tensor) -> Tensor:
    """``scale`` (k,), enlarged until the residual's weights ``skip_value / (scale * in_value)``, (k, d), are exactly
    ``mantissa * 2**exponent`` with an 8-bit mantissa; channels differ by powers of two.

    By less than 1 %, or as much as it takes for the exponents of all channels to be those of a synapse.
    """
    least = skip_value.amin(1)
    ratio = least / in_value
    wanted = ratio / scale
    spread = (skip_value.amax(1) / least).log2().round()
    if bool(((spread > WEIGHT_EXPONENT_MAX) | (wanted > 2.0**_WIDEST_SKIP)).any()):
        raise ValueError(f"the weights of a residual are up to {float((wanted * 2**spread).max()):g} times the others")
    exponent = _skip_exponent(wanted.clamp(min=1.0)).clamp(max=WEIGHT_EXPONENT_MAX - spread)
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
