"""The count-based engine against its reference, `Emulator.equilibrium`: every number equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spk2loihi.choices import ARITHMETICS, SPIKING_PRESETS, Arithmetic
from spk2loihi.data import TokenBatch
from spk2loihi.network.network import Network, Stage, SynapseGroup
from spk2loihi.network.soma import Gelu, HeadAffine, LayerNorm, Multiplier, Softmax
from spk2loihi.simulators.counters import EventSums
from spk2loihi.simulators.emulator import byte_products, firing
from spk2loihi.simulators.emulator import count_engine as counting
from spk2loihi.simulators.emulator.attention_firing import AffineScoreFire, SoftmaxFire
from spk2loihi.simulators.emulator.byte_products import ByteProduct, FloatProduct, make_product, pack
from spk2loihi.simulators.emulator.count_engine import CountEngine
from spk2loihi.simulators.emulator.emulator import Emulator
from spk2loihi.simulators.emulator.event_sums import tally, tally_sentences
from spk2loihi.simulators.emulator.firing import AffineFire, GeluFire, LayerNormFire
from spk2loihi.simulators.emulator.soma_kernels import fire_layer_norm
from support.networks import random_batch, tiny_network

T = 16


def assert_reference(network: Network, batch: TokenBatch, graded: bool = False) -> None:
    """Of the engine as it is on this processor, and of the one that runs stage by stage."""
    assert_engine(CountEngine(network, graded), network, batch, graded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "compile_network", lambda network, arithmetic: None)
        stage_wise = CountEngine(network, graded)
    assert_engine(stage_wise, network, batch, graded)


def assert_engine(engine: CountEngine, network: Network, batch: TokenBatch, graded: bool) -> None:
    counts, readout = Emulator(network).equilibrium(batch)
    kept = engine.run(batch, keep=True)
    if network.readout.tokens == "all":
        assert np.array_equal(kept.logits[batch.mask], readout.numpy()[batch.mask])
        assert not kept.logits[~batch.mask].any()
    else:
        assert np.array_equal(kept.logits, readout[:, 0].numpy())
    assert list(kept.counts) == list(counts)
    for name, n in counts.items():
        assert np.array_equal(kept.counts[name], n.numpy()), name
    streamed = engine.run(batch, keep=False)
    firsts = {source for stage in network.stages if stage.tokens == "first" for source in stage.sources}
    attended = {source for stage in network.stages if stage.attention for source in stage.sources}
    assert np.array_equal(streamed.logits, kept.logits)
    for name, n in kept.counts.items():
        expected = EventSums.of(n, n != 0 if graded else np.abs(n))
        for sums in (kept.sums[name], streamed.sums[name]):
            for field in ("spikes", "events", "channels", "first_channels", "sentences", "first"):
                own = getattr(sums, field)
                if own is None:
                    unused = name not in (firsts if field.startswith("first") else attended)
                    assert unused or network[name].is_scores, (name, field)
                else:
                    assert np.array_equal(own, getattr(expected, field)), (name, field)


@pytest.mark.parametrize("timesteps", [1, 16, 127])
@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_engine_is_the_reference(preset: str, timesteps: int) -> None:
    assert_reference(tiny_network(timesteps, preset=preset, timesteps=timesteps), random_batch(timesteps))


@pytest.mark.parametrize("preset", ["spikingbert", "neurocore"])
def test_engine_reads_every_token(preset: str) -> None:
    network = tiny_network(2, preset=preset, head="tokens")
    assert network.readout.tokens == "all"
    assert_reference(network, random_batch(2))


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_both_engines_have_both_arithmetics(arithmetic: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are by definition: `test_emulator`."""
    network, batch = tiny_network(3, preset="stock", timesteps=127), random_batch(3)
    made = CountEngine(network, True, arithmetic).run(batch, keep=True)
    monkeypatch.setattr(counting, "compile_network", lambda network, arithmetic: None)
    expected = CountEngine(network, True, arithmetic).run(batch, keep=True)
    assert np.array_equal(made.logits, expected.logits)
    for name, n in expected.counts.items():
        assert np.array_equal(made.counts[name], n), name


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_engine_without_signed_spikes_with_graded_ones_and_without_bytes(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_reference(tiny_network(5, preset=preset, signed=False), random_batch(5))
    network = tiny_network(6, preset=preset)
    assert_reference(network, random_batch(6), graded=True)
    assert_reference(network, random_batch(6, (7, 7)))  # nothing to pad
    assert_reference(network, random_batch(6, (1,)))
    monkeypatch.setattr(counting, "make_product", lambda group, zero, most, bias: FloatProduct(group, zero, bias))
    assert_reference(network, random_batch(6))


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
def test_sentences_longer_than_a_vector(preset: str) -> None:
    """And channels that are no whole vectors."""
    sizes = {"max_tokens": 48, "max_position_embeddings": 64, "hidden_size": 24, "intermediate_size": 40}
    assert_reference(tiny_network(8, preset=preset, **sizes), random_batch(8, (15, 16, 17, 33, 48)))


def test_soma_functions_without_a_fast_form_go_through_their_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that somebody adds: registered, but unknown to the engine."""
    monkeypatch.setattr(firing, "_FIRES", {})
    assert_reference(tiny_network(7), random_batch(7))
    assert_reference(tiny_network(7, signed=False), random_batch(7))


def test_sentences_take_turns_within_the_budget(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = random_batch(1, (3, 4, 5, 9, 10))
    whole = counting.parts(batch, heads=2)
    assert [part.lengths.tolist() for part in whole] == [[3, 4, 5, 9, 10]]
    monkeypatch.setattr(counting, "_TOKENS", 16)
    turns = counting.parts(batch, heads=2)
    assert [part.lengths.tolist() for part in turns] == [[3, 4, 5], [9], [10]]
    assert all(part.input_ids.shape == part.mask.shape for part in turns)
    assert_reference(network, batch)
    monkeypatch.setattr(counting, "_LEAST_TOKENS", 1)
    assert [part.lengths.tolist() for part in counting.parts(batch, heads=2, threads=3)] == [[3, 4], [5], [9], [10]]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert_reference(network, batch)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    monkeypatch.setattr(counting, "_TOKENS", 10**6)
    monkeypatch.setattr(counting, "_SCORES", 2 * 2 * 5**2)
    assert [part.lengths.tolist() for part in counting.parts(batch, heads=2)] == [[3, 4], [5], [9], [10]]
    assert_reference(network, batch)


@pytest.mark.parametrize(("zero", "most"), [(16, 16), (0, 16), (4, 4), (64, 64), (0, 127), (0, 1), (1, 1)])
def test_packed_products_are_the_synapses(zero: int, most: int) -> None:
    """Mantissas and exponents at their limits, in axons at theirs."""
    rng = np.random.default_rng(most)
    weight = rng.integers(-254, 255, (24, 40))
    weight[:, :30] //= 2
    weight[0], weight[1] = 127, -127
    group = SynapseGroup("x", weight, np.where(np.arange(40) < 36, rng.integers(0, 2, 40), rng.integers(0, 8, 40)))
    group.exponent[:20] = 0
    n = rng.integers(-most if zero else 0, most + 1, (50, 40))
    n[0], n[1] = most, -most if zero else 0
    packed = pack(group, zero, most)
    bias = rng.integers(-1000, 1000, 24).astype(np.float64)
    expected = n @ group.scaled.T + bias
    m = (n + zero).astype(np.uint8)
    for product in (make_product(group, zero, most, bias), FloatProduct(group, zero, bias)):
        assert np.array_equal(product.drive(m), expected)
    if packed is not None:
        product = ByteProduct(*packed, bias)
        assert product.bytes(m).max() <= 128
        for threshold in (1, 2, 7, 1024, 6001):
            fired = product.fire(m, threshold, zero, most).astype(int) - zero
            low = -most if zero else 0
            assert np.array_equal(fired, np.clip((expected + threshold // 2) // threshold, low, most)), threshold


def test_axons_that_take_too_many_copies_are_left_to_floats() -> None:
    group = SynapseGroup("x", np.full((3, 4), 127), np.full(4, 7))
    assert pack(group, 64, 64) is None  # no room in a byte, 128 copies
    assert pack(group, 100, 100) is None  # counts of 0 to 200 could saturate
    assert isinstance(make_product(group, 64, 64, np.zeros(3)), FloatProduct)


def test_a_kernel_that_is_not_exact_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturating(ByteProduct):
        def drive(self, m: NDArray[np.uint8]) -> NDArray[np.float32]:
            return super().drive(m).clip(-32768, 32767)

    byte_products.byte_kernel_is_exact.cache_clear()
    try:
        monkeypatch.setattr(byte_products, "ByteProduct", Saturating)
        group = SynapseGroup("x", np.ones((3, 4), np.int64), np.zeros(4, np.int64))
        assert isinstance(make_product(group, 4, 4, np.zeros(3)), FloatProduct)
    finally:
        byte_products.byte_kernel_is_exact.cache_clear()


def stage(soma: object, threshold: int, channels: int = 64, max_drive: int = 2**20) -> Stage:
    return Stage("s", 1, channels, threshold, soma=soma, max_drive=max_drive)  # type: ignore[arg-type]


def integer_counts(
    one: Stage, u: NDArray[np.float32], zero: int, mask: NDArray[np.bool_] | None = None, most: int = T
) -> NDArray[Any]:
    z = u.astype(np.int64)
    if one.soma is not None:
        z = one.soma(z, mask)
    return np.clip((z + one.threshold // 2) // one.threshold, -most if zero else 0, most)


def test_firing_on_both_sides_of_every_threshold() -> None:
    for threshold in (1, 2, 3, 1024, 131071):
        at = np.arange(-T - 2, T + 3) * threshold - threshold // 2
        u = np.concatenate([at - 1, at, at + 1]).astype(np.float32)[None]
        for zero in (0, T):
            one = stage(None, threshold)
            assert np.array_equal(AffineFire(one, zero, T)(u), integer_counts(one, u, zero) + zero), (threshold, zero)


def test_head_affine_with_terms_that_cancel() -> None:
    rng = np.random.default_rng(0)
    soma = HeadAffine(np.array([254, -200, 1]), np.array([-1_000_000, 900_000, 5]))
    u = rng.integers(0, 8192, (5, 3, 20, 20)).astype(np.float32)
    one = stage(soma, 1315, max_drive=8192)
    lengths, sums = np.full(5, 20), np.empty((2, 5), np.int64)
    expected = integer_counts(one, u, 0)
    AffineScoreFire(one, T)(u, lengths, lengths, sums)
    assert np.array_equal(u, expected)
    assert np.array_equal(sums, [expected.sum((1, 2, 3)), (expected > 0).sum((1, 2, 3))])


def layer_norm_rows(rng: np.random.Generator, d: int) -> NDArray[np.float32]:
    """Also rows of one value, of two neighbours, and with means far from 0."""
    wide = rng.normal(size=(2000, d)) * 10.0 ** rng.uniform(0, 5, (2000, 1))
    far = rng.normal(size=(50, d)) * 30 + rng.integers(-(10**6), 10**6, (50, 1))
    flat = np.repeat(rng.integers(-1000, 1000, (20, 1)), d, axis=1)
    pairs = flat + (rng.random((20, d)) < 0.1)
    return np.concatenate([wide, far, flat, pairs, np.zeros((1, d))]).round().astype(np.float32)


@pytest.mark.parametrize("threshold", [1024, 999])
@pytest.mark.parametrize("zero", [0, T])
def test_layer_norm_is_the_integer_one(zero: int, threshold: int) -> None:
    rng = np.random.default_rng(zero)
    soma = LayerNorm(rng.integers(-(2**27), 2**27, 64), rng.integers(-(2**25), 2**25, 64))
    one = stage(soma, threshold)
    u = layer_norm_rows(rng, 64)
    expected = integer_counts(one, u, zero) + zero
    fire = LayerNormFire(one, zero, T)
    out = np.empty(u.shape, np.uint8)
    scaled, exact = fire.scaled, (soma.gamma, soma.beta, threshold, zero, T, out)
    computed = fire_layer_norm(u, *scaled, fire.doubt, *exact)
    assert np.array_equal(out, expected)
    assert 64 * 41 <= computed < 64 * 100  # the degenerate rows, and few others
    assert fire_layer_norm(u, *scaled, 1.0, *exact) == u.size  # all doubtful
    assert np.array_equal(out, expected)
    assert np.array_equal(fire(u), expected)


def test_gelu_is_the_integer_one() -> None:
    soma = Gelu(Multiplier.from_float(1 / 1443 * 2**24), Multiplier.from_float(13_000 / 2**24), np.arange(24) % 4)
    one = stage(soma, 1024, 24, 300_000)  # more than one vector of channels
    u = np.repeat(np.arange(-300_000, 300_001, 7, dtype=np.float32)[:, None], 24, axis=1)
    for zero in (0, T):
        fire = GeluFire(one, zero, T)
        expected = integer_counts(one, u, zero) + zero
        assert np.array_equal(fire(u), expected)
        assert fire.doubt < 1e-3
        fire.doubt = 1.0
        assert np.array_equal(fire(u), expected)


def test_softmax_is_the_integer_one() -> None:
    rng = np.random.default_rng(0)
    one = stage(Softmax(Multiplier.from_float(0.01 * 2**24), Multiplier.from_float(30 * 1024 / 2**28)), 1024, 3, 8192)
    u = (rng.normal(size=(40, 3, 12, 12)) * rng.choice([1, 30, 500, 3000], (40, 1, 1, 1))).round()
    u = u.clip(-8192, 8192).astype(np.float32)
    lengths, full = rng.integers(1, 13, 40), np.full(40, 12)
    exists = np.arange(12) < lengths[:, None]
    fire = SoftmaxFire(one, T, keys=12)
    assert fire.doubt < 1e-3
    for doubt in (fire.doubt, 1.0):  # then everything is doubtful
        fire.doubt = doubt
        for rows, keys in ((lengths, exists), (full, np.ones_like(exists))):
            expected = integer_counts(one, u, 0, keys[:, None, None, :]) * keys[:, None, :, None]
            n, sums = u.copy(), np.empty((2, 40), np.int64)
            exact = fire(n, rows, rows, sums)
            assert np.array_equal(n, expected)
            assert np.array_equal(sums, [expected.sum((1, 2, 3)), (expected > 0).sum((1, 2, 3))])
            assert exact == 3 * rows.sum() if doubt == 1 else exact < 30


def test_floats_alone_would_not_do() -> None:
    """Many elements at the largest T: without a doubt some would be fired wrongly, with it none is."""
    rng, most = np.random.default_rng(0), 127
    norm = stage(LayerNorm(rng.integers(2**28, 2**29, 64), np.zeros(64, np.int64)), 1024)
    gelu = stage(
        Gelu(Multiplier.from_float(2**24 / 300_000), Multiplier.from_float(60 / 2**14), np.zeros(16, int)), 1024, 16
    )
    softmax = stage(Softmax(Multiplier.from_float(0.003 * 2**24), Multiplier.from_float(250 / 2**18)), 1024, 1, 8192)
    wide = (rng.normal(size=(15_000, 64)) * 9000).round().astype(np.float32)
    scores = (rng.normal(size=(1, 1, 60_000, 12)) * 400).round().clip(-8192, 8192).astype(np.float32)
    rows, keys, sums = np.array([60_000]), np.array([12]), np.empty((2, 1), np.int64)

    def fire_scores(fire: SoftmaxFire) -> NDArray[np.float32]:
        n = scores.copy()
        fire(n, rows, keys, sums)
        return n

    drives = np.arange(-800_000, 800_000, dtype=np.float32).reshape(-1, 16)
    layer_norm_fire, gelu_fire = LayerNormFire(norm, most, most), GeluFire(gelu, most, most)
    softmax_fire = SoftmaxFire(softmax, most, keys=12)
    for fire, counts, expected in (
        (layer_norm_fire, lambda: layer_norm_fire(wide), integer_counts(norm, wide, most, most=most) + most),
        (gelu_fire, lambda: gelu_fire(drives), integer_counts(gelu, drives, most, most=most) + most),
        (softmax_fire, lambda: fire_scores(softmax_fire), integer_counts(softmax, scores, 0, most=most)),
    ):
        assert np.array_equal(counts(), expected), fire
        fire.doubt = -0.001  # nothing is
        assert not np.array_equal(counts(), expected), fire


def test_soma_stages_of_wide_layers_use_their_bounds() -> None:
    """The bound on the error stays useful at the widths and T of real students."""
    for d in (384, 768, 4096):
        soma = LayerNorm(np.full(d, 2**24), np.zeros(d, np.int64))
        assert LayerNormFire(stage(soma, 1024, d), T, T).doubt < 1e-3


@pytest.mark.parametrize(("zero", "most"), [(16, 16), (0, 127), (127, 127), (1, 1), (0, 16)])
@pytest.mark.parametrize("graded", [False, True])
def test_sums_of_events_at_the_largest_counts(zero: int, most: int, graded: bool) -> None:
    rng = np.random.default_rng(most)
    n = rng.choice([-most if zero else 0, 0, most], (700, 33))
    n[:, 0], n[:, 1] = most, -most if zero else 0
    m, events = (n + zero).astype(np.uint8), (n != 0) if graded else np.abs(n)
    channels, starts = np.zeros(33, np.int64), np.array([0, 1, 300, 700])
    tally(m, zero, most, graded, channels)
    assert np.array_equal(channels, events.sum(0))
    sentences, again = np.empty(3, np.int64), np.zeros(33, np.int64)
    tally_sentences(m, zero, most, graded, starts, again, sentences)
    assert np.array_equal(again, channels)
    assert np.array_equal(sentences, np.add.reduceat(events.sum(1), starts[:-1]))
