"""Weights as Lava fits them into eight bits, recurrent layers and delays, beside Lava."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.netx import StockNetwork
from spk2loihi.netx.synapse import DenseSynapse
from spk2loihi.simulators.lava.importing import import_lava
from support.netx_files import STEPS, assert_equal_to_lava, binary, dense, dense_rec, inputs, neuron, write_netx

WEIGHTS: dict[str, tuple[list[list[int]], bool]] = {  # and whether stock Lava changes them
    "ternary": ([[-1, 0, 1], [1, 1, -1]], False),
    "small and even": ([[-6, 0, 4], [2, 8, -2]], False),
    "positive": ([[1, 2, 3], [5, 9, 7]], False),
    "not negative": ([[0, 255, 4], [16, 1, 0]], False),
    "negative": ([[-1, -2, -3], [-100, -255, -7]], False),
    "widest mixed": ([[-256, 254, 0], [-2, 4, 128]], False),
    "mixed and too wide": ([[-700, 300, 12], [255, -257, 3]], True),
    "positive and too wide": ([[1, 256, 3], [5, 9, 7]], True),
    "negative and too wide": ([[-300, -1, -3], [-5, -9, -7]], True),
    "negative, smallest -256": ([[-256, -1, -3], [-5, -9, -7]], True),
    "minus one and zero": ([[-1, 0, -1], [0, -1, -1]], True),
    "not positive": ([[-3, 0, -7], [0, -1, -5]], False),
    "not positive, a power of two": ([[-64, 0, -7], [0, -1, -5]], True),
    "not positive, wide and odd": ([[-201, 0, -7], [0, -1, -5]], True),
    "not positive, too wide": ([[-300, 0, -7], [0, -1, -5]], True),
    "all -256": ([[-256] * 3] * 2, True),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_as_lava_fits_them_into_eight_bits(tmp_path: Path, name: str) -> None:
    """The loader's `optimize_weight_bits` and Dense's clipping and truncation, without running a network."""
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    import_lava()
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    weight, changed = np.array(WEIGHTS[name][0]), WEIGHTS[name][1]
    with np.errstate(divide="ignore"):
        fitted, bits, exponent, _ = optimize_weight_bits(weight)
    mode = determine_sign_mode(fitted)
    fitted = truncate_weights(clip_weights(fitted, mode, num_bits=8), mode, bits)
    path = write_netx(tmp_path / "dense.net", inputs(3), dense(weight, bias=np.array([300]), neuron=neuron(0, 0, 3000)))
    if changed:
        with pytest.warns(UserWarning, match="layer 1 .dense.: stock Lava changes"):
            network = StockNetwork.from_file(path)
    else:
        network = StockNetwork.from_file(path)
    spikes = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1]], np.int32)
    want = (spikes @ fitted.T << exponent) if exponent > 0 else (spikes @ fitted.T >> -exponent)
    synapse = network.layers[0].synapse
    assert synapse is not None
    np.testing.assert_array_equal(synapse.drive(spikes[:, None], 1)[:, 0], want)


@pytest.mark.parametrize("name", ["minus one and zero", "not positive, wide and odd", "positive and too wide"])
@pytest.mark.filterwarnings("ignore:layer 1", "ignore:divide by zero")
def test_networks_whose_weights_lava_changes(tmp_path: Path, name: str) -> None:
    path = write_netx(
        tmp_path / "dense.net",
        inputs(3),
        dense(np.array(WEIGHTS[name][0]), bias=np.array([7]), neuron=neuron(4096, 100, 25)),
    )
    assert_equal_to_lava(path, binary(np.random.default_rng(6), 3, 20))


@pytest.mark.parametrize("density", [0.02, 0.2, 0.5])  # rows of the weights, or a matrix product
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_dense_sums_are_those_of_integers(density: float, shift: int) -> None:
    rng = np.random.default_rng(shift)
    mantissa = rng.integers(-255, 256, (33, 211))
    spikes = (rng.random((2, 9, 211)) < density).astype(np.uint8)
    got = DenseSynapse(mantissa, shift).drive(spikes[:, :8], 1)
    np.testing.assert_array_equal(got, spikes[:, :8].astype(np.int64) @ mantissa.T >> shift)


# --- recurrent layers and delays


def test_recurrent_layer(tmp_path: Path) -> None:
    """Both weight matrices share one optimisation; the recurrent one, of one sign, is then truncated on its own."""
    rng = np.random.default_rng(11)
    path = write_netx(
        tmp_path / "recurrent.net",
        inputs(5),
        dense_rec(rng.integers(-100, 120, (7, 5)), -rng.integers(0, 90, (7, 7)), bias=np.array([9])),
        dense_rec(rng.integers(-9, 12, (6, 7)), rng.integers(-9, 9, (6, 6)), neuron=neuron(77, 900, 15)),
    )
    spikes = assert_equal_to_lava(path, binary(rng, 5, 20))
    assert all(s.any() and not s.all() for s in spikes)
    assert_equal_to_lava(path, rng.integers(-(2**20), 2**20, (5, STEPS)), input_message_bits=24)


@pytest.mark.slow
@pytest.mark.parametrize("message_bits", [0, 8])
def test_delays(tmp_path: Path, message_bits: int) -> None:
    """One a layer, a neuron, an input, a synapse; sums of each delay are rounded down on their own."""
    rng = np.random.default_rng(12)
    path = write_netx(
        tmp_path / "delays.net",
        inputs(6),
        dense(rng.integers(-100, 120, (8, 6)), delay=3),
        dense(rng.integers(-100, 120, (8, 8)), delay=np.arange(8).astype(np.float32)),  # square: one a neuron
        dense(np.minimum(rng.integers(-1, 1, (9, 8)), 0), delay=np.arange(8), neuron=neuron(0, 9, -40)),  # halves of -1
        dense(rng.integers(-100, 120, (5, 9)), delay=rng.integers(0, 63, (5, 9)) // 4),
    )
    with pytest.warns(UserWarning, match="layer 3 .dense.: stock Lava changes"):
        assert_equal_to_lava(path, rng.integers(-3, 4, (6, 35)), input_message_bits=message_bits)


def test_delay_beyond_the_limit_is_cut_as_by_netx(tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    path = write_netx(
        tmp_path / "late.net", inputs(4), dense(rng.integers(1, 120, (3, 4)), delay=np.array([0, 61, 99]))
    )
    with pytest.warns(UserWarning, match="layer 1 .dense.: stock netx cuts a delay of 99 to 62 steps"):
        (spikes,) = assert_equal_to_lava(path, binary(rng, 4, 66), states=False)
    assert spikes[2, 63:].any() and not spikes[2, :63].any()
