"""Firing of some columns of a stage, whatever it is, for the loops of a network."""

from __future__ import annotations

from spk2loihi.compiled import Bytes, Floats, Integers, compiled
from spk2loihi.simulators.emulator.payload_firing import fire_payload_rows
from spk2loihi.simulators.emulator.program_arrays import (
    AFFINE,
    DRIVES,
    GELU,
    LAYER_NORM,
    PRODUCTS,
    SHORT_AFFINE,
    Program,
    Record,
)
from spk2loihi.simulators.emulator.soma_kernels import fire_affine, fire_gelu, fire_layer_norm, fire_short_affine


@compiled
def fire_columns(program: Program, stage: Record, u: Floats, column: int, out: Bytes, totals: Integers) -> None:
    """Drives (rows, d) to bytes of counts (rows, d or less), which are those from ``column`` on; ``totals`` are added to."""
    d, zero, most, theta = out.shape[1], stage.zero, program.most, stage.threshold
    if stage.firing == SHORT_AFFINE:
        fire_short_affine(u, stage.scale, stage.offset, zero, most, out)
    elif stage.firing == AFFINE:
        fire_affine(u, stage.scale, stage.offset, zero, most, out)
    elif stage.firing == LAYER_NORM:
        gamma, beta = program.floats[stage.at : stage.at + d], program.floats[stage.also_at : stage.also_at + d]
        whole = program.whole[stage.whole_at : stage.whole_at + 2 * d]
        fire_layer_norm(u, gamma, beta, stage.doubt, whole[:d], whole[d:], theta, zero, most, out)
    elif stage.firing == GELU:
        gain = program.floats[stage.at + column : stage.at + column + d]
        exponent = program.whole[stage.whole_at + column : stage.whole_at + column + d]
        multipliers = stage.scale_mantissa, stage.scale_shift, stage.gain_mantissa, stage.gain_shift
        fire_gelu(u, stage.scale, gain, stage.offset, stage.doubt, multipliers, exponent, theta, zero, most, out)
    else:
        half = program.whole[stage.whole_at + column : stage.whole_at + column + d]
        start = stage.whole_at + stage.width + column
        weight, messages = program.whole[start : start + d], totals[DRIVES:PRODUCTS]
        relu, chip = stage.relu != 0, stage.chip != 0
        fire_payload_rows(u, half, weight, stage.shift, relu, stage.limit, chip, zero, out, messages)
