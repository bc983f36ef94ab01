"""Loops of the emulator that are written as vectors, beside numpy and the integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spk2loihi.compiled import compiled
from spk2loihi.network.network import Stage
from spk2loihi.network.soma import Multiplier, Softmax
from spk2loihi.simulators.emulator.attention_firing import SoftmaxFire, float_exponential
from spk2loihi.simulators.emulator.byte_products import spread_axons
from spk2loihi.simulators.emulator.byte_tiles import has_vnni
from spk2loihi.simulators.emulator.query_vectors import pack_queries, softmax_of_queries

needs_vnni = pytest.mark.skipif(not has_vnni(), reason="this processor has no VNNI instructions")


@pytest.mark.parametrize("d", [1, 5, 63, 64, 65, 128, 200])
def test_axons_of_any_number(d: int) -> None:
    """Whole vectors, a last one that overlaps, or none."""
    rng = np.random.default_rng(d)
    m, factor, offset = (rng.integers(0, 32, shape, dtype=np.uint8) for shape in ((7, d), d, d))
    repeated = rng.integers(0, d, 3)
    x = np.full((7, d + 5), 99, np.uint8)
    spread_axons(m, factor, offset, repeated, x)
    scaled = (m.astype(np.int64) * factor + offset).astype(np.uint8)
    assert np.array_equal(x, np.hstack([scaled, scaled[:, repeated], np.full((7, 2), 99)]))


@compiled
def packed_queries(counts, start, apart, live, zero, blocks, factor, packed, sums):  # type: ignore[no-untyped-def]
    pack_queries(counts, start, apart, live, zero, blocks, factor, packed, 3, 20, sums, 2)


@needs_vnni
@pytest.mark.parametrize("live", [1, 7, 16])
def test_queries_are_packed_in_fours(live: int) -> None:
    rng = np.random.default_rng(live)
    counts, zero, blocks = rng.integers(0, 255, 16 * 30, dtype=np.uint8), 127, 3
    packed, sums = np.zeros(3 + 20 * blocks, np.uint32), np.zeros(18, np.int32)
    packed_queries(counts, 6, 30, live, zero, blocks, -7, packed, sums)
    rows = counts[6:].astype(np.int64)
    n = np.stack([rows[30 * i : 30 * i + 4 * blocks] - zero for i in range(live)])
    found = packed[3:].reshape(blocks, 20)[:, :live].copy().view(np.int8).reshape(blocks, live, 4)
    assert np.array_equal(found.swapaxes(0, 1).reshape(live, -1), n)
    assert np.array_equal(sums[2 : 2 + live], -7 * n.sum(1))


MOST = 127
SOFTMAX = Softmax(Multiplier.from_float(0.003 * 2**24), Multiplier.from_float(250 / 2**18))


@pytest.fixture(scope="module")
def fire() -> SoftmaxFire:
    one: Any = Stage.__new__(Stage)
    for name, value in {"soma": SOFTMAX, "threshold": 1024, "max_drive": 8192}.items():
        object.__setattr__(one, name, value)
    return SoftmaxFire(one, MOST, keys=13)


@compiled
def softmax_of_all(u, keys, live, unit, last, spikes, offset, doubt, most, e, words, sums):  # type: ignore[no-untyped-def]
    for block in range(len(u)):
        sums[block] = softmax_of_queries(
            u[block], 0, 16, keys, live, unit, last, spikes, offset, doubt, most, e[block], words[block], 0, 16
        )


def softmax_counts(
    fire: SoftmaxFire, u: NDArray[np.float32], live: int, doubt: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Counts (blocks, keys, 16), sums (blocks, 3) and exponentials of scores (blocks, keys, 16)."""
    blocks, keys, _ = u.shape
    fours = -(-keys // 4)
    e, words = np.zeros((blocks, (keys + 3) * 16), np.float32), np.zeros((blocks, fours * 16), np.uint32)
    sums = np.zeros((blocks, 3), np.int64)
    softmax_of_all(
        u.reshape(blocks, -1), keys, live, fire.unit, fire.last, fire.spikes, fire.offset, doubt, float(MOST), e, words,
        sums,
    )  # fmt: skip
    n = words.view(np.uint8).reshape(blocks, fours, 16, 4).swapaxes(2, 3).reshape(blocks, -1, 16)
    assert not n[:, keys:].any()
    return n[:, :keys].astype(np.int64), sums, e.reshape(blocks, -1, 16)[:, :keys]


@needs_vnni
@pytest.mark.parametrize("live", [3, 16])
def test_softmax_is_the_integer_one_but_for_doubts(fire: SoftmaxFire, live: int) -> None:
    """Lanes in doubt are told; without a doubt some would be wrong."""
    rng = np.random.default_rng(live)
    u = (rng.normal(size=(20_000, 13, 16)) * 400).round().clip(-8192, 8192).astype(np.float32)
    z = SOFTMAX(u.swapaxes(1, 2).astype(np.int64), np.ones(13, bool))
    expected = ((z + 512) // 1024).clip(0, MOST).swapaxes(1, 2)
    n, sums, e = softmax_counts(fire, u, live, fire.doubt_of_floats)
    doubtful = (sums[:, :1] >> np.arange(16) & 1).astype(bool)  # (blocks, 16)
    assert not doubtful[:, live:].any()
    assert 0 < doubtful.mean() < 0.1
    sure = ~doubtful
    sure[:, live:] = False
    assert np.array_equal(n.swapaxes(1, 2)[sure], expected.swapaxes(1, 2)[sure])
    assert np.array_equal(sums[:, 1], n[:, :, :live].sum((1, 2)))
    assert np.array_equal(sums[:, 2], (n[:, :, :live] > 0).sum((1, 2)))
    distance = np.minimum(u.max(1, keepdims=True) - u, np.float32(fire.last))
    assert np.allclose(e, float_exponential(distance, fire.unit), rtol=2**-22)
    n, sums, _ = softmax_counts(fire, u, live, -1.0)
    assert not sums[:, 0].any()
    assert not np.array_equal(n[:, :, :live], expected[:, :, :live])


def test_float_exponentials_stay_within_their_doubt(fire: SoftmaxFire) -> None:
    """And the doubt stays useful."""
    distance = np.arange(int(fire.last) + 1, dtype=np.float32)
    off = np.abs(float_exponential(distance, fire.unit) - fire.table[:-1]).max() / fire.table.max()
    assert off < 2**-20
    assert fire.doubt < fire.doubt_of_floats < 2 * fire.doubt
