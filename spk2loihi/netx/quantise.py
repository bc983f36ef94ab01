"""Integers for the real numbers of a layer: weights, thresholds, biases and decays of Loihi's neuron.

One scale ``s`` a population: a potential of 1 becomes ``s`` units. With weights ``w`` (gain of the neuron included),
``B`` bits and a grid ``g``:

- weight ``W = g round(s w / g)``, within -256 ... 256 - g where signs are mixed (g = 2**(9 - B)), else within
  0 ... 256 - g or its negative (g = 2**(8 - B)). ``g`` is the exponent: what a synapse stores is ``W / g``.
- threshold ``theta = floor(s v_threshold)``. Where a population has one threshold, ``s`` is lowered until
  ``s v_threshold`` is whole. Neurons without a leak sum up whole steps of ``g`` (of 1 with a bias): there ``theta`` is
  rounded down to such a step, and ``s`` lowered until ``s v_threshold`` stands half way to the next. A neuron fires
  above its threshold, so it would fire too late otherwise. Weights that are exact already keep a whole
  ``s v_threshold``: sums may equal the threshold.
- bias ``round(s b)``, decays ``round(4096 d)``.
- ``s`` is the largest at which weights stay in their range, thresholds in 17 bits, biases in 13 and the current, all
  inputs firing at once for ever, in 24; of a readout the potential, too.

Exactly (`exact`): ``s = 1`` and every one of these numbers has to be whole as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.limits import BIAS_MAX, THRESHOLD_MAX
from spk2loihi.netx.dense import fitted_weights
from spk2loihi.netx.nir_file import Values
from spk2loihi.netx.nir_layers import Block, ChainLayer
from spk2loihi.netx.nir_plan import Population

IntArray = NDArray[np.int64]

UNITY = 4096  # a decay of 1
_FULL = 256  # weights of 8 bits and a sign, in steps of 2
_WHOLE = 1e-6  # part of itself that a number may be from a whole one: products in single precision
_NO_DECAY = 2.0**-20  # a decay of less is none: time constants of a million steps
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class NumberError:
    """How far integers are from the numbers they stand for.

    Attributes:
        node: of the numbers.
        number: weight, recurrent weight, threshold, bias, current decay, voltage decay.
        largest: greatest difference, as a share of the greatest magnitude.
        rms: root mean square of the differences, as a share of that of the numbers.
    """

    node: str
    number: str
    largest: float
    rms: float


@dataclass(frozen=True)
class Scale:
    """Of one population.

    Attributes:
        layer: of the netx file.
        first, size: its neurons in the layer, flat in NIR's order.
        units: that a potential of 1 becomes.
        limited_by: what keeps ``units`` from being larger: weights, threshold, bias, current or potential.
    """

    node: str
    layer: int
    first: int
    size: int
    units: float
    limited_by: str


@dataclass(frozen=True)
class QuantisedLayer:
    """Integers of a layer, flat in NIR's order; weights as of `ChainLayer`."""

    source: ChainLayer
    weight: IntArray
    recurrent: IntArray | None
    threshold: IntArray
    bias: IntArray
    current_decay: IntArray
    voltage_decay: IntArray
    scales: tuple[Scale, ...]
    errors: tuple[NumberError, ...]


def quantise_layer(layer: ChainLayer, bits: int, exact: bool) -> QuantisedLayer:
    """Args:
        bits: of a weight, 2 to 8.
        exact: every number has to be whole.

    Raises:
        UserError: a number has no integer, or Lava would change the weights when it loads them.
    """
    grids = [Grid(-_LARGEST, _LARGEST, 1)] if exact else list(_grids(_parts(layer), bits))
    for grid in grids:
        made = _quantise(layer, grid, exact)
        if not made.weight.any() and made.recurrent is None:
            raise _of(layer).node.refusal("has weights that are all 0 as integers", "check its weights and `dt`")
        if exact or layer.map.is_kernel or _lava_keeps(made):
            return made
    raise _of(layer).node.refusal("has weights that stock Lava changes when it loads them", "choose more `bits`")


@dataclass(frozen=True)
class Grid:
    """Weights from ``low`` to ``high`` in steps of ``step``."""

    low: int
    high: int
    step: int


def _grids(weights: list[Values], bits: int) -> Iterator[Grid]:
    """The finest first; Lava does not store each as it is."""
    low, high = min(float(w.min()) for w in weights), max(float(w.max()) for w in weights)
    if low >= 0 or high <= 0:
        step = 1 << (8 - bits)
        yield Grid(0, _FULL - step, step) if low >= 0 else Grid(step - _FULL, 0, step)
    step = 1 << (9 - bits)
    yield Grid(-_FULL, _FULL - step, step)
    if step > 1:
        yield Grid(-_FULL // 2, _FULL // 2 - step // 2, step // 2)


def _parts(layer: ChainLayer) -> list[Values]:
    return [layer.map.filled] if layer.recurrent is None else [layer.map.filled, layer.recurrent]


def _of(layer: ChainLayer) -> Population:
    return next(block.population for block in layer.blocks if block.population is not None)


def _quantise(layer: ChainLayer, grid: Grid, exact: bool) -> QuantisedLayer:
    kernel = layer.map.is_kernel
    weight: IntArray = np.zeros(layer.map.filled.shape, np.int64)
    recurrent: IntArray | None = None if layer.recurrent is None else np.zeros(layer.recurrent.shape, np.int64)
    threshold, bias = np.zeros(layer.neurons, np.int64), np.zeros(layer.neurons, np.int64)
    current = np.full(layer.neurons, UNITY, np.int64)
    voltage = np.full(layer.neurons, UNITY, np.int64)
    scales: list[Scale] = []
    errors: list[NumberError] = []
    for block in layer.blocks:
        rows = slice(None) if kernel else block.rows
        real = layer.map.filled[rows]
        if block.population is None:  # a spike of one step brings a relay over its threshold
            weight[rows] = np.where(real != 0, max(grid.step, 1 if not exact else 2), 0)
            threshold[block.rows] = max(grid.step, 1 if not exact else 2) // 2
            continue
        back = None if layer.recurrent is None or not block.population.is_recurrent else layer.recurrent[rows]
        found = _Numbers(block.population, real, back)
        units, limited = (1.0, "") if exact else found.scale(grid)
        through = ", ".join(block.population.weights) or block.name

        def whole(values: Values, what: str, node: str = block.name, block: Block = block) -> IntArray:
            return _whole(block, values, what) if exact else np.rint(values).astype(np.int64)

        def note(node: str, what: str, integers: IntArray, values: Values) -> None:
            errors.append(_error(node, what, integers, values))

        def weights_of(values: Values, what: str, block: Block = block, units: float = units) -> IntArray:
            if exact:
                return _whole(block, values, what)
            steps = np.rint(values * units / grid.step).astype(np.int64) * grid.step
            return np.clip(steps, grid.low, grid.high)

        weight[rows] = weights_of(real, "weight times the gain of the neurons")
        note(through, "weight", weight[rows], real * units)
        if back is not None and recurrent is not None:
            recurrent[rows] = weights_of(back, "recurrent weight times the gain of the neurons")
            note(through, "recurrent weight", recurrent[rows], back * units)
        if block.population.equations.spikes:
            exactly = found.threshold * units
            threshold[block.rows] = whole(exactly, "threshold") if exact else found.levels(units, grid)
            note(block.name, "threshold", threshold[block.rows], exactly)
        else:
            threshold[block.rows] = THRESHOLD_MAX
        if found.bias.any():
            bias[block.rows] = whole(found.bias * units, "bias times the gain of the neurons")
            note(through, "bias", bias[block.rows], found.bias * units)
        for what, decay, into in (
            ("current decay", found.current, current),
            ("voltage decay", found.voltage, voltage),
        ):
            share = UNITY * (decay * (decay >= _NO_DECAY))
            into[block.rows] = whole(share, f"4096 dt / tau ({what})")
            if ((decay > 0) & (decay < 1)).any():
                note(block.name, what, into[block.rows], decay * UNITY)
        scales.append(Scale(block.name, layer.number, block.first, block.size, units, limited))
    return QuantisedLayer(
        layer, weight, recurrent, threshold, bias, current, voltage, tuple(scales), tuple(errors)
    )  # fmt: skip


class _Numbers:
    """Real numbers of a population, flat."""

    def __init__(self, population: Population, weight: Values, back: Values | None) -> None:
        equations = population.equations
        self._weights = [weight] if back is None else [weight, back]
        self.threshold, self.current, self.voltage = (
            np.asarray(each, np.float64).reshape(-1)
            for each in (equations.threshold, equations.current_decay, equations.voltage_decay)
        )
        bias: Values = (population.bias * equations.bias_gain + equations.leak_bias).reshape(-1)
        self.bias = bias
        self._spikes = equations.spikes

    def scale(self, grid: Grid) -> tuple[float, str]:
        """Units of a potential of 1, and what limits them."""
        low, high = min(float(w.min()) for w in self._weights), max(float(w.max()) for w in self._weights)
        limits = {
            "weights": min(grid.high / high if high > 0 else np.inf, grid.low / low if low < 0 else np.inf),
            "bias": BIAS_MAX / float(np.abs(self.bias).max()) if self.bias.any() else np.inf,
        }
        drive = sum(
            np.maximum(np.maximum(w, 0).reshape(len(w), -1).sum(1), np.maximum(-w, 0).reshape(len(w), -1).sum(1))
            for w in self._weights
        )
        if (most := float(np.max(drive))) > 0:
            limits["current"] = THRESHOLD_MAX * max(float(self.current.min()), 1 / UNITY) / most
        if self._spikes:
            limits["threshold"] = THRESHOLD_MAX / float(self.threshold.max()) if self.threshold.any() else np.inf
        elif (slowest := float(self.voltage.min())) > 0 and most > 0:
            reach = most / max(float(self.current.min()), 1 / UNITY) + float(np.abs(self.bias).max())
            limits["potential"] = (THRESHOLD_MAX - 1) * slowest / reach
        limited = min(limits, key=lambda name: limits[name])
        units = limits[limited]
        if not np.isfinite(units):
            return 1.0, ""
        if self._spikes and (self.threshold == self.threshold[0]).all() and self.threshold[0] > 0:
            units = self._at_threshold(units, float(self.threshold[0]), grid)
        return float(units), limited

    def _at_threshold(self, units: float, threshold: float, grid: Grid) -> float:
        """The next fewer units with a threshold that is whole, or stands half way between two sums of weights."""
        whole = max(1.0, np.floor(units * threshold)) / threshold
        apart = 0 if self.voltage.any() or (self.current < 1).any() else 1 if self.bias.any() else grid.step
        steps = [w * whole / grid.step for w in self._weights]
        if not apart or all((np.abs(each - np.rint(each)) <= _WHOLE * np.abs(each)).all() for each in steps):
            return whole
        return (max(0.0, np.floor(units * threshold / apart - 0.5)) + 0.5) * apart / threshold

    def levels(self, units: float, grid: Grid) -> IntArray:
        """Thresholds: whole numbers that sums have to pass."""
        exactly = self.threshold * units
        if self.voltage.any() or (self.current < 1).any():
            return np.floor(exactly * (1 + _WHOLE)).astype(np.int64)
        apart = 1 if self.bias.any() else grid.step
        return (np.floor(exactly * (1 + _WHOLE) / apart) * apart).astype(np.int64)


def _lava_keeps(layer: QuantisedLayer) -> bool:
    """Whether the weights are the same after Lava has fitted them into 8 bits."""
    blocks = [layer.weight] if layer.recurrent is None else [layer.weight, layer.recurrent]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fitted_weights(blocks, "")
        except (UserWarning, UserError):
            return False
    return True


def _whole(block: Block, values: Values, what: str) -> IntArray:
    assert block.population is not None
    node = block.population.node
    if not (np.abs(values) <= _LARGEST).all():
        raise node.refusal(f"has a {what} beyond 32 bits", "write it again with nir.write")
    nearest = np.rint(values)
    if not (np.abs(values - nearest) <= _WHOLE * np.abs(values)).all():
        worst = float(values.reshape(-1)[np.abs(values - nearest).argmax()])
        raise node.refusal(
            f"has a {what} of {worst:.6g}, not a whole number",
            "leave `exact` out to have it quantised, or choose another `dt`",
        )
    whole: IntArray = nearest.astype(np.int64)
    return whole


def _error(node: str, number: str, integers: IntArray, values: Values) -> NumberError:
    difference, largest = integers - values, float(np.abs(values).max(initial=0))
    if largest == 0:
        return NumberError(node, number, 0.0, 0.0)
    size = float(np.sqrt(np.mean(values**2)))
    return NumberError(
        node, number, float(np.abs(difference).max()) / largest, float(np.sqrt(np.mean(difference**2))) / size
    )
