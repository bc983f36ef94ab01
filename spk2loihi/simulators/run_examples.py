"""Whole sets of sentences through backends: what `simulate` and `verify` do, but for reading data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spk2loihi.data import Encoded, Examples, TaskSpec
from spk2loihi.progress import progress_bar
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.launched import is_main_process, simulate_together
from spk2loihi.simulators.simulate import Simulation, encode, predict
from spk2loihi.simulators.verify import Verification, verify

if TYPE_CHECKING:
    from spk2loihi.simulators.shards import Spread

#: Sentences a batch. Lava steps few at a time; the count engine is fastest on many.
_BATCH = {"cpu": 8, "loihi2": 8, "stepped": 32}
_BATCH_OF_COUNTS, _BATCH_OF_RECORDS = 64, 32


def simulate_examples(
    backend: Backend, examples: Examples, spec: TaskSpec | None = None, spread: Spread | None = None
) -> Simulation:
    """Run labelled ``examples``, cut to the network's limit, and score the answers.

    In all processes that `accelerate launch` has started, where every process gets the whole; or on a cluster.

    Args:
        spec: task of the examples; the network's own if not given.
        spread: over a cluster; None: they run in this process.
    """
    result, encoded = _simulate(backend, examples, refuse_long=False, spread=spread)
    return result.labelled(spec or TaskSpec.from_dict(backend.network.task), examples, encoded)


def simulate_texts(backend: Backend, texts: Sequence[str]) -> Simulation:
    """Run sentences without labels; one beyond the network's limit is refused."""
    result, encoded = _simulate(backend, Examples(list(texts), None, [0] * len(texts)), refuse_long=True)
    return replace(result, predictions=predict(backend.network, texts, result.logits, encoded))


def _simulate(
    backend: Backend, examples: Examples, refuse_long: bool, spread: Spread | None = None
) -> tuple[Simulation, list[Encoded]]:
    encoded, truncated = encode(backend.network, examples, refuse_long=refuse_long)
    with progress_bar() as bar:
        bar.disable = bar.disable or not is_main_process()
        task = bar.add_task(f"simulate ({backend.name})", total=len(encoded))
        batch = _BATCH.get(backend.name, _BATCH_OF_COUNTS)
        if spread is None:
            result = simulate_together(backend, encoded, batch, lambda n: bar.advance(task, n))
        else:
            from spk2loihi.simulators.shards import simulate_spread

            result = simulate_spread(backend, encoded, spread, batch, lambda n: bar.advance(task, n))
    return replace(result, truncated=truncated, metrics=(backend.network.task["metric"],)), encoded


def verify_examples(first: Backend, second: Backend, examples: Examples) -> Verification:
    """Compare two backends on ``examples``, spike for spike."""
    encoded, _ = encode(first.network, examples)
    with progress_bar() as bar:
        task = bar.add_task(f"verify {first.name} against {second.name}", total=len(encoded))
        batch = min(_BATCH.get(backend.name, _BATCH_OF_RECORDS) for backend in (first, second))
        return verify(first, second, encoded, batch, lambda n: bar.advance(task, n))
