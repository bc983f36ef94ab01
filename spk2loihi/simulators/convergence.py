"""How fast average spiking rates (ASR) of a pipelined run approach the equilibrium as T grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spk2loihi.data import Encoded, collate, predictions, score
from spk2loihi.export.network import Network
from spk2loihi.simulators.backend import pipelined_overflow
from spk2loihi.simulators.emulator import Emulator
from spk2loihi.simulators.simulate import pad_id

STEPS = (1, 2, 4, 8, 16, 32, 64)
_RESOLUTION = 256  # the reference equilibrium resolves rates to 1 / (256 T): finer than any run above


def measure_convergence(
    network: Network, encoded: list[Encoded], labels: Sequence[float], steps: tuple[int, ...] = STEPS
) -> dict[str, Any]:
    """Mean |ASR(t) - equilibrium ASR| of every firing stage over ``encoded``, and the score, after each of ``steps``.

    One pipelined run of the longest length serves all: a stage's first t steps do not depend on later ones. Lengths at
    which a pipelined run would be refused are left out.
    """
    steps = tuple(t for t in steps if pipelined_overflow(network, t) is None)
    batch = collate(encoded, pad_id(network))
    reference, _ = Emulator(network).equilibrium(batch, _RESOLUTION)
    run = Emulator(network, "pipelined", steps=max(steps)).run(batch, record=True)
    assert run.trains is not None
    most = network.timesteps * _RESOLUTION
    errors: dict[str, list[float]] = {}
    for name, train in run.trains.items():
        equilibrium = reference[name].numpy() / most
        alive = max(1, np.count_nonzero(np.broadcast_to(_alive(network, name, batch.mask), equilibrium.shape)))
        errors[name] = []
        spikes = np.zeros_like(equilibrium)
        for before, t in zip((0, *steps), steps, strict=False):
            spikes += train[before:t].sum(0)
            errors[name].append(float(np.abs(spikes / t - equilibrium).sum() / alive))
    scores = []
    for t in steps:
        logits = Emulator(network, "pipelined", steps=t).logits(run.trains, batch)
        scores.append(score(network.task["metric"], predictions(logits), np.array(labels)))
    return {"steps": list(steps), "sentences": len(encoded), "mean_abs_error": errors, "score": scores}


def _alive(network: Network, name: str, mask: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
    stage = network[name]
    rows = mask[:, :1] if stage.tokens == "first" else mask
    return rows[:, None, :, None] & mask[:, None, None, :] if stage.is_scores else rows[..., None]
