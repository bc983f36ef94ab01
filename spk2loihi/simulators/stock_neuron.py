"""The stock hard-reset leaky integrate-and-fire neuron, bit for bit.

Mirrors ``PyLifModelBitAcc`` and ``AbstractPyLifModelFixed`` of lava/proc/lif/models.py, which netx builds for neurons
of type ``CUBA`` and ``LOIHI`` (lava/lib/dl/netx/hdf5.py, ``Network.get_neuron_params``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]

_STATE_LIMIT = 2**23  # max_uv_val: half the range of the 24-bit u and v
_DECAY_BITS = 12  # decay_shift
_ACTIVATION_SHIFT = 6  # act_shift
_THRESHOLD_SHIFT = 6  # vth_shift
_BIAS_SHIFT = 6  # bias_exp of lava/lib/dl/netx/hdf5.py


class Population(Protocol):
    """The neurons of one layer while they run."""

    u: Int32Array  # (B, *shape)
    v: Int32Array  # (B, *shape)

    def step(self, drive: Int32Array) -> Int32Array:
        """One time step: drive (B, *shape) in, spikes (B, *shape) out."""


class Neuron(Protocol):
    """What a netx ``neuron`` group describes."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def start(self, batch: int) -> Population:
        """A population at rest, for ``batch`` independent samples."""


@dataclass(frozen=True)
class HardResetLif:
    """Hard-reset leaky integrate-and-fire neurons of one layer.

    Attributes:
        shape: of the layer, (x, y, channel) or (neurons,).
        current_decay: netx ``iDecay``. netx stores ``iDecay - 1`` in ``du`` and the model adds ``ds_offset`` 1, so the
            current keeps ``(4096 - iDecay) / 4096`` a step.
        voltage_decay: netx ``vDecay``: the voltage keeps ``(4096 - vDecay) / 4096`` a step.
        threshold: netx ``vThMant``, in units of 2**6 of v.
        bias: mantissa, of ``shape``, in units of 2**6 of v. Lava keeps 16 bits of it: others wrap.
    """

    shape: tuple[int, ...]
    current_decay: int
    voltage_decay: int
    threshold: int
    bias: NDArray[np.int16]

    def start(self, batch: int) -> HardResetLifPopulation:
        return HardResetLifPopulation(self, batch)


class HardResetLifPopulation:
    """State of `HardResetLif` neurons and the order of one of their steps.

    1. Leak of u: ``sign(u) * (|u| * (4096 - iDecay) >> 12)``, which rounds towards zero.
    2. Add the drive: ``u += drive << 6``, in 32-bit arithmetic.
    3. Wrap of u: 2**24 is subtracted once above 2**23 and added once at or below -2**23. So u lies in -2**23 + 1 ...
       2**23 after an overflow of less than a full range, and outside 24 bits after a greater one, as in Lava.
    4. Leak of v, rounded like that of u, then ``v += u + (bias << 6)`` in 32-bit arithmetic.
    5. Saturation of v at -2**23 + 1 and 2**23 - 1.
    6. Comparison: a neuron fires where ``v > vThMant << 6``, strictly.
    7. Reset: v of the neurons that fired becomes 0; u stays.
    """

    def __init__(self, neuron: HardResetLif, batch: int) -> None:
        self.u: Int32Array = np.zeros((batch, *neuron.shape), np.int32)
        self.v: Int32Array = np.zeros((batch, *neuron.shape), np.int32)
        self._keep_current = 2**_DECAY_BITS - neuron.current_decay
        self._keep_voltage = 2**_DECAY_BITS - neuron.voltage_decay
        self._threshold = np.int64(neuron.threshold << _THRESHOLD_SHIFT)
        self._bias: Int32Array = neuron.bias.astype(np.int32) << _BIAS_SHIFT

    def step(self, drive: Int32Array) -> Int32Array:
        u = _leak(self.u, self._keep_current) + (drive << _ACTIVATION_SHIFT)
        u -= np.where(u > _STATE_LIMIT, np.int32(2 * _STATE_LIMIT), np.int32(0))
        u += np.where(u <= -_STATE_LIMIT, np.int32(2 * _STATE_LIMIT), np.int32(0))
        v = _leak(self.v, self._keep_voltage) + u + self._bias
        np.clip(v, -_STATE_LIMIT + 1, _STATE_LIMIT - 1, out=v)
        fired = v > self._threshold
        v[fired] = 0
        self.u, self.v = u, v
        return fired.astype(np.int32)


def _leak(state: Int32Array, keep: int) -> Int32Array:
    """``state * keep / 4096`` rounded towards zero, through 64 bits; keep 4096 leaves the state as it is."""
    if keep == 2**_DECAY_BITS:
        return state
    product = state.astype(np.int64) * keep
    rounded: Int32Array = (np.sign(product) * (np.abs(product) >> _DECAY_BITS)).astype(np.int32)
    return rounded
