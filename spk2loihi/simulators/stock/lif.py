"""The stock hard-reset leaky integrate-and-fire neuron, bit for bit.

Mirrors ``PyLifModelBitAcc``, ``PyLifResetModelBitAcc`` and ``AbstractPyLifModelFixed`` of lava/proc/lif/models.py,
which netx builds for neurons of type ``CUBA`` and ``LOIHI`` (lava/lib/dl/netx/hdf5.py, ``Network.get_neuron_params``).
Lava's model has no refractory period: netx ``refDelay`` has no effect.

The order of one step:

1. Reset of u and v to 0, if the loader's reset interval says so.
2. Leak of u: ``sign(u) * (|u| * (4096 - iDecay) >> 12)``, which rounds towards zero.
3. Add the drive: ``u += drive << 6``, in 32-bit arithmetic.
4. Wrap of u: 2**24 is subtracted once above 2**23 and added once at or below -2**23. So u lies in -2**23 + 1 ... 2**23
   after an overflow of less than a full range, and outside 24 bits after a greater one, as in Lava.
5. Leak of v, rounded like that of u, then ``v += u + (bias << 6)`` in 32-bit arithmetic.
6. Saturation of v at -2**23 + 1 and 2**23 - 1.
7. Comparison: a neuron fires where ``v > vThMant << 6``, strictly.
8. Reset: v of the neurons that fired becomes 0; u stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spk2loihi.simulators.stock.exact import FLOAT32_EXACT, Array, wrap_int32
from spk2loihi.simulators.stock.neuron import Start, count, per_neuron, select

_STATE_LIMIT = 2**23  # max_uv_val: half the range of the 24-bit u and v
_UNITY = 2**12  # decay_unity
_BIAS_MAX = 2**15 - 1  # bias_mant is kept in 16 bits
_SHIFT = 6  # act_shift, vth_shift, and bias_exp of lava/lib/dl/netx/hdf5.py


@dataclass(frozen=True)
class HardResetLif:
    """Hard-reset leaky integrate-and-fire neurons of one layer.

    Attributes:
        shape: of the layer, (x, y, channel) or (neurons,).
        current_decay: netx ``iDecay``, one for all neurons or one each. netx stores ``iDecay - 1`` in ``du`` and the
            model adds ``ds_offset`` 1, so the current keeps ``(4096 - iDecay) / 4096`` a step.
        voltage_decay: netx ``vDecay``, likewise: the voltage keeps ``(4096 - vDecay) / 4096`` a step.
        threshold: netx ``vThMant``, likewise, in units of 2**6 of v.
        bias: mantissa, of ``shape``, in units of 2**6 of v. Lava keeps 16 bits of it: others wrap.
        bias_driven: neurons of an input layer. What arrives is their bias, and u stays 0.
    """

    shape: tuple[int, ...]
    current_decay: Array
    voltage_decay: Array
    threshold: Array
    bias: NDArray[np.int16]
    bias_driven: bool = False

    graded = False
    resets = True
    states = ("u", "v")

    def prepare(self, bound: int, steps: int) -> Start:
        parameters = _Parameters.of(self)
        plan = self._plan(bound, steps)
        if plan is None:
            return partial(BiasDrivenPopulation if self.bias_driven else IntegerPopulation, parameters)
        dtype, saturates = plan
        return partial(FloatPopulation, parameters.scaled(dtype), saturates, self.bias_driven)

    def _plan(self, bound: int, steps: int) -> tuple[type[np.float32] | type[np.float64], bool] | None:
        """The floating-point type that holds every number of a run exactly, and whether v may saturate.

        None if no type does: u, or a bias, may wrap.
        """
        keep_u, keep_v = _UNITY - self.current_decay, _UNITY - self.voltage_decay
        if min(keep_u.min(), keep_v.min()) < 0 or max(keep_u.max(), keep_v.max()) > _UNITY:
            return None
        u = (bound << _SHIFT) * (1 if self.bias_driven else _longest_memory(keep_u, steps))
        if u >= _STATE_LIMIT or (self.bias_driven and bound > _BIAS_MAX):
            return None
        step = u + (int(np.abs(self.bias.astype(np.int64)).max()) << _SHIFT)
        reached = step * _longest_memory(keep_v, steps)
        v = min(reached, _STATE_LIMIT + step)
        products = (u * _odd_part(keep_u), v * _odd_part(keep_v), v)
        return np.float32 if max(products) <= FLOAT32_EXACT else np.float64, reached >= _STATE_LIMIT


@dataclass(frozen=True)
class _Parameters:
    """Parameters of a layer, flat, (1,) or one for each neuron.

    Attributes:
        shape: of the layer.
        keep_u, keep_v: what u and v keep a step, of 4096.
        threshold, bias: in units of v.
    """

    shape: tuple[int, ...]
    keep_u: Array
    keep_v: Array
    threshold: Array
    bias: Array

    @classmethod
    def of(cls, neuron: HardResetLif) -> _Parameters:
        keep_u, keep_v = _UNITY - neuron.current_decay, _UNITY - neuron.voltage_decay
        parameters = (keep_u, keep_v, neuron.threshold, neuron.bias)
        keep_u, keep_v, threshold, bias = (per_neuron(p.astype(np.int64), neuron.shape) for p in parameters)
        return cls(neuron.shape, keep_u, keep_v, threshold << _SHIFT, bias << _SHIFT)

    def scaled(self, dtype: type[Any]) -> _Parameters:
        """In the type of the state; what u and v keep as a fraction, which is exact."""
        keep_u, keep_v = ((keep / _UNITY).astype(dtype) for keep in (self.keep_u, self.keep_v))
        threshold = np.clip(self.threshold, -_STATE_LIMIT, _STATE_LIMIT)  # beyond its limits v is on neither side
        return _Parameters(self.shape, keep_u, keep_v, threshold.astype(dtype), self.bias.astype(dtype))


class FloatPopulation:
    """Neurons whose numbers a floating-point type holds exactly: every product, truncation and sum is the integer."""

    def __init__(self, parameters: _Parameters, saturates: bool, bias_driven: bool, batch: int, neurons: slice) -> None:
        dtype, size = parameters.threshold.dtype, (batch, count(parameters.shape, neurons))
        selected = (select(p, neurons) for p in (parameters.keep_u, parameters.keep_v, parameters.bias))
        self._keep_u, self._keep_v, self._bias = (p if p.any() else None for p in selected)  # None has no effect
        if bias_driven:
            self._keep_u = None
        self._threshold = select(parameters.threshold, neurons)
        self._saturates, self._bias_driven = saturates, bias_driven
        self._u, self._v = np.zeros(size, dtype), np.zeros(size, dtype)
        self._v_tensor = torch.from_numpy(self._v)  # the same memory
        self._scratch, self._fired = np.empty(size, dtype), np.empty(size, bool)
        self._scale, self._one = dtype.type(1 << _SHIFT), dtype.type(1)

    def step(self, drive: Array, out: Array) -> None:
        u, v = self._u, self._v
        if self._keep_u is None:
            np.multiply(drive, self._scale, out=u)
        else:
            u *= self._keep_u
            np.trunc(u, out=u)
            u += np.multiply(drive, self._scale, out=self._scratch)
        if self._keep_v is None:
            v[...] = u
        else:
            v *= self._keep_v
            np.trunc(v, out=v)
            v += u
        if self._bias is not None:
            v += self._bias
        if self._saturates:
            self._v_tensor.clamp_(1 - _STATE_LIMIT, _STATE_LIMIT - 1)  # several times faster than numpy.clip
        np.greater(v, self._threshold, out=self._fired)
        out[...] = self._fired
        v *= np.subtract(self._one, out, out=self._scratch)  # many times faster than a masked assignment

    def state(self) -> dict[str, Array]:
        return {"u": np.zeros_like(self._u) if self._bias_driven else self._u, "v": self._v}


class IntegerPopulation:
    """Neurons of any parameters, through 32 and 64-bit integers as Lava does it."""

    def __init__(self, parameters: _Parameters, batch: int, neurons: slice) -> None:
        self._keep_u, self._keep_v, self._threshold = (
            select(p, neurons) for p in (parameters.keep_u, parameters.keep_v, parameters.threshold)
        )
        self._bias = select(parameters.bias, neurons).astype(np.int32)
        self._u, self._v = (np.zeros((batch, count(parameters.shape, neurons)), np.int32) for _ in range(2))

    def step(self, drive: Array, out: Array) -> None:
        u = _leak(self._u, self._keep_u) + (wrap_int32(drive) << _SHIFT)
        u -= np.where(u > _STATE_LIMIT, np.int32(2 * _STATE_LIMIT), np.int32(0))
        u += np.where(u <= -_STATE_LIMIT, np.int32(2 * _STATE_LIMIT), np.int32(0))
        v = _leak(self._v, self._keep_v) + u + self._bias
        np.clip(v, -_STATE_LIMIT + 1, _STATE_LIMIT - 1, out=v)
        fired = v > self._threshold
        v[fired] = 0
        self._u, self._v = u, v
        out[...] = fired

    def state(self) -> dict[str, Array]:
        return {"u": self._u, "v": self._v}


class BiasDrivenPopulation(IntegerPopulation):
    """Neurons of an input layer: what arrives is the bias mantissa of the step, of which Lava keeps 16 bits."""

    def step(self, drive: Array, out: Array) -> None:
        self._bias = wrap_int32(drive).astype(np.int16).astype(np.int32) << _SHIFT
        super().step(np.zeros_like(self._u), out)


def _leak(state: Array, keep: Array) -> Array:
    """``state * keep / 4096`` rounded towards zero, through 64 bits; keep 4096 leaves the state as it is."""
    if (keep == _UNITY).all():
        return state
    product = state.astype(np.int64) * keep
    return (np.sign(product) * (np.abs(product) >> 12)).astype(np.int32)


def _longest_memory(keep: Array, steps: int) -> int:
    """How many times the largest drive a leaky sum can reach: 1 / (1 - keep / 4096), and at most one for each step."""
    lost = _UNITY - int(keep.max())
    return steps if lost == 0 else min(steps, -(-_UNITY // lost))


def _odd_part(keep: Array) -> int:
    """The largest odd factor: a product with keep / 4096 needs the bits of a product with this."""
    return max((int(k) // (int(k) & -int(k)) for k in np.unique(keep) if k), default=1)
