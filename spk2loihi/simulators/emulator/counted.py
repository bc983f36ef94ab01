"""What the count-based engine makes of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spk2loihi.simulators.backend import stacked
from spk2loihi.simulators.counters import Counts, EventSums


@dataclass(frozen=True)
class Counted:
    """One batch.

    Attributes:
        logits: U of the readout, (B, labels), or (B, L, labels) of tags, padding 0.
        sums: of every firing stage.
        counts: of every firing stage, padded neurons 0, int16; empty unless kept.
    """

    logits: NDArray[np.int64]
    sums: dict[str, EventSums]
    counts: Counts

    @classmethod
    def joined(cls, parts: list[Counted]) -> Counted:
        """Of the sentences of all parts, one after another; counts are not kept."""
        if len(parts) == 1:
            return parts[0]
        logits = stacked([one.logits for one in parts])
        return cls(logits, {name: EventSums.joined([one.sums[name] for one in parts]) for name in parts[0].sums}, {})
