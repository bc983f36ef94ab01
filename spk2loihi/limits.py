"""Number formats, and limits of the chip, of Lava's models of it and of netx: each named once, with source and unit."""

from __future__ import annotations

#: Bits of the membrane, signed. lava.proc.lif.models.AbstractPyLifModelFixed.uv_bitwidth (Loihi 1 and 2).
MEMBRANE_BITS = 24
#: Largest |membrane| (units of U).
MEMBRANE_MAX = 2 ** (MEMBRANE_BITS - 1) - 1
#: Bits of a decay, unsigned, in units of 2**-12 a step. lava.proc.lif.models.AbstractPyLifModelFixed.decay_shift; netx
#: `vDecay`.
DECAY_BITS = 12
DECAY_MAX = 2**DECAY_BITS - 1
#: Largest message of leaky attention, fractional bits included: 32 bits, signed, as Lava's channels hold.
TRACE_MAX = 2**31 - 1
#: Bits of netx `vThMant`, unsigned. lava.proc.lif.models.PyLifModelBitAcc.
THRESHOLD_BITS = 17
THRESHOLD_MAX = 2**THRESHOLD_BITS - 1
#: Bits of a bias mantissa, signed. lava.proc.lif.models.AbstractPyLifModelFixed.bias_mant.
BIAS_BITS = 13
BIAS_MAX = 2 ** (BIAS_BITS - 1) - 1
#: Largest weight mantissa of a mixed-sign synapse group. lava.lib.dl.netx.utils.optimize_weight_bits.
WEIGHT_MAX = 254
WEIGHT_MIN = -256
#: Bits a synaptic weight can have; 1.58 (log2 of 3) is ternary.
WEIGHT_BITS = (1, 1.58, 2, 3, 4, 5, 6, 7, 8)
#: Largest shared weight exponent of a synapse group. Loihi weight exponents are signed 4-bit (Davies et al. 2018).
WEIGHT_EXPONENT_MAX = 7
#: Longest synaptic delay, steps. lava.lib.dl.netx.utils.num_delay_bits.
DELAY_MAX = 62
#: Longest window, steps: a spike count travels as a signed byte.
TIMESTEPS_MAX = 127
#: Largest weight of synapses that are all excitatory, 8 bits. lava.utils.weightutils.clip_weights.
EXCITATORY_WEIGHT_MAX = 255
#: Largest |bias| of a streamed network: 2 times three signed digits of base 128, the weights of axons that carry 1, 128
#: and 128**2 for every token (`spk2loihi.chip`).
STREAM_BIAS_MAX = 2 * 127 * (1 + 128 + 128**2)
#: Longest right shift of a product: the weight exponents of Lava's synapses have no limit on the CPU, and a product of
#: 8 and 24 bits is 0 after so many.
SHIFT_MAX = 31
#: Bits of an embedding table's integers, signed: tables are read on the host, not from synapses.
EMBEDDING_BITS = 16
#: Threshold of every stage with a soma function, whose results are rounded to this fraction of an output spike. Times
#: `TIMESTEPS_MAX` it still fits the 17 bits of `vThMant`, which pipelined runs need.
SOMA_THRESHOLD = 1024

# I-BERT, table 1 (Kim et al. 2021, arXiv 2101.01321).
#: exp(p) ~ a (p + b)**2 + c on (-ln 2, 0].
EXP_POLYNOMIAL = (0.3585, 1.353, 0.344)
#: erf(x) ~ sgn(x) (a (min(|x|, -b) + b)**2 + 1).
ERF_POLYNOMIAL = (-0.2888, -1.769)
