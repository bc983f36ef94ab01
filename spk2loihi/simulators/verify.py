"""Compare two backends spike for spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.data import Encoded, TokenBatch, collate
from spk2loihi.simulators.backend import Backend, Populations
from spk2loihi.simulators.simulate import pad_id


@dataclass(frozen=True)
class Verification:
    """Two backends compared, neuron by neuron and step by step.

    Attributes:
        spikes_compared: neuron-steps; streamed on both sides process by process: of all populations.
        first_mismatch: sample, layer, step, neuron and both values; None where all are equal. Of a population that is
            no layer of its own: its name, the step of the run, neuron and both values.
        populations: neuron processes compared in every step of a streamed run; 0 where a backend has none.
    """

    backends: list[str]
    schedule: Schedule
    encoding: Encoding
    samples: int
    spikes_compared: int
    mismatches: int
    first_mismatch: dict[str, Any] | None
    populations: int = 0

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
    compared = samples = mismatches = populations = 0
    first_mismatch: dict[str, Any] | None = None
    for start in range(0, len(encoded), batch_size):
        chunk = encoded[start : start + batch_size]
        batch = collate(chunk, pad_id(first.network))
        n_compared, n_different, where, populations = _compare(first, second, batch)
        compared += n_compared
        mismatches += n_different
        samples += len(chunk)
        advance(len(chunk))
        if where is not None:
            first_mismatch = where
            if "sample" in where:
                first_mismatch["sample"] += start
            break
    return Verification(
        [first.name, second.name],
        first.timeline.schedule,
        first.timeline.encoding,
        samples,
        compared,
        mismatches,
        first_mismatch,
        populations,
    )


def _compare(first: Backend, second: Backend, batch: TokenBatch) -> tuple[int, int, dict[str, Any] | None, int]:
    """Neuron-steps, those that differ, the first of them, and populations compared."""
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
    if a.populations is None or b.populations is None:
        return compared, different, where, 0
    compared, unequal_messages, elsewhere = _compare_populations(first, second, a.populations, b.populations)
    return compared, max(different, unequal_messages), where or elsewhere, len(a.populations)


def _compare_populations(
    first: Backend, second: Backend, a: Populations, b: Populations
) -> tuple[int, int, dict[str, Any] | None]:
    """What every neuron process sent in every step of the run, stages included."""
    if {name: x.shape for name, x in a.items()} != {name: y.shape for name, y in b.items()}:
        raise ValueError("the backends have other populations: run both with as many slots")
    different = 0
    earliest: tuple[int, dict[str, Any] | None] = (0, None)
    for name, x in a.items():
        y = b[name]
        unequal = x != y
        count = int(np.count_nonzero(unequal))
        different += count
        if count:
            step, neuron = (int(i) for i in np.argwhere(unequal)[0])
            if earliest[1] is None or step < earliest[0]:
                found = {"population": name, "step": step + 1, "neuron": neuron}
                earliest = (step, {**found, first.name: int(x[step, neuron]), second.name: int(y[step, neuron])})
    return sum(x.size for x in a.values()), different, earliest[1]


def _padded(x: NDArray[Any], steps: int) -> NDArray[Any]:
    """``x`` with silence after its last step, up to ``steps``."""
    return np.concatenate([x, np.zeros((steps - len(x), *x.shape[1:]), x.dtype)]) if steps > len(x) else x
