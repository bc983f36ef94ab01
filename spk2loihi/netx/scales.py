"""How many units a potential of 1 becomes, of the neurons of a layer or of each channel.

The largest ``s`` keeps weights in their range, thresholds in 17 bits, biases in 13 and the current, all inputs firing
at once for ever, in 24; of a readout the potential, too. Where neurons have one threshold, ``s`` is one of those at
which ``s v_threshold`` is whole. Neurons without a leak sum up whole steps of the grid (of 1 with a bias), and fire
above their threshold: there it stands half way between two steps. Weights that are exact already keep a whole
``s v_threshold``: sums may equal the threshold.

Of the scales from `_LEAST` of the largest up, the one is taken whose integers drive the neurons most nearly as the
numbers do. With inputs that fire in a share ``f`` of the steps, the mean square error of a neuron's drive is
``(e_b + f sum e_w)**2 + f (1 - f) sum e_w**2``, with the errors ``e_b`` of its bias and ``e_w`` of its weights; it
counts as a share of the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.limits import BIAS_MAX, THRESHOLD_MAX
from spk2loihi.netx.lif_arrays import UNITY
from spk2loihi.netx.nir_file import Values
from spk2loihi.netx.nir_populations import Population

IntArray = NDArray[np.int64]

WHOLE = 1e-6  # part of itself that a number may be from a whole one: products in single precision
_LEAST = 0.75  # of the largest scale
_TRIED = 64  # scales
_TRIED_WEIGHTS = 1 << 24  # weights rounded for that, at most: seconds
_FIRING = 0.05  # share of the steps in which an input fires, as neurons in trained networks do
_AT_ONCE = 1 << 20  # weights, for the memory that sorting takes
_UNDECIDED = 0.25  # of a step: errors above may be rounded the other way


@dataclass(frozen=True)
class Grid:
    """Weights from ``low`` to ``high`` in steps of ``step``."""

    low: int
    high: int
    step: int

    def rounded(self, values: Values) -> Values:
        """On the grid: the nearest, but of a row as many are rounded the other way as bring its sum near.

        Rounding is undecided between two steps, and errors of one sign add up in the drive of a neuron. Those nearest
        to half way are turned first, and none whose error is a quarter of a step or less.

        Args:
            values: (rows, ...).
        """
        flat = values.reshape(len(values), -1)
        rows = max(1, _AT_ONCE // max(1, flat.shape[1]))
        parts = [self._rounded(flat[first : first + rows]) for first in range(0, len(flat), rows)]
        return np.concatenate(parts).reshape(values.shape)

    def _rounded(self, rows: Values) -> Values:
        flat = rows / self.step
        nearest = np.rint(flat)
        error = nearest - flat
        excess = np.rint(error.sum(1, keepdims=True))  # steps that a row has too many
        toward = error * np.sign(excess)
        rank = np.argsort(np.argsort(-toward, axis=1, kind="stable"), axis=1, kind="stable")
        turned = (rank < np.abs(excess)) & (toward > _UNDECIDED)
        steps: Values = (nearest - np.sign(excess) * turned) * self.step
        clipped: Values = np.clip(steps, self.low, self.high)
        return clipped


class Numbers:
    """Real numbers of a population, flat in NIR's order.

    Attributes:
        threshold, current, voltage, bias: (neurons,).
    """

    def __init__(self, population: Population, weight: Values, back: Values | None) -> None:
        """Args:
        weight: rows of neurons, or a kernel, whose rows are channels; multiplied by the gain.
        back: recurrent weights.
        """
        equations = population.equations
        self._parts = [part.reshape(len(part), -1) for part in ([weight] if back is None else [weight, back])]
        self.threshold, self.current, self.voltage = (
            np.asarray(each, np.float64).reshape(-1)
            for each in (equations.threshold, equations.current_decay, equations.voltage_decay)
        )
        bias: Values = (population.bias * equations.bias_gain + equations.leak_bias).reshape(-1)
        self.bias = bias
        self._spikes = equations.spikes
        self._keeps = bool(self.voltage.any() or (self.current < 1).any())

    def scale(self, grid: Grid, channels: bool) -> tuple[Values, str]:
        """Units of each neuron, (neurons,), and what limits the smallest.

        Args:
            channels: each row of weights has a scale of its own; a readout, whose potential is read, has one.
        """
        rows = len(self._parts[0])
        size = len(self.threshold) // rows
        if not channels or not self._spikes:
            units, limit = self._scale(slice(None), slice(None), grid)
            return np.full(len(self.threshold), units), limit
        found = [self._scale(slice(r, r + 1), slice(r * size, (r + 1) * size), grid) for r in range(rows)]
        return np.repeat([units for units, _ in found], size), min(found)[1]

    def levels(self, units: Values, grid: Grid) -> IntArray:
        """Thresholds: whole numbers that sums have to pass."""
        apart = 1 if self._keeps or self.bias.any() else grid.step
        levels: IntArray = (np.floor(self.threshold * units * (1 + WHOLE) / apart) * apart).astype(np.int64)
        return levels

    def _scale(self, rows: slice, neurons: slice, grid: Grid) -> tuple[float, str]:
        parts = [part[rows] for part in self._parts]
        limits = self._limits(parts, neurons, grid)
        limited = min(limits, key=lambda name: limits[name])
        most = limits[limited]
        if not np.isfinite(most):
            return 1.0, ""
        tried = list(self._candidates(most, parts, neurons, grid))
        errors = [self._drive_error(units, parts, neurons, grid) for units in tried]
        return tried[int(np.argmin(errors))], limited

    def _limits(self, parts: list[Values], neurons: slice, grid: Grid) -> dict[str, float]:
        """Units at which each of the chip's limits is met."""
        threshold, bias = self.threshold[neurons], float(np.abs(self.bias[neurons]).max())
        slowest = max(float(self.current[neurons].min()), 1 / UNITY)
        low, high = min(float(w.min()) for w in parts), max(float(w.max()) for w in parts)
        limits = {
            "weights": min(grid.high / high if high > 0 else np.inf, grid.low / low if low < 0 else np.inf),
            "bias": BIAS_MAX / bias if bias else np.inf,
        }
        most = max(float(sum(np.maximum(sign * w, 0).sum(1) for w in parts).max()) for sign in (1, -1))
        if most > 0:
            limits["current"] = THRESHOLD_MAX * slowest / most
        if self._spikes:
            limits["threshold"] = THRESHOLD_MAX / float(threshold.max()) if threshold.any() else np.inf
        elif (leak := float(self.voltage[neurons].min())) > 0 and most > 0:
            limits["potential"] = (THRESHOLD_MAX - 1) * leak / (most / slowest + bias)
        return limits

    def _candidates(self, most: float, parts: list[Values], neurons: slice, grid: Grid) -> Iterator[float]:
        """The largest first."""
        count = int(np.clip(_TRIED_WEIGHTS // max(1, sum(part.size for part in self._parts)), 1, _TRIED))
        threshold = self.threshold[neurons]
        if not self._spikes or threshold[0] <= 0 or (threshold != threshold[0]).any():
            yield from np.linspace(most, most * _LEAST, count)
            return
        one = float(threshold[0])
        apart = 0 if self._keeps else 1 if self.bias[neurons].any() else grid.step
        highest = np.floor(most * one * (1 + WHOLE))
        for level in np.unique(np.linspace(max(1.0, highest), max(1.0, highest * _LEAST), count).astype(int))[::-1]:
            units = level / one
            steps = [part * units / grid.step for part in parts]
            if not apart or all((np.abs(each - np.rint(each)) <= WHOLE * np.abs(each)).all() for each in steps):
                yield units
            elif (half := (np.floor(level / apart - 0.5) + 0.5) * apart) > 0:
                yield half / one
            else:
                yield 0.5 * apart / one

    def _drive_error(self, units: float, parts: list[Values], neurons: slice, grid: Grid) -> float:
        """Mean square, as a share of the threshold."""
        bias = self.bias[neurons] * units
        mean = (np.rint(bias) - bias).reshape(len(parts[0]), -1)  # (rows, neurons of a row)
        spread = np.zeros(len(mean))
        for part in parts:
            error = grid.rounded(part * units) - part * units
            mean = mean + _FIRING * error.sum(1, keepdims=True)
            spread += _FIRING * (1 - _FIRING) * (error**2).sum(1)
        return float(np.mean(mean**2) + np.mean(spread)) / units**2
