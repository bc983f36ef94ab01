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
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from spk2loihi.netx.arrays import INT32_MAX, Array, is_still, wrap_int32
from spk2loihi.netx.lif_arrays import SHIFT, STATE_LIMIT, UNITY, LifNeurons, LifRun, LifState
from spk2loihi.netx.neuron_model import Int32Array, Start, SteppedPopulation, Tape, per_neuron
from spk2loihi.netx.table_convolution import TableConvolution

_BIAS_LIMIT = 2**15  # bits of a bias mantissa that count


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

    def prepare(self, largest: int | None = None) -> Start:
        parameters = self._parameters
        if parameters.ordinary:
            wide = None if largest is not None and parameters.confined(largest, self.bias_driven) else True
            return partial(BiasDrivenPopulation if self.bias_driven else LifPopulation, parameters, wide)
        return partial(IntegerBiasDrivenPopulation if self.bias_driven else IntegerPopulation, parameters)

    @cached_property
    def _parameters(self) -> Parameters:
        return Parameters.of(self)


@dataclass(frozen=True)
class Parameters:
    """Parameters of a layer, flat, one for each neuron.

    Attributes:
        keep_u, keep_v: what u and v keep a step, of 4096; int32 if ordinary, else int64.
        threshold, bias: in units of v, int32.
        ordinary: decays are within 12 bits. Lava takes others, too.
        forgets: u keeps nothing.
    """

    keep_u: Array
    keep_v: Array
    threshold: Array
    bias: Array
    ordinary: bool
    forgets: bool

    @classmethod
    def of(cls, neuron: HardResetLif) -> Parameters:
        parameters = (UNITY - neuron.current_decay, UNITY - neuron.voltage_decay, neuron.threshold, neuron.bias)
        keep_u, keep_v, threshold, bias = (per_neuron(p.astype(np.int64), neuron.shape) for p in parameters)
        threshold = np.clip(threshold << SHIFT, -STATE_LIMIT, STATE_LIMIT)  # beyond its limits v is on neither side
        ordinary = min(keep_u.min(), keep_v.min()) >= 0 and max(keep_u.max(), keep_v.max()) <= UNITY
        if ordinary:
            keep_u, keep_v = keep_u.astype(np.int32), keep_v.astype(np.int32)
        bias = (bias << SHIFT).astype(np.int32)
        return cls(keep_u, keep_v, threshold.astype(np.int32), bias, bool(ordinary), not keep_u.any())

    def confined(self, largest: int, bias_driven: bool) -> bool:
        """Whether u and v stay so small that they never wrap or saturate, and their products with ``keep`` fit 32 bits.

        Where ``|v'| <= |v| * keep / 4096 + more``, v stays within ``more * 4096 / (4096 - keep)``.

        Args:
            largest: magnitude that the drive never passes, in units of 2**6.
            bias_driven: the drive is the bias.
        """
        keep_u, keep_v, bias = self._largest
        drive, bias = (0, min(largest, _BIAS_LIMIT) << SHIFT) if bias_driven else (largest, bias)
        more = 0
        for keep, arriving in ((keep_u, drive << SHIFT), (keep_v, bias)):
            more += arriving
            if more and keep == UNITY:
                return False
            more = -(-more * UNITY // max(UNITY - keep, 1))
            if more >= STATE_LIMIT or more * keep + UNITY > INT32_MAX:
                return False
        return True

    @cached_property
    def _largest(self) -> tuple[int, int, int]:
        return int(self.keep_u.max()), int(self.keep_v.max()), int(np.abs(self.bias).max())


class LifPopulation:
    """Neurons of ordinary decays, in the compiled loop of `neuron_kernels`."""

    def __init__(self, parameters: Parameters, wide: bool | None, batch: int) -> None:
        keep_u = None if parameters.forgets else parameters.keep_u
        self._neurons = LifNeurons(keep_u, parameters.keep_v, parameters.threshold, parameters.bias, wide)
        v = np.zeros((batch, len(parameters.keep_v)), np.int32)
        self._state = LifState(None if parameters.forgets else np.zeros_like(v), v)

    def run(
        self, drive: Array, late: int, rest: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape
    ) -> None:
        from spk2loihi.netx.neuron_kernels import lif_steps  # takes a while, and not every command needs it

        drive = np.ascontiguousarray(drive if drive.dtype in (np.float32, np.int16) else wrap_int32(drive))
        state = self._recorded(tape)
        lif_steps(drive, late, 0, self._neurons, state, _run(rest, sent, counts, tape))

    def run_convolution(
        self,
        convolution: TableConvolution,
        planes: Array,
        rest: NDArray[np.bool_],
        sent: Array,
        counts: Int32Array,
        tape: Tape,
    ) -> None:
        """From rest, as `run` of the drive that the tables make of planes, (B, steps, x, y, channel)."""
        from spk2loihi.netx.table_kernels import convolve_and_fire

        run, state = _run(rest, sent, counts, tape), self._recorded(tape)
        convolve_and_fire(convolution.padded(planes), convolution.tables, self._neurons, state, run)

    def _recorded(self, tape: Tape) -> LifState:
        """The state, with a u where it is to be recorded."""
        if self._state.u is None and "u" in tape.arrays:
            return LifState(np.zeros_like(self._state.v), self._state.v)
        return self._state


def _run(rest: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape) -> LifRun:
    blank = np.zeros((len(sent), 0, 0), np.int32)
    return LifRun(rest, sent, counts, tape.row_of, tape.arrays.get("u", blank), tape.arrays.get("v", blank))


class BiasDrivenPopulation:
    """Input neurons of ordinary decays, likewise. Their u stays 0."""

    def __init__(self, parameters: Parameters, wide: bool | None, batch: int) -> None:
        self._neurons = LifNeurons(None, parameters.keep_v, parameters.threshold, parameters.bias, wide)
        self._state = LifState(None, np.zeros((batch, len(parameters.keep_v)), np.int32))

    def run(
        self, drive: Array, late: int, rest: NDArray[np.bool_], sent: Array, counts: Int32Array, tape: Tape
    ) -> None:
        from spk2loihi.netx.neuron_kernels import bias_driven_steps

        assert not late
        values = drive.swapaxes(1, 2)
        if is_still(drive):
            values = values[..., :1]
        values = np.ascontiguousarray(values if values.dtype in (np.int8, np.uint8, np.int16) else wrap_int32(values))
        bias_driven_steps(values, self._neurons, self._state, _run(rest, sent, counts, tape))


class IntegerPopulation(SteppedPopulation):
    """Neurons of any parameters, as Lava does it, through 64-bit integers."""

    def __init__(self, parameters: Parameters, batch: int) -> None:
        self._parameters, self._bias = parameters, parameters.bias
        self._u, self._v = (np.zeros((batch, len(parameters.bias)), np.int32) for _ in range(2))

    def step(self, drive: Array, out: Array) -> None:
        u = _leak(self._u, self._parameters.keep_u) + (wrap_int32(drive) << SHIFT)
        u -= np.where(u > STATE_LIMIT, np.int32(2 * STATE_LIMIT), np.int32(0))
        u += np.where(u <= -STATE_LIMIT, np.int32(2 * STATE_LIMIT), np.int32(0))
        v = _leak(self._v, self._parameters.keep_v) + u + self._bias
        np.clip(v, -STATE_LIMIT + 1, STATE_LIMIT - 1, out=v)
        fired = v > self._parameters.threshold
        v[fired] = 0
        self._u, self._v = u, v
        out[...] = fired

    def state(self) -> dict[str, Array]:
        return {"u": self._u, "v": self._v}

    def reset(self) -> None:
        self._u, self._v = np.zeros_like(self._u), np.zeros_like(self._v)


class IntegerBiasDrivenPopulation(IntegerPopulation):
    """Neurons of an input layer: what arrives is the bias mantissa of the step, of which Lava keeps 16 bits."""

    def step(self, drive: Array, out: Array) -> None:
        self._bias = wrap_int32(drive).astype(np.int16).astype(np.int32) << SHIFT
        super().step(np.zeros_like(self._u), out)


def _leak(state: Array, keep: Array) -> Array:
    """``state * keep / 4096`` rounded towards zero, through 64 bits."""
    product = state.astype(np.int64) * keep
    return (np.sign(product) * (np.abs(product) >> 12)).astype(np.int32)
