"""Layers by hand, and boards with other limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spk2loihi.fit import BOARDS
from spk2loihi.fit.boards import LOIHI2, Board
from spk2loihi.fit.population import Input, Population

KAPOHO = BOARDS["kapoho-point"]


def linear(d_in: int, d_out: int, tokens: int = 1, bits: int = 8, skip: int = 0, **changes: Any) -> Population:
    """A token-wise linear population, with ``skip`` residual channels beside its dense group."""
    inputs = [Input("source", d_in, False, bits, d_in * d_out)]
    if skip:
        inputs.append(Input("skip", skip, True, 8, skip))
    given: dict[str, Any] = {
        "name": "layer", "kind": "linear", "tokens": tokens, "max_tokens": tokens, "channels": d_out, "heads": 1,
        "inputs": tuple(inputs), "left": "", "right": "", "left_bits": 0, "right_bits": 0, "head_width": 0,
        "state_bits": 37, "soma": None, "fires": True, "pipelined": False,
    }  # fmt: skip
    return Population(**{**given, **changes})


def network_of(layer: Population) -> list[Population]:
    """The layer behind an input population."""
    width = layer.inputs[0].width
    return [linear(0, width, layer.tokens, name="source", kind="input", inputs=()), layer]


def board(chips: int = 1, **values: int) -> Board:
    """Loihi 2 with other limits."""
    changed = {name: replace(LOIHI2[name], value=value) for name, value in values.items()}
    return Board("test", chips, {**LOIHI2, **changed})
