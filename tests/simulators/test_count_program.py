"""A network in one compiled call: its products, and when it is used. Its numbers: `test_count_engine`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spk2loihi.choices import PRESETS, SPIKING_PRESETS
from spk2loihi.compiled import compiled
from spk2loihi.network.network import Network
from spk2loihi.simulators.emulator import count_program
from spk2loihi.simulators.emulator.byte_tiles import BLOCK, DEPTH, VECTORS, has_vnni, multiply, pack_weight
from spk2loihi.simulators.emulator.count_engine import CountEngine
from spk2loihi.simulators.emulator.count_program import compile_network
from spk2loihi.simulators.emulator.counted import Counted
from spk2loihi.simulators.emulator.vector_code import LANES
from support.networks import random_batch, tiny_network

needs_vnni = pytest.mark.skipif(not has_vnni(), reason="this processor has no VNNI instructions")


@compiled
def whole_product(left, right, bias, out, axons):  # type: ignore[no-untyped-def]
    rows, outputs = out.shape
    flat = out.reshape(out.size)
    for column in range(0, outputs, VECTORS * LANES):
        multiply(
            left, 0, axons, DEPTH, rows, right, column * axons, VECTORS * BLOCK, axons // DEPTH, VECTORS, bias, column,
            flat, column, outputs,
        )  # fmt: skip


@needs_vnni
@pytest.mark.parametrize("rows", [*range(1, 14), 97])
def test_products_of_the_largest_bytes(rows: int) -> None:
    """Also where instructions of 16 bits would saturate."""
    rng = np.random.default_rng(rows)
    axons, outputs = 44, 128
    m = rng.integers(0, 256, (rows, axons), dtype=np.uint8)
    weight = rng.integers(-128, 128, (outputs, axons), dtype=np.int8)
    m[0], weight[0], weight[1] = 255, 127, -128
    bias = rng.integers(-(10**6), 10**6, outputs).astype(np.int32)
    out = np.empty((rows, outputs), np.float32)
    whole_product(m.ravel(), pack_weight(weight), bias, out, axons)
    assert np.array_equal(out, m.astype(np.int64) @ weight.T.astype(np.int64) + bias)


@needs_vnni
@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_every_preset_has_a_program(preset: str) -> None:
    assert compile_network(tiny_network(1, preset=preset), "lava") is not None


@needs_vnni
def test_counts_of_one_sentence_are_not_left_to_the_next(network: Network) -> None:
    """Memory lasts from call to call, in every order of sizes."""
    engine = CountEngine(network)
    batches = [random_batch(seed, lengths) for seed, lengths in enumerate([(3,), (16, 16, 16, 16), (1, 2), (9, 5, 9)])]
    expected = [CountEngine(network).run(batch, keep=True) for batch in batches]
    for index in (0, 1, 2, 3, 2, 1, 0):
        for keep in (True, False):
            counted = engine.run(batches[index], keep)
            assert np.array_equal(counted.logits, expected[index].logits)
            for name, n in counted.counts.items():
                assert np.array_equal(n, expected[index].counts[name]), name


@needs_vnni
@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_in_doubt_goes_through_the_integers(preset: str) -> None:
    """Everything here: counts and sums are the same, and only slower."""
    network, batch = tiny_network(4, preset=preset), random_batch(4, (1, 9, 12, 16))
    made, doubting = (compile_network(network, "lava") for _ in range(2))
    assert made is not None and doubting is not None
    doubting.arrays.stages["doubt"] = 1.0
    assert_same(doubting.run(batch, True, False), made.run(batch, True, False), True)


class Inline:
    """Helpers of which one is there before the thread that asked for it: it finds all the work."""

    begun = np.zeros(1, np.int64)

    @staticmethod
    def submit(job: Callable[[], None]) -> None:
        job()


class Absent:
    """Helpers that never come."""

    begun = np.zeros(1, np.int64)

    @staticmethod
    def submit(job: Callable[[], None]) -> None:
        pass


@needs_vnni
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_threads_share_a_run(preset: str, graded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does which part: every count, logit and sum is that of one thread."""
    monkeypatch.setattr(count_program, "_LEAST_ROWS", 1)
    made = compile_network(tiny_network(3, preset=preset), "lava")
    assert made is not None
    for batch in (random_batch(3), random_batch(4, (7,))):
        expected = made.run(batch, True, graded)
        for helpers, threads in ((None, 2), (None, 3), (None, 5), (Inline, 2), (Absent, 3)):
            with monkeypatch.context() as patch:
                if helpers is not None:
                    patch.setattr(count_program, "helpers", lambda helpers=helpers: helpers)
                for keep in (True, False):
                    assert_same(made.run(batch, keep, graded, threads), expected, keep)


def assert_same(counted: Counted, expected: Counted, counts: bool) -> None:
    assert np.array_equal(counted.logits, expected.logits)
    assert list(counted.counts) == (list(expected.counts) if counts else [])
    for name, n in counted.counts.items():
        assert np.array_equal(n, expected.counts[name]), name
    for name, sums in expected.sums.items():
        for one, other in zip(counted.sums[name], sums, strict=True):
            assert np.array_equal(one, other), name


@needs_vnni
def test_a_stopped_run_leaves_its_memory_to_its_helpers(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is late may still write to it."""
    made = compile_network(network, "lava")
    assert made is not None
    batch = random_batch(5)
    expected = made.run(batch, True, False)
    before = made._memory.counts
    with monkeypatch.context() as patch:
        patch.setattr(count_program, "run_program", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.run(batch, True, False, 2)
    assert_same(made.run(batch, True, False, 2), expected, True)
    assert made._memory.counts is not before


def interrupted(*_: Any) -> int:
    raise KeyboardInterrupt


def test_without_the_instructions_there_is_no_program(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_program, "has_vnni", lambda: False)
    assert compile_network(network, "lava") is None
