"""Firing of some columns of a stage, whatever it is, for the loops of a network."""

from __future__ import annotations

from spk2loihi.compiled import Bytes, Floats, Integers, inlined
from spk2loihi.simulators.emulator.payload_firing import fire_payload_rows
from spk2loihi.simulators.emulator.program_arrays import (
    DRIVES,
    GELU,
    LAYER_NORM,
    PAYLOAD,
    PRODUCTS,
    SHORT_AFFINE,
    Program,
    Record,
)
from spk2loihi.simulators.emulator.soma_kernels import fire_affine, fire_gelu, fire_layer_norm, fire_short_affine


@inlined
def fire_linear(
    program: Program, stage: Record, u: Floats, out: Bytes, first: int, width: int, totals: Integers
) -> None:
    """``width`` columns of drives to those of ``out`` (rows, d) from ``first`` on; ``totals`` are added to."""
    d, zero, most, theta = stage.width, stage.zero, program.most, stage.threshold
    if stage.firing == SHORT_AFFINE:
        fire_short_affine(u, stage.scale, stage.offset, zero, most, out, first, width)
    elif stage.firing == LAYER_NORM:
        gamma, beta = program.floats[stage.at : stage.at + d], program.floats[stage.also_at : stage.also_at + d]
        whole, also = (
            program.whole[stage.whole_at : stage.whole_at + d],
            program.whole[stage.whole_at + d : stage.whole_at + 2 * d],
        )
        fire_layer_norm(u, gamma, beta, stage.doubt, whole, also, theta, zero, most, out)
    elif stage.firing == GELU:
        gain, exponent = program.floats[stage.at : stage.at + d], program.whole[stage.whole_at : stage.whole_at + d]
        multipliers = stage.scale_mantissa, stage.scale_shift, stage.gain_mantissa, stage.gain_shift
        fire_gelu(
            u, stage.scale, gain, stage.offset, stage.doubt, multipliers, exponent, theta, zero, most, out, first, width
        )
    else:
        fire_plain(program, stage, u, out, first, width, totals)


@inlined
def fire_plain(
    program: Program, stage: Record, u: Floats, out: Bytes, first: int, width: int, totals: Integers
) -> None:
    """The same of stages that have no soma function but an affine one."""
    d = stage.width
    if stage.firing == PAYLOAD:
        half, weight = (
            program.whole[stage.whole_at : stage.whole_at + d],
            program.whole[stage.whole_at + d : stage.whole_at + 2 * d],
        )
        fire_payload_rows(
            u, half, weight, stage.shift, stage.relu != 0, stage.limit, stage.chip != 0, stage.zero, out,
            totals[DRIVES:PRODUCTS], first, width,
        )  # fmt: skip
    else:
        fire_affine(u, stage.scale, stage.offset, stage.zero, program.most, out, first, width)
