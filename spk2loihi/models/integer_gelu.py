"""GELU on integers, as the exported network has it, for evaluations of the student.

The drives of a layer's neurons are integers of one unit, so a few thousand values are all that GELU meets. Where floats
round one of them to another unit of 1/SOMA_THRESHOLD spike than the integer function does, and a count turns on it, it
does so wherever that drive occurs: in 0.01 % of a layer's counts, say, and what follows is another network. LayerNorm
and softmax depend on whole rows, which hardly ever come twice: they differ in single counts of millions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spk2loihi.limits import SOMA_THRESHOLD
from spk2loihi.models.neuron import FireGate
from spk2loihi.network.soma import X_BITS, Gelu, Multiplier


def integer_gelu(gate: FireGate, unit: Tensor) -> Gelu:
    """The function before ``gate``, whose drive stands for ``unit`` times its value."""
    return Gelu(
        Multiplier.from_float(float(unit.detach()) * 2**X_BITS),
        Multiplier.from_float(SOMA_THRESHOLD / float(gate.spike_value.detach()) / 2**X_BITS),
        gate.channel_exponent.detach().cpu().numpy().astype(np.int64),
    )


def with_integer_values(y: Tensor, u: Tensor, unit: Tensor, gate: FireGate) -> Tensor:
    """``y``, GELU in floats, with the values of the integer function and its own gradient.

    Args:
        u: whole drive, in float64 (B, L, d).
    """
    drive = u.detach().round().cpu().numpy().astype(np.int64)
    units = torch.from_numpy(integer_gelu(gate, unit)(drive)).to(y)
    return y + (units * (gate.spike_value.detach().to(y.dtype) / SOMA_THRESHOLD) - y).detach()
