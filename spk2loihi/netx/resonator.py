"""Stock resonate-and-fire neurons, bit for bit.

Mirrors ``PyRFModelFixed`` of lava/proc/rf/models.py, which netx builds for neuron types with ``RF`` and ``PHASE`` in
their name, and ``PyRF_IZModelFixed`` of lava/proc/rf_iz/models.py, for other types with ``RF``. Both need a dense layer
with complex weights. The loader's reset interval does not reach them.

The order of one step:

1. ``real' = scale(cos * real) - scale(sin * imag) + (real drive << 6)`` and ``imag' = scale(sin * real) +
   scale(cos * imag) + (imag drive << 6)``, where scale divides by 4096 and rounds towards zero.
2. Both saturate at -2**23 + 1 and 2**23 - 1.
3. RF fires where ``real' >= vThMant << 6``, ``imag' >= 0`` and imag was below 0; nothing is reset. RF_IZ fires where
   ``imag' >= vThMant << 6``; then real becomes 0 and imag the threshold - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from spk2loihi.netx.arrays import Array, wrap_int32
from spk2loihi.netx.neuron_model import Start, SteppedPopulation, per_neuron

_STATE_LIMIT = 2**23 - 1
_SHIFT = 6  # state_exp of lava/lib/dl/netx/hdf5.py
_DECAY_BITS = 12  # decay_bits of lava/lib/dl/netx/hdf5.py


@dataclass(frozen=True)
class Resonator:
    """Resonate-and-fire neurons of one layer.

    Attributes:
        shape: of the layer, (neurons,).
        sin_decay, cos_decay: what Lava makes of netx ``sinDecay`` and ``cosDecay`` (see `lava_decays`), of 4096, one
            for all neurons or one each.
        threshold: netx ``vThMant``, in units of 2**6 of the state.
        izhikevich: RF_IZ, else RF.
    """

    shape: tuple[int, ...]
    sin_decay: Array
    cos_decay: Array
    threshold: int
    izhikevich: bool

    graded = False
    resets = False
    states = ("real", "imag")

    def prepare(self, largest: int | None = None) -> Start:
        return partial(ResonatorPopulation, self)


class ResonatorPopulation(SteppedPopulation):
    """State of `Resonator` neurons. The drive is complex."""

    def __init__(self, neuron: Resonator, batch: int) -> None:
        self._sin, self._cos = (
            per_neuron(decay.astype(np.int64), neuron.shape) for decay in (neuron.sin_decay, neuron.cos_decay)
        )
        self._threshold = neuron.threshold << _SHIFT
        self._izhikevich = neuron.izhikevich
        self._real, self._imag = (np.zeros((batch, math.prod(neuron.shape)), np.int64) for _ in range(2))

    def step(self, drive: Array, out: Array) -> None:
        real = _scale(self._cos * self._real) - _scale(self._sin * self._imag) + (wrap_int32(drive.real) << _SHIFT)
        imag = _scale(self._sin * self._real) + _scale(self._cos * self._imag) + (wrap_int32(drive.imag) << _SHIFT)
        np.clip(real, -_STATE_LIMIT, _STATE_LIMIT, out=real)
        np.clip(imag, -_STATE_LIMIT, _STATE_LIMIT, out=imag)
        if self._izhikevich:
            fired = imag >= self._threshold
            real[fired] = 0
            imag[fired] = self._threshold - 1
        else:
            fired = (real >= self._threshold) & (imag >= 0) & (self._imag < 0)
        self._real, self._imag = real, imag
        out[...] = fired

    def state(self) -> dict[str, Array]:
        return {"real": self._real, "imag": self._imag}


def lava_decays(sin_decay: Array, cos_decay: Array) -> tuple[Array, ...]:
    """netx decays after their way through period and decay rate in floating point, which can cost each one unit.

    ``neuron_params`` of lava/lib/dl/slayer/neuron/rf.py, then ``RF`` of lava/proc/rf/process.py: the same expressions
    in the same order, because another order rounds otherwise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # a neuron that does not turn has an infinite period
        sine, cosine = sin_decay / (1 << _DECAY_BITS), cos_decay / (1 << _DECAY_BITS)
        alpha = 1 - np.sqrt(sine**2 + cosine**2)
        frequency = np.arctan2(sine, cosine) / 2 / np.pi
        period = 1 / frequency
        sine = (1 - alpha) * np.sin(np.pi * 2 * 1 / period)
        cosine = (1 - alpha) * np.cos(np.pi * 2 * 1 / period)
    return tuple(np.asarray(decay * (1 << _DECAY_BITS)).astype(np.int32) for decay in (sine, cosine))


def _scale(product: Array) -> Array:
    return np.sign(product) * (np.abs(product) >> _DECAY_BITS)
