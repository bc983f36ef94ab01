"""What a run of a stock netx network leaves behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from spk2loihi.netx.arrays import allocate
from spk2loihi.netx.hdf5_access import IntArray
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.neuron_model import Int32Array


@dataclass(frozen=True)
class LayerRecord:
    """What one layer did.

    Attributes:
        s: messages its neurons sent in each recorded step, (B, *shape, steps): 1 for a spike, or a payload.
        states: state variables after each step, likewise, by Lava's names: u and v of CUBA and LOIHI neurons; sigma,
            act and residue of SDNN; real and imag of RF.
    """

    s: Int32Array
    states: dict[str, Int32Array]


@dataclass(frozen=True)
class StockRun:
    """What one batch did.

    Attributes:
        output: messages of the last layer, what ``hdf5.Network.out`` sends, (B, *output_shape, steps).
        layers: recorded layers, by their number in the file.
        counts: messages each neuron sent, by number of the layer, (B, *shape).
        synops: synaptic operations of each layer, by number, (B,): a message arriving at a synapse that is not 0.
    """

    output: Int32Array
    layers: dict[int, LayerRecord]
    counts: dict[int, Int32Array]
    synops: dict[int, IntArray]

    @classmethod
    def blank(
        cls, layers: Sequence[StockLayer], batch: int, steps: int, record: Collection[int], states: bool, rows: int
    ) -> StockRun:
        """To be written.

        Args:
            record: numbers of layers to record.
            states: record their states, too.
            rows: steps to record.
        """

        def written(layer: StockLayer, length: int) -> Int32Array:
            return np.empty((batch, *layer.shape, length), np.int32)

        counts = allocate([(batch, *layer.shape) for layer in layers], [np.int32] * len(layers))
        return cls(
            written(layers[-1], steps),
            {
                layer.number: LayerRecord(
                    written(layer, rows), {name: written(layer, rows) for name in layer.neuron.states if states}
                )
                for layer in layers
                if layer.number in record
            },
            dict(zip([layer.number for layer in layers], counts, strict=True)),
            {layer.number: np.empty(batch, np.int64) for layer in layers},
        )

    def of(self, samples: slice) -> StockRun:
        """Of some samples, in the same memory."""

        def some(arrays: dict[str, Int32Array]) -> dict[str, Int32Array]:
            return {key: array[samples] for key, array in arrays.items()}

        return StockRun(
            self.output[samples],
            {number: LayerRecord(layer.s[samples], some(layer.states)) for number, layer in self.layers.items()},
            {number: counts[samples] for number, counts in self.counts.items()},
            {number: operations[samples] for number, operations in self.synops.items()},
        )
