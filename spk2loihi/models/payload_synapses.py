"""Synapses of the `stock` preset, which have a scale for each neuron: those of all stages are rounded at once.

As `spk2loihi.models.synaptic_linear` does it for the other presets, with vectors over the neurons of all stages.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spk2loihi.limits import EXCITATORY_WEIGHT_MAX, MEMBRANE_MAX
from spk2loihi.models.count_product import ByteWeight, Columns, takes_bytes
from spk2loihi.models.neuron import round_ste
from spk2loihi.models.payload import PAYLOAD_BIAS_MAX, Requantiser, round_residual_ste, shift_of
from spk2loihi.models.synaptic_linear import Part, Synapses, SynapticLinear, largest_of, parts_of, skip_value_of

#: Of the membrane, for the worst-case drive before its parts are rounded.
_DRIVE_SHARE = 0.96


class PayloadLinear(SynapticLinear):
    """Token-wise synapses with a scale for each neuron, from payloads to the drive of a `PayloadGate`.

    The drive is ``U = 2 W_int n + b_int + skip n_skip``, with ``W_int`` of ``bits`` signed bits: synapses of mixed
    signs have even weights, so all of U is even. Readouts, whose neurons are compared with one another, have one scale.
    """

    def set_exponents(self) -> None:
        """Columns have no exponents of their own; where weights have few bits, the best step is found."""
        if self.low_bits:
            self._set_step(self.weight)

    @staticmethod
    def joined(
        parts: Sequence[Part], in_values: Tensor, out_values: Sequence[Tensor | None], pack: bool
    ) -> list[Synapses]:
        """The unit is (d_out,), or a scalar for a readout; weights and the bias of a whole token are in units of U."""
        return payload_synapses(parts, in_values, out_values, pack)

    def _unrounded(
        self, in_value: Tensor, skip_value: Tensor | None, gain: Tensor | None, shift: Tensor | None
    ) -> Synapses:
        weight, bias = self.folded(gain, shift)
        skip = None if skip_value is None else skip_value * (1.0 if gain is None else gain) / in_value
        return Synapses(weight, bias / in_value, bias / in_value, in_value.expand(len(weight)), skip)

    def drive(
        self, counts: Tensor, steps: float, synapses: Synapses, skip_counts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Drive U (..., d_out) of payloads (..., d_in), and the float value of its unit; ``steps`` does not matter."""
        return synapses.summed(counts, synapses.bias, synapses.packed, skip_counts), synapses.unit


def payload_synapses(
    parts: Sequence[Part], in_values: Tensor, out_values: Sequence[Tensor | None], pack: bool = False
) -> list[Synapses]:
    """As `synaptic_linear.integer_synapses`.

    Args:
        in_values: float value of one unit of the input's payload, of each part, (parts,).
        out_values: the same of the stage's own payload; None of a readout.
    """
    weights, biases = zip(*(part.module.folded(part.gain, part.shift) for part in parts), strict=True)
    outputs = tuple(len(bias) for bias in biases)
    of_output = parts_of(outputs, in_values.device)  # (N,), N neurons of all parts
    bias, in_value = torch.cat(biases), in_values[of_output]
    skips = [
        bias.new_zeros(n) if part.skip_value is None else skip_value_of(part)
        for n, part in zip(outputs, parts, strict=True)
    ]
    skipped = torch.cat(skips)
    with torch.no_grad():
        others = parts[0].module.timesteps * skipped.abs() + bias.abs()
        scale = _scales(parts, weights, others, in_values, out_values, of_output)
    unit = scale * in_value / 2
    bias = 2 * round_ste((bias / unit).clamp(-PAYLOAD_BIAS_MAX, PAYLOAD_BIAS_MAX) / 2)
    skip = round_residual_ste(skipped / unit)
    pack = pack and takes_bytes(weights[0])
    twice = torch.full((1,), 2, dtype=scale.dtype, device=scale.device)  # all synapses are even
    rows = zip(
        parts, weights, scale[:, None].split(outputs), (scale / 2)[:, None].split(outputs), bias.split(outputs),
        unit.split(outputs), skip.split(outputs), out_values, strict=True,
    )  # fmt: skip
    found = []
    for part, weight, s, half, b, u, of_skip, out_value in rows:
        rounded, mantissa = part.module.integer_weight(weight, half, s, twice, pack)
        packed = None if mantissa is None else ByteWeight(mantissa, Columns(), scale=2)
        own = None if part.skip_value is None else of_skip
        found.append(Synapses(rounded, b, b, u[0] if out_value is None else u, own, packed))
    return found


def requantisers(units: Sequence[Tensor], out_values: Tensor) -> list[Requantiser]:
    """Of gates whose drives have these units, of any shape, and whose payloads these float values, (gates,)."""
    sizes, shapes = tuple(unit.numel() for unit in units), [unit.shape for unit in units]
    of_gate = parts_of(sizes, out_values.device)
    raw = torch.cat([unit.flatten() for unit in units]) / out_values[of_gate]
    power = _powers(raw.detach(), of_gate, len(units))
    joined = Requantiser.of(raw, power)
    assert joined.weight is not None
    each = zip(joined.value.split(sizes), joined.weight.split(sizes), power.split(sizes), shapes, strict=True)
    return [Requantiser(v.view(shape), 0.0, w.view(shape), p.view(shape)) for v, w, p, shape in each]


def _scales(
    parts: Sequence[Part], weights: Sequence[Tensor], others: Tensor, in_values: Tensor,
    out_values: Sequence[Tensor | None], of_output: Tensor,
) -> Tensor:  # fmt: skip
    """Float value of a mantissa of 1, (N,): fits the largest weight, the membrane, a whole requantising weight.

    Args:
        others: the most that residual and bias add to the drive, (N,) float values.
    """
    first, in_value = parts[0].module, in_values[of_output]
    magnitudes = [weight.abs() for weight in weights]
    if first.low_bits:  # as are all of a network
        scale = torch.cat([part.module.step_ratio * m.mean(1) for part, m in zip(parts, magnitudes, strict=True)])
    else:
        scale = torch.cat([m.amax(1) for m in magnitudes]) / first.largest
    if first.binary:
        inputs = torch.tensor([part.module.in_features for part in parts], device=scale.device)
        sums = scale * inputs[of_output]
    else:
        sums = torch.cat([m.sum(1) for m in magnitudes])
    most = first.timesteps * sums + others / in_value
    scale = torch.maximum(scale, 2 * most / (_DRIVE_SHARE * MEMBRANE_MAX)).clamp(min=1e-8)
    fires = torch.tensor([out is not None for out in out_values], device=scale.device)[of_output]
    shared = largest_of(scale, of_output, len(parts))[of_output]
    known = [in_values[0] if out is None else out for out in out_values]  # of a readout: not used
    out_value = torch.stack(known).detach()[of_output]
    ratio = (scale * in_value / (2 * out_value)).double()
    power = _powers(ratio, of_output, len(parts))
    whole = (ratio * power - 1e-6).ceil().clamp(1, EXCITATORY_WEIGHT_MAX)
    fitted = (whole / power * 2 * out_value / in_value).to(scale.dtype)
    return torch.where(fires, fitted, shared)


def _powers(ratios: Tensor, part: Tensor, parts: int) -> Tensor:
    """2**m of each ratio, with one m a part."""
    largest = largest_of(ratios, part, parts).tolist()
    powers = torch.tensor([2.0 ** shift_of(x) for x in largest], dtype=torch.float64, device=ratios.device)
    return powers[part]
