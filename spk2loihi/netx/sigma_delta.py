"""Stock sigma-delta neurons, bit for bit.

Mirrors ``PyDeltaModelFixed``, ``PySigmaModelFixed`` and ``PySigmaDeltaModelFixed`` of lava/proc/sdn/models.py. netx
builds a Delta for an input layer of type ``SDNN``, a Sigma where the neuron has ``sigma_output``, else a SigmaDelta
with a ReLU. All sums are of 32 bits and wrap. There is no cumulative error in netx.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from spk2loihi.netx.arrays import Array, wrap_int32
from spk2loihi.netx.neuron_model import Start, SteppedPopulation, per_neuron

_STATE_EXPONENT = 6  # state_exp of lava/lib/dl/netx/hdf5.py


@dataclass(frozen=True)
class SigmaDelta:
    """``sigma += drive``; ``act = max(sigma + bias, 0)``; then as `Delta` from ``act``.

    Attributes:
        shape: of the layer, (x, y, channel) or (neurons,).
        threshold: netx ``vThMant``.
        bias: of ``shape``; None for a Delta, which has neither sigma nor ReLU and takes the drive for ``act``.
        spike_exponent: fraction bits of a message; threshold and bias are in units of ``2**(spike_exponent + 6)``.
    """

    shape: tuple[int, ...]
    threshold: int
    bias: Array
    spike_exponent: int

    graded = True
    resets = False
    states = ("sigma", "act", "residue")

    def prepare(self, largest: int | None = None) -> Start:
        return partial(SigmaDeltaPopulation, self)


@dataclass(frozen=True)
class Delta:
    """Neurons of an input layer: ``act = value << (spike_exponent + 6)``, ``delta = act - last act + residue``.

    A message of ``delta >> 6``, rounded down, is sent where ``|delta| >= threshold << (spike_exponent + 6)``; the
    residue is 0 there and delta elsewhere.
    """

    shape: tuple[int, ...]
    threshold: int
    spike_exponent: int

    graded = True
    resets = False
    states = ("act", "residue")

    def prepare(self, largest: int | None = None) -> Start:
        return partial(DeltaPopulation, self)


@dataclass(frozen=True)
class Sigma:
    """``sigma += drive``, and sigma is sent in every step."""

    shape: tuple[int, ...]

    graded = True
    resets = False
    states = ("sigma",)

    def prepare(self, largest: int | None = None) -> Start:
        return partial(SigmaPopulation, self.shape)


class DeltaPopulation(SteppedPopulation):
    """State of `Delta` neurons."""

    def __init__(self, neuron: Delta | SigmaDelta, batch: int) -> None:
        size = (batch, math.prod(neuron.shape))
        self._exponent = np.int32(neuron.spike_exponent + _STATE_EXPONENT)
        self._threshold = np.int32(neuron.threshold << int(self._exponent))
        self._act, self._residue = np.zeros(size, np.int32), np.zeros(size, np.int32)

    def step(self, drive: Array, out: Array) -> None:
        self._send(wrap_int32(drive) << self._exponent, out)

    def _send(self, act: Array, out: Array) -> None:
        delta = act - self._act + self._residue
        sent = np.where(np.abs(delta) >= self._threshold, delta, np.int32(0))
        self._residue = delta - sent
        self._act = act
        np.right_shift(sent, _STATE_EXPONENT, out=out)

    def state(self) -> dict[str, Array]:
        return {"act": self._act, "residue": self._residue}


class SigmaDeltaPopulation(DeltaPopulation):
    """State of `SigmaDelta` neurons."""

    def __init__(self, neuron: SigmaDelta, batch: int) -> None:
        super().__init__(neuron, batch)
        self._sigma = np.zeros_like(self._act)
        self._bias: Array = per_neuron(neuron.bias.astype(np.int32), neuron.shape) << self._exponent

    def step(self, drive: Array, out: Array) -> None:
        self._sigma += wrap_int32(drive)
        self._send(np.maximum(self._sigma + self._bias, np.int32(0)), out)

    def state(self) -> dict[str, Array]:
        return {"sigma": self._sigma, **super().state()}


class SigmaPopulation(SteppedPopulation):
    """State of `Sigma` neurons."""

    def __init__(self, shape: tuple[int, ...], batch: int) -> None:
        self._sigma = np.zeros((batch, math.prod(shape)), np.int32)

    def step(self, drive: Array, out: Array) -> None:
        self._sigma += wrap_int32(drive)
        out[...] = self._sigma

    def state(self) -> dict[str, Array]:
        return {"sigma": self._sigma}
