"""The populations of a netx or NIR file, one a layer, and the partition of them over a board.

A convolution is a grid like a stage of this project: its *rows* are output positions, x times y, which share their
weights, and its *columns* are channels. A dense layer has one row. What arrives from outside takes no cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spk2loihi.fit.boards import Board
from spk2loihi.fit.check_fit import check_fit
from spk2loihi.fit.population import Input, Population
from spk2loihi.fit.remedies import larger_board
from spk2loihi.limits import BIAS_BITS, MEMBRANE_BITS
from spk2loihi.netx.dense import stored_bits
from spk2loihi.netx.layer import StockLayer
from spk2loihi.netx.synapse import ConvSynapse

#: What the first layer of synapses reads, where a file has no input neurons.
OUTSIDE = "input"


def file_populations(layers: Sequence[StockLayer]) -> list[Population]:
    """One a layer, in their order, named as in errors; before them, where there are no input neurons, `OUTSIDE`."""
    found: list[Population] = []
    if layers[0].synapse is not None:
        found.append(layer_population(OUTSIDE, layers[0].input_shape, (), 0))
    for layer in layers:
        inputs = _inputs(layer, found[-1].name) if layer.synapses else ()
        dense = bool(inputs) and not isinstance(layer.synapse, ConvSynapse)
        shape = (math.prod(layer.shape),) if dense else layer.shape
        found.append(layer_population(layer.label, shape, inputs, _state_bits(layer), dense))
    return found


def check_file_fit(layers: Sequence[StockLayer], board: Board) -> dict[str, Any]:
    """The partition of a file's layers over ``board``: layout as of `check_fit`.

    Remedies are larger boards: what else would help is in the hands of whoever trains the network.
    """
    report = _fit(layers, board)
    if not report["fits"]:

        def needed(other: Board) -> int | None:
            found = _fit(layers, other)
            return None if found["refused"] else found["cores"]

        report["remedies"] = [larger_board(board, needed)]
    return report


def _fit(layers: Sequence[StockLayer], board: Board) -> dict[str, Any]:
    report = check_fit(file_populations(layers), board, outside={OUTSIDE}, remedied=False)
    for layer, row in zip(layers, report["layers"], strict=True):
        row["synapses"] = layer.existing  # a population counts those at borders of a convolution, too
    report["synapses"] = sum(row["synapses"] for row in report["layers"])
    return report


def layer_population(
    name: str, shape: tuple[int, ...], inputs: tuple[Input, ...], state_bits: int, dense: bool = False
) -> Population:
    """A layer of a file: a convolution or an input of ``shape`` (x, y, channels), or a dense one of (neurons,)."""
    x, y, channels = (1,) * (3 - len(shape)) + shape
    return Population(
        name=name, kind="linear", tokens=x, max_tokens=x, channels=channels, heads=1, inputs=inputs, left="", right="",
        left_bits=0, right_bits=0, head_width=0, state_bits=state_bits, soma=None, fires=True, pipelined=True, height=y,
        dense=dense,
    )  # fmt: skip


def _inputs(layer: StockLayer, source: str) -> tuple[Input, ...]:
    """Recurrent synapses count as a second group from the source: a population that reads itself is not placed."""
    rows = math.prod(layer.shape[:-1]) if isinstance(layer.synapse, ConvSynapse) else 1
    return tuple(
        Input(source, weight[0].size, False, stored_bits(weight), synapse.existing // rows)
        for synapse in layer.synapses
        for weight in synapse.weights
    )


def _state_bits(layer: StockLayer) -> int:
    """Of one neuron: two state variables as wide as a membrane, and the bias.

    Sigma-delta neurons, which have three in Lava, take a word as LIF neurons do in the partitions that Intel published.
    """
    return MEMBRANE_BITS * min(len(layer.neuron.states), 2) + BIAS_BITS
