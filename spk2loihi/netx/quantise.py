"""Integers for the real numbers of a layer: weights, thresholds, biases and decays of Loihi's neuron.

With ``s`` units in a potential of 1 (`scales`), weights ``w`` (gain of the neuron included), ``B`` bits and a grid
``g``:

- weight ``W = g round(s w / g)``, within -256 ... 256 - g where signs are mixed (g = 2**(9 - B)), else within
  0 ... 256 - g or its negative (g = 2**(8 - B)). ``g`` is the exponent: what a synapse stores is ``W / g``.
- threshold ``theta = floor(s v_threshold)``; of neurons without a leak the step of sums below it.
- bias ``round(s b)``, decays ``round(4096 d)``.

Exactly (`exact`): ``s = 1`` and every one of these numbers has to be whole as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spk2loihi.errors import UserError
from spk2loihi.limits import THRESHOLD_MAX
from spk2loihi.netx.dense import fitted_weights
from spk2loihi.netx.lif_arrays import UNITY
from spk2loihi.netx.nir_file import Values
from spk2loihi.netx.nir_layers import Block, ChainLayer
from spk2loihi.netx.nir_populations import Population
from spk2loihi.netx.reading import Reading
from spk2loihi.netx.scales import WHOLE, Grid, IntArray, Numbers

_FULL = 256  # weights of 8 bits and a sign, in steps of 2
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
        units, most_units: that a potential of 1 becomes, of the neurons with the fewest and the most.
        limited_by: what keeps ``units`` from being larger: weights, threshold, bias, current or potential.
    """

    node: str
    layer: int
    first: int
    size: int
    units: float
    most_units: float
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


def quantise_layer(layer: ChainLayer, reading: Reading) -> QuantisedLayer:
    """Integers of a layer.

    Raises:
        UserError: a number has no integer, or Lava would change the weights when it loads them.
    """
    exact = reading.exact
    grids = [Grid(-_LARGEST, _LARGEST, 1)] if exact else list(_grids(_parts(layer), reading.bits))
    for grid in grids:
        made = _quantise(layer, grid, reading)
        if not made.weight.any() and (made.recurrent is None or not made.recurrent.any()):
            raise _of(layer).node.refusal("has weights that are all 0 as integers", "check its weights and `dt`")
        if exact or layer.map.is_kernel or _lava_keeps(made):
            return made
    raise _of(layer).node.refusal("has weights that stock Lava changes when it loads them", "choose more `bits`")


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


def _quantise(layer: ChainLayer, grid: Grid, reading: Reading) -> QuantisedLayer:
    kernel, exact = layer.map.is_kernel, reading.exact
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
        found = Numbers(block.population, real, back)
        units, limited = (np.ones(block.size), "") if exact else found.scale(grid, reading.scales == "channel")
        of_row = units.reshape(len(real), -1)[:, :1]
        through = ", ".join(block.population.weights) or block.name
        parts = [(through, "weight", real, weight)]
        if back is not None and recurrent is not None:
            parts.append((through, "recurrent weight", back, recurrent))
        for node, what, values, into in parts:
            scaled = values * of_row.reshape(-1, *[1] * (values.ndim - 1))
            into[rows] = (
                _whole(block, scaled, f"{what} times the gain of the neurons")
                if exact
                else grid.rounded(scaled).astype(np.int64)
            )
            errors.append(_error(node, what, into[rows], scaled))
        if block.population.equations.spikes:
            scaled = found.threshold * units
            threshold[block.rows] = _whole(block, scaled, "threshold") if exact else found.levels(units, grid)
            errors.append(_error(block.name, "threshold", threshold[block.rows], scaled))
        else:
            threshold[block.rows] = THRESHOLD_MAX
        numbers = (
            [(through, "bias", "bias times the gain of the neurons", found.bias * units, bias)]
            if found.bias.any()
            else []
        )
        for what, decay, into in (("current decay", found.current, current), ("voltage decay", found.voltage, voltage)):
            share = UNITY * decay * (decay >= _NO_DECAY)
            numbers.append((block.name, what, f"4096 dt / tau ({what})", share, into))
        for node, what, said, values, into in numbers:
            into[block.rows] = _whole(block, values, said) if exact else np.rint(values).astype(np.int64)
            if what == "bias" or ((values > 0) & (values < UNITY)).any():
                errors.append(_error(node, what, into[block.rows], values))
        fewest, most = float(units.min()), float(units.max())
        scales.append(Scale(block.name, layer.number, block.first, block.size, fewest, most, limited))
    return QuantisedLayer(
        layer, weight, recurrent, threshold, bias, current, voltage, tuple(scales), tuple(errors)
    )  # fmt: skip


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
    if not (np.abs(values - nearest) <= WHOLE * np.abs(values)).all():
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
