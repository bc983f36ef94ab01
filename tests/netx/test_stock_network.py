"""StockNetwork against the stock netx loader on Lava's own CPU simulator, spike for spike, and a run's parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.netx.hdf5_access import open_netx
from support.netx_files import FLATTEN, STEPS, assert_equal_to_lava, binary, conv, dense, inputs, neuron, write_netx

# --- chains beside Lava


def test_dense_chain_with_leaks_and_biases(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = write_netx(
        tmp_path / "dense.net",
        inputs(9),
        dense(rng.integers(-120, 127, (14, 9)), neuron=neuron(1024, 300, 60), bias=rng.integers(-90, 90, 14)),
        dense(rng.integers(0, 200, (11, 14)), neuron=neuron(4096, 4096, 70, b"LOIHI")),
        dense(rng.integers(-200, 0, (11, 11)).astype(np.float32), neuron=neuron(77, 13, -5), bias=np.array([900.0])),
        dense(rng.integers(-3, 4, (6, 11)) * 4, neuron=neuron(0, 2048, 9)),
    )
    spikes = assert_equal_to_lava(path, binary(rng, 9, 25))
    assert all(s.any() and not s.all() for s in spikes)


def test_conv_chain_then_dense(tmp_path: Path) -> None:
    """Stride, padding, dilation and groups that differ by axis; flatten order; biases a channel and a neuron."""
    rng = np.random.default_rng(2)
    path = write_netx(
        tmp_path / "conv.net",
        inputs(11, 8, 2),
        conv(
            rng.integers(-90, 100, (6, 2, 3, 2)),
            (6, 8, 6),
            stride=np.array([1, 2]),
            padding=np.array([1, 1]),
            bias=rng.integers(-20, 20, 6),
            neuron=neuron(2000, 100, 40),
        ),
        conv(
            rng.integers(-300, 400, (4, 3, 2, 3, 1)),  # beyond 8 bits, which Conv does not clip
            (2, 7, 4),
            dilation=np.array([3, 2]),
            padding=np.array([1, 0]),
            groups=2,
            bias=rng.integers(-30, 30, (2, 7, 4)),
            neuron=neuron(4096, 500, 60),
        ),
        FLATTEN,
        dense(rng.integers(-60, 70, 5 * 56), shape=np.array([5, 1, 1]), neuron=neuron(4096, 0, 30)),
    )
    spikes = assert_equal_to_lava(path, binary(rng, 11, 8, 2, STEPS))
    assert all(s.any() and not s.all() for s in spikes)


def test_graded_input_beyond_24_and_32_bits(tmp_path: Path) -> None:
    """Signed payloads: Conv wraps to 24 bits, Dense and the neuron wrap to 32, u leaves 24 bits."""
    rng = np.random.default_rng(4)
    payload = rng.integers(-(2**20), 2**20, (4, 3, 2, STEPS))
    path = write_netx(
        tmp_path / "conv.net",
        inputs(4, 3, 2),
        conv(rng.integers(-99, 99, (3, 2, 2, 2)), (3, 2, 3), neuron=neuron(3000, 100, 900)),
    )
    assert_equal_to_lava(path, payload, input_message_bits=24)
    path = write_netx(tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(3000, 9)))
    assert_equal_to_lava(path, rng.integers(-(2**31) + 1, 2**31, (6, STEPS)), input_message_bits=31)


def test_payloads_count_as_one_without_message_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = write_netx(
        tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(threshold=2))
    )
    assert_equal_to_lava(path, rng.integers(-3, 4, (6, STEPS)))


# --- a run and its parts


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "i8"])
def test_held_inputs_are_those_of_every_step(tmp_path: Path, dtype: str) -> None:
    """`numpy.broadcast_to` over the steps, which are then read once; input of every integer type."""
    rng = np.random.default_rng(0)
    path = write_netx(
        tmp_path / "held.net",
        {**inputs(300), "neuron": neuron(4096, 500, 70)},
        dense(rng.integers(-60, 70, (5, 300)), neuron=neuron(4096, 900, 40)),
    )
    network = StockNetwork.from_file(path, reset_interval=7)
    image = rng.integers(0, 100, (3, 300)).astype(dtype)
    held = network.run(np.broadcast_to(image[..., None], (3, 300, 40)), (0, 1))
    written = network.run(np.repeat(image.astype(np.int64)[..., None], 40, axis=-1), (0, 1))
    for number in (0, 1):
        assert written.layers[number].s.any()
        np.testing.assert_array_equal(held.layers[number].s, written.layers[number].s)
        np.testing.assert_array_equal(held.layers[number].states["v"], written.layers[number].states["v"])
        np.testing.assert_array_equal(held.counts[number], held.layers[number].s.sum(-1))


def test_counts_beyond_a_byte(tmp_path: Path) -> None:
    path = write_netx(tmp_path / "busy.net", {**inputs(40), "neuron": neuron(4096, 500, 70)}, dense(np.eye(3, 40) * 99))
    run = StockNetwork.from_file(path).run(np.broadcast_to(np.full((1, 40, 1), 100), (1, 40, 700)), (1,))
    assert run.counts[0].tolist() == [[700] * 40]
    assert run.counts[1].tolist() == run.layers[1].s.sum(-1).tolist()
    assert run.counts[1].min() > 600


def test_counts_and_synaptic_operations(tmp_path: Path) -> None:
    """By hand: each message times the weights of its neuron that are not 0."""
    kernel = np.array([[[[1, 0], [2, 3]]]])  # (out, in, y, x)
    path = write_netx(
        tmp_path / "count.net",
        inputs(3, 2, 1),
        conv(kernel, (2, 1, 1), neuron=neuron(threshold=0)),
        FLATTEN,
        dense(np.array([[1, 0], [5, -7], [0, 0]]), neuron=neuron(threshold=100)),
    )
    train = np.zeros((2, 3, 2, 1, 4), np.int64)
    train[1, 1, 1, 0, 0] = 1  # meets (x, y) (1, 1) of the first neuron and (0, 1) of the second: 3 and 2
    train[1, 0, 0, 0, 1] = 1  # meets (0, 0) of the first neuron: 1
    run = StockNetwork.from_file(path).run(train)
    assert run.synops[1].tolist() == [0, 3]
    assert run.counts[1][1, :, 0, 0].tolist() == [2, 1]
    assert run.synops[3].tolist() == [0, 2 * 2 + 1 * 1]
    assert run.counts[3].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_chunks_of_a_batch_are_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the samples."""
    rng = np.random.default_rng(20)
    path = write_netx(tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(3000, 900)))
    network, train = StockNetwork.from_file(path), binary(rng, 5, 6, STEPS)
    whole = network.run(train, record=[1])
    monkeypatch.setattr("spk2loihi.netx.stock_network._MEMORY_BUDGET", 2 * STEPS * 11)
    parts = network.run(train, record=[1])
    np.testing.assert_array_equal(parts.output, whole.output)
    for name, state in whole.layers[1].states.items():
        np.testing.assert_array_equal(parts.layers[1].states[name], state)
    np.testing.assert_array_equal(parts.synops[1], whole.synops[1])


def test_part_of_a_file_runs_as_if_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    layers = [
        conv(rng.integers(-90, 100, (2, 2, 2, 2)), (4, 3, 2), neuron=neuron(threshold=50)),
        conv(rng.integers(-90, 100, (3, 2, 2, 2)), (3, 2, 3), neuron=neuron(threshold=50)),
    ]
    whole = write_netx(tmp_path / "whole.net", inputs(5, 4, 2), *layers)
    both = StockNetwork.from_file(whole)
    first = StockNetwork.from_file(whole, num_layers=2)
    second = StockNetwork.from_file(whole, first_layer=2)
    assert (both.input_shape, both.output_shape, second.input_shape) == ((5, 4, 2), (3, 2, 3), (4, 3, 2))
    run = both.run(binary(rng, 3, 5, 4, 2, STEPS), record=[1], states=False)
    np.testing.assert_array_equal(second.run(run.layers[1].s).output, run.output)
    assert first.layers[0].number == 1 and len(first.layers) == 1
    headless = write_netx(tmp_path / "headless.net", *layers)
    assert StockNetwork.from_file(open_netx(headless), input_shape=(5, 4, 2)).input_shape == (5, 4, 2)
    with pytest.raises(UserError, match=r"layer 0 \(conv\): its input shape is unknown"):
        StockNetwork.from_file(headless)


def test_samples_do_not_depend_on_their_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    path = write_netx(tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(3000, 900)))
    network, train = StockNetwork.from_file(path), binary(rng, 5, 6, STEPS)
    together = network.run(train).output
    for sample in range(5):
        np.testing.assert_array_equal(network.run(train[sample : sample + 1]).output[0], together[sample])
    assert network.run(train[:0]).output.shape == (0, 5, STEPS)
