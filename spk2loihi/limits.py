"""Limits of the chip, of Lava's models of it, and of netx: each named once, with source and unit."""

from __future__ import annotations

#: Bits of the membrane, signed. lava.proc.lif.models.AbstractPyLifModelFixed.uv_bitwidth (Loihi 1 and 2).
MEMBRANE_BITS = 24
#: Largest |membrane| (units of U).
MEMBRANE_MAX = 2 ** (MEMBRANE_BITS - 1) - 1
#: Bits of netx `vThMant`, unsigned. lava.proc.lif.models.PyLifModelBitAcc.
THRESHOLD_BITS = 17
THRESHOLD_MAX = 2**THRESHOLD_BITS - 1
#: Bits of a bias mantissa, signed. lava.proc.lif.models.AbstractPyLifModelFixed.bias_mant.
BIAS_BITS = 13
BIAS_MAX = 2 ** (BIAS_BITS - 1) - 1
#: Largest weight mantissa of a mixed-sign synapse group. lava.lib.dl.netx.utils.optimize_weight_bits.
WEIGHT_MAX = 254
WEIGHT_MIN = -256
#: Largest shared weight exponent of a synapse group. Loihi weight exponents are signed 4-bit (Davies et al. 2018).
WEIGHT_EXPONENT_MAX = 7
#: Longest synaptic delay, steps. lava.lib.dl.netx.utils.num_delay_bits.
DELAY_MAX = 62
