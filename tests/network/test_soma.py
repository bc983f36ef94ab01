"""Integer soma functions against exact and float ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spk2loihi import limits
from spk2loihi.limits import SOMA_THRESHOLD
from spk2loihi.models.ibert import ibert_gelu, ibert_softmax
from spk2loihi.network.soma import (
    GAMMA_BITS,
    GELU_RESULT_MAX,
    P_BITS,
    X_BITS,
    Gelu,
    LayerNorm,
    Multiplier,
    Softmax,
    isqrt,
    rounded_div,
)


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=20))
def test_isqrt_is_exact(values: list[int]) -> None:
    assert isqrt(np.array(values)).tolist() == [math.isqrt(v) for v in values]


@given(st.integers(0, 2**31 - 1), st.integers(-2, 2))
def test_isqrt_is_exact_at_squares(root: int, off: int) -> None:
    value = min(max(0, root * root + off), 2**62 - 1)
    assert isqrt(np.array([value]))[0] == math.isqrt(value)


@given(st.integers(-(2**60), 2**60), st.integers(1, 2**40))
def test_rounded_div(a: int, b: int) -> None:
    assert rounded_div(np.array([a]), b)[0] == math.floor(Fraction(a, b) + Fraction(1, 2))


@given(st.floats(2**-30, 2**30), st.integers(-(2**23), 2**23), st.integers(0, 5))
def test_multiplier_rounds_once(value: float, x: int, halvings: int) -> None:
    m = Multiplier.from_float(value)
    assert m.mantissa <= 2**30
    assert abs(Fraction(m.mantissa, 2**m.shift) / Fraction(value) - 1) <= Fraction(1, 2**24)
    exact = x * Fraction(m.mantissa, 2**m.shift)
    assert m(np.array([x]))[0] == math.floor(exact + Fraction(1, 2))
    halved = m(np.array([x, x]), np.array([halvings, 0]))
    assert halved.tolist() == [math.floor(exact / 2**halvings + Fraction(1, 2)), math.floor(exact + Fraction(1, 2))]


def norm(channels: int, seed: int) -> tuple[LayerNorm, np.ndarray, np.ndarray]:
    """A LayerNorm whose results are a few spikes, and its float gamma and beta in 1/SOMA_THRESHOLD spikes."""
    rng = np.random.default_rng(seed)
    gamma, beta = rng.normal(4, 1, channels) * SOMA_THRESHOLD, rng.normal(0, 1, channels) * SOMA_THRESHOLD
    integer = [np.round(x * 2**GAMMA_BITS).astype(np.int64) for x in (gamma, beta)]
    return LayerNorm(*integer), integer[0] / 2**GAMMA_BITS, integer[1] / 2**GAMMA_BITS


@pytest.mark.parametrize("channels", [16, 384])
@pytest.mark.parametrize("spread", [300, 30_000, 1_000_000])
def test_layernorm_is_the_float_one(channels: int, spread: int) -> None:
    """Off by less than one unit of 1/1024 spike beyond its rounding, for drives of the size networks have."""
    rng = np.random.default_rng(spread)
    soma, gamma, beta = norm(channels, spread)
    u = np.round(rng.normal(rng.normal(0, spread), spread, (50, channels))).astype(np.int64)
    u = np.clip(u, -LayerNorm.max_drive(channels), LayerNorm.max_drive(channels))
    exact = gamma * (u - u.mean(-1, keepdims=True)) / u.std(-1, keepdims=True) + beta
    assert np.abs(soma(u) - exact).max() < 1.5


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([1, 7, 1000, 2**31]))
def test_layernorm_never_overflows(seed: int, channels: int, spread: int) -> None:
    """The float result up to the largest drive it may get: an overflow would be off by thousands."""
    rng = np.random.default_rng(seed)
    soma, gamma, beta = norm(channels, seed)
    most = min(spread, LayerNorm.max_drive(channels), limits.MEMBRANE_MAX)
    u = rng.choice([-most, most, 0, most // 3], channels)
    if np.ptp(u) > 0:
        exact = gamma * (u - u.mean()) / u.std() + beta
        assert np.abs(soma(u) - exact).max() < 2


def test_layernorm_of_equal_values_is_beta() -> None:
    soma, _, beta = norm(16, 0)
    assert np.array_equal(soma(np.full(16, 1234)), np.floor(beta + 0.5))


SOFTMAX_UNIT = 0.003  # float value of one unit of U


def softmax() -> Softmax:
    """Probabilities in units of 2**-P_BITS."""
    return Softmax(Multiplier.from_float(SOFTMAX_UNIT * 2**X_BITS), Multiplier.from_float(1.0))


def test_softmax_is_the_float_one() -> None:
    u = np.round(np.random.default_rng(0).normal(0, 1000, (200, 12))).astype(np.int64)
    p = softmax()(u) / 2**P_BITS
    x = torch.from_numpy(u * SOFTMAX_UNIT)
    assert np.abs(p - ibert_softmax(x).numpy()).max() < 1e-5
    exact = torch.softmax(x, -1).numpy()
    assert np.abs(p / exact - 1)[exact > 1e-3].max() < 0.006  # the polynomial's 0.3 %, above and below the line
    assert np.abs(p.sum(-1) - 1).max() < 12 / 2**P_BITS


@given(st.lists(st.integers(-(2**23), 2**23), min_size=2, max_size=8), st.integers(1, 255))
def test_masked_keys_get_exactly_nothing(u: list[int], bits: int) -> None:
    values = np.array(u)
    mask = np.array([bool(bits >> i & 1) for i in range(len(u))])
    p = softmax()(values, mask)
    assert not p[~mask].any()
    assert (p >= 0).all()
    if mask.any():
        assert np.array_equal(p[mask], softmax()(values[mask]))  # as if masked keys were not there
        assert p.sum() <= 2**P_BITS
        assert 2**P_BITS - p.sum() <= len(u)


def test_gelu_is_the_float_one() -> None:
    unit = 0.0004
    gelu = Gelu(Multiplier.from_float(unit * 2**X_BITS), Multiplier.from_float(2.0**-9), np.array([0]))
    u = np.arange(-10_000, 10_001)[:, None]  # -4 to 4
    y = gelu(u)[:, 0] / 2.0 ** (X_BITS - 9)
    x = torch.from_numpy(u[:, 0] * unit)
    assert np.abs(y - ibert_gelu(x).numpy()).max() < 3e-5
    assert np.abs(y - torch.nn.functional.gelu(x).numpy()).max() < 0.0185  # I-BERT's 0.018
    assert gelu(np.array([[0]])) == 0


def test_gelu_exponents_divide_channels() -> None:
    one = Multiplier.from_float(2.0**X_BITS), Multiplier.from_float(1000 / 2**X_BITS)
    gelu = Gelu(*one, np.array([0, 1, 3]))
    assert gelu(np.array([[10, 10, 10]])).tolist() == [[10_000, 5000, 1250]]  # gelu(10) is 10


def test_gelu_saturates_beyond_every_count() -> None:
    """A worst-case drive leaves the membrane within its bits, and the count of the longest window is as it was."""
    gelu = Gelu(Multiplier.from_float(0.01 * 2**X_BITS), Multiplier.from_float(10_000 / 2**X_BITS), np.array([0]))
    u = np.arange(-(2**20), 2**20, 97)[:, None]
    z, exact = gelu(u)[:, 0], 100.0 * np.maximum(u[:, 0], 0)  # GELU is the identity far from 0
    assert z.max() == GELU_RESULT_MAX < limits.MEMBRANE_MAX < exact.max()
    far = np.abs(u[:, 0]) > 1000
    counts, expected = (np.clip((x + SOMA_THRESHOLD // 2) // SOMA_THRESHOLD, 0, 127) for x in (z, exact))
    assert np.array_equal(counts[far], expected[far]) and counts.max() == 127
