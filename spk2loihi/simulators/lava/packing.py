"""Sentences of different lengths on the fixed token slots of a compiled Lava network.

The slots are a grid of ``lanes`` times ``width`` tokens. A lane holds one sentence or several short ones one after the
other, never part of one, so attention products are formed within lanes only; a mask keeps sentences of one lane apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Token slots of a compiled network; slot ``lane * width + position``."""

    lanes: int
    width: int

    @property
    def slots(self) -> int:
        return self.lanes * self.width


@dataclass(frozen=True)
class Place:
    """Where one sentence of a batch lies: tokens ``start`` to ``start + length`` of a lane."""

    sentence: int
    lane: int
    start: int
    length: int


def pack(lengths: NDArray[np.int64], grid: Grid) -> list[list[Place]]:
    """Every sentence in a lane of one of as few runs as first fit, longest first, needs.

    Args:
        lengths: tokens of each sentence, (B,), none above ``grid.width``.
    """
    runs: list[list[Place]] = []
    used: list[list[int]] = []  # tokens used, by run and lane
    for sentence in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[sentence])
        spots = ((r, lane) for r, lanes in enumerate(used) for lane, n in enumerate(lanes) if n + length <= grid.width)
        run, lane = next(spots, (len(runs), 0))
        if run == len(runs):
            runs.append([])
            used.append([0] * grid.lanes)
        runs[run].append(Place(sentence, lane, used[run][lane], length))
        used[run][lane] += length
    return runs
