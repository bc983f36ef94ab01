"""Counters of batches that are added one after another."""

from __future__ import annotations

import pytest

from spk2loihi.simulators import create_backend
from spk2loihi.simulators.operation_counter import _TOGETHER, OperationCounter, count_operations
from support.networks import random_batch, tiny_network


@pytest.mark.parametrize(
    ("preset", "schedule", "encoding"),
    [
        ("spikingbert", "windowed", "rate"),
        ("neurocore", "windowed", "graded"),
        ("neurocore", "settling", "rate"),
        ("stock", "streamed", "graded"),
    ],
)
def test_what_is_added_late_is_counted_as_each_batch_alone(preset: str, schedule: str, encoding: str) -> None:
    network = tiny_network(preset=preset)
    backend = create_backend("emulator", network, network.run_config(schedule, encoding=encoding))
    counter, expected, sentences = OperationCounter(backend.timeline), [], 0
    lengths = [(4,), (9, 2), (7,), (3, 3, 16)] * 3
    for seed, each in enumerate(lengths):
        batch = random_batch(seed, each)
        run = backend.totals(batch)
        counter.add(run.sums, batch.lengths, run.settled)
        alone = count_operations(backend.timeline, run.sums, batch.lengths, run.settled)
        expected = [a + b for a, b in zip(expected, alone, strict=True)] if expected else alone
        sentences += len(each)
        if seed in (0, 5):  # asked for in between
            assert counter.counted() == expected
    assert sentences < _TOGETHER, "not all of them waited"
    batch = random_batch(0, (5,) * _TOGETHER)
    run = backend.totals(batch)
    counter.add(run.sums, batch.lengths, run.settled)
    alone = count_operations(backend.timeline, run.sums, batch.lengths, run.settled)
    assert counter.counted() == [a + b for a, b in zip(expected, alone, strict=True)]
