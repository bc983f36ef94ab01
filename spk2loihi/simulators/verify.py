"""Compare two backends spike for spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.data import Encoded, TokenBatch, collate
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.simulate import pad_id


@dataclass(frozen=True)
class Verification:
    """Two backends compared, neuron by neuron and step by step.

    Attributes:
        spikes_compared: neuron-steps.
        first_mismatch: sample, layer, step, neuron and both values; None where all are equal.
    """

    backends: list[str]
    schedule: Schedule
    encoding: Encoding
    samples: int
    spikes_compared: int
    mismatches: int
    first_mismatch: dict[str, Any] | None

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def to_dict(self) -> dict[str, Any]:
        """The numbers of ``verify --json``."""
        return asdict(self)


def verify(
    first: Backend,
    second: Backend,
    encoded: list[Encoded],
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda n: None,
) -> Verification:
    """Run every sentence on both and compare every neuron of every stage at every step, then the readouts.

    Stops at the first batch that differs.
    """
    compared = samples = mismatches = 0
    first_mismatch: dict[str, Any] | None = None
    for start in range(0, len(encoded), batch_size):
        chunk = encoded[start : start + batch_size]
        batch = collate(chunk, pad_id(first.network))
        n_compared, n_different, where = _compare(first, second, batch)
        compared += n_compared
        mismatches += n_different
        samples += len(chunk)
        advance(len(chunk))
        if where is not None:
            first_mismatch = {**where, "sample": start + where["sample"]}
            break
    return Verification(
        [first.name, second.name],
        first.timeline.schedule,
        first.timeline.encoding,
        samples,
        compared,
        mismatches,
        first_mismatch,
    )


def _compare(first: Backend, second: Backend, batch: TokenBatch) -> tuple[int, int, dict[str, Any] | None]:
    a, b = first.run(batch, record=True), second.run(batch, record=True)
    assert a.trains is not None and b.trains is not None
    compared = different = 0
    where: dict[str, Any] | None = None
    for stage in first.network.stages:
        x: NDArray[np.int8 | np.int64] = a.trains[stage.name] if stage.fires else a.logits[None]  # (steps, B, ...)
        y: NDArray[np.int8 | np.int64] = b.trains[stage.name] if stage.fires else b.logits[None]
        x, y = _padded(x, len(y)), _padded(y, len(x))  # settling runs end when they end
        unequal = x != y
        compared += unequal.size
        count = int(np.count_nonzero(unequal))
        different += count
        if count and where is None:
            step, sample, *neuron = (int(i) for i in np.argwhere(unequal)[0])
            at = (step, sample, *neuron)
            where = {
                "layer": stage.name,
                "step": step + 1,
                "sample": sample,
                "neuron": neuron,
                first.name: int(x[at]),
                second.name: int(y[at]),
            }
    return compared, different, where


def _padded(x: NDArray[Any], steps: int) -> NDArray[Any]:
    """``x`` with silence after its last step, up to ``steps``."""
    return np.concatenate([x, np.zeros((steps - len(x), *x.shape[1:]), x.dtype)]) if steps > len(x) else x
