"""How synapse processes compute: as Lava's CPU models do (``lava``), or as Loihi 2 does (``chip``).

Both truncate weights alike. They differ where products are shifted to the right: Lava's models sum, then shift once and
round down (lava/proc/dense/models.py and lava/proc/sparse/models.py, ``run_spk``); the chip shifts product by product,
half away from zero, then sums. The chip's rule follows from 15 integers that a Loihi 2 computed (lava-nc,
tutorials/lava_va/Tutorial01-Fixed_point_dot_product.ipynb), and is `loihi2round` of lava/proc/graded/process.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.process_graph import Connection, Sign, SparseWeight
from spk2loihi.choices import Arithmetic
from spk2loihi.limits import EXCITATORY_WEIGHT_MAX
from spk2loihi.network.requantise import shifted

IntArray = NDArray[np.int64]
Synapses = Callable[[IntArray], IntArray]
"""From the messages of the source, (sources,), to what arrives at the target one step later, (targets,)."""

_FLOAT32_EXACT = 2**24


def stored_weights(values: NDArray[Any], sign: Sign) -> IntArray:
    """Weights as a synapse holds them: whole, in the range of their sign, and even where signs are mixed.

    Source: ``clip_weights`` and ``truncate_weights`` of lava/utils/weightutils.py, with 8 bits.
    """
    whole = np.trunc(values).astype(np.int64)
    if sign == "MIXED":
        return np.clip(whole, -EXCITATORY_WEIGHT_MAX - 1, EXCITATORY_WEIGHT_MAX) >> 1 << 1
    if sign == "EXCITATORY":
        return np.clip(whole, 0, EXCITATORY_WEIGHT_MAX)
    return np.clip(whole, -EXCITATORY_WEIGHT_MAX, 0)


def synapses(connection: Connection, arithmetic: Arithmetic) -> Synapses:
    """What a connection does with the messages of a step."""
    if isinstance(connection.weight, SparseWeight):
        return _sparse(connection.weight, connection, arithmetic)
    return _dense(connection.weight, connection, arithmetic)


def _dense(weight: NDArray[Any], connection: Connection, arithmetic: Arithmetic) -> Synapses:
    stored, exponent = stored_weights(weight, connection.sign).astype(np.int16), connection.exponent
    if exponent < 0:
        if arithmetic == "chip":
            return lambda x: shifted(stored * x, -exponent, "chip").sum(1)
        return lambda x: shifted(stored.astype(np.int64) @ x, -exponent, "lava")
    floats = stored.astype(np.float32)
    row = int(np.abs(floats).sum(1).max(initial=0))

    def arrives(x: IntArray) -> IntArray:
        if row * int(np.abs(x).max(initial=0)) >= _FLOAT32_EXACT:
            return stored.astype(np.int64) @ x << exponent
        # Every partial sum is a whole number that float32 holds.
        return (floats @ x.astype(np.float32)).astype(np.int64) << exponent

    return arrives


def _sparse(weight: SparseWeight, connection: Connection, arithmetic: Arithmetic) -> Synapses:
    values, columns, exponent = stored_weights(weight.values, connection.sign), weight.columns, connection.exponent
    targets = weight.shape[0]
    rows, starts = np.unique(weight.rows, return_index=True)
    single = len(rows) == len(values)  # one synapse a neuron at most: nothing to add
    all_rows = len(rows) == targets
    rounded = arithmetic == "chip" and exponent < 0

    def arrives(x: IntArray) -> IntArray:
        products = x[columns] * values
        if rounded:
            products = shifted(products, -exponent, "chip")
        sums = products if single else np.add.reduceat(products, starts)
        if not rounded and exponent:
            sums = shifted(sums, -exponent, "lava")
        if all_rows:
            return sums
        result: IntArray = np.zeros(targets, np.int64)
        result[rows] = sums
        return result

    return arrives
