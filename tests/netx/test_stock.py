"""StockNetwork against the stock netx loader on Lava's own CPU simulator, spike for spike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.writer import write_network
from spk2loihi.netx import Segment, StockNetwork, segment_file, segments
from spk2loihi.netx.lif import (
    BiasDrivenPopulation,
    HardResetLif,
    IntegerBiasDrivenPopulation,
    IntegerPopulation,
    LifPopulation,
    Parameters,
)
from spk2loihi.netx.neuron_model import Tape
from spk2loihi.netx.synapse import DenseSynapse
from spk2loihi.simulators.lava.importing import import_lava
from support.netx_files import (
    FLATTEN,
    assert_equal_to_lava,
    binary,
    complex_dense,
    conv,
    dense,
    dense_rec,
    inputs,
    neuron,
    resonator,
    sdnn,
    write_netx,
)

STEPS = 12


# --- tests: random networks -----------------------------------------------------------------------------------------


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


def test_extremes_wrap_the_current_and_saturate_the_voltage(tmp_path: Path) -> None:
    """Currents beyond one range of 24 bits, biases beyond 16, thresholds beyond 17, and a missing neuron."""
    rng = np.random.default_rng(3)
    weight = rng.integers(200, 255, (8, 400)) * rng.choice([-1, 1], (8, 1))
    weight[0, 0] = -weight[0, 0]
    path = write_netx(
        tmp_path / "extreme.net",
        inputs(400),
        dense(weight, neuron=neuron(1, 3, 100_000), bias=np.array([4095, -4096, 32767, -32768, 40000, -70000, 0, 1])),
        dense(weight[:, :8], neuron=neuron(0, 0, 1 << 17), bias=rng.integers(-4096, 4096, 8)),
        dense(np.eye(8, dtype=np.int64) * 255, neuron=None, bias=np.array([3])),
    )
    train = binary(rng, 400, 40, density=0.9)
    assert_equal_to_lava(path, train)
    states = [layer.states for layer in StockNetwork.from_file(path).run(train[None], record=(1, 2, 3)).layers.values()]
    assert max(np.abs(state["v"]).max() for state in states) == 2**23 - 1, "v saturates"
    assert np.abs(np.diff(states[0]["u"])).max() > 2**23, "u wraps"


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


# --- tests: the other layers and neurons --------------------------------------------------------------------------


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


@pytest.mark.slow
def test_sigma_delta_network(tmp_path: Path) -> None:
    """Delta, SigmaDelta and Sigma neurons, dense, conv and recurrent layers, and their graded messages."""
    rng = np.random.default_rng(14)
    layers = [
        {**inputs(5, 4, 2), "neuron": sdnn(2), "weight": np.array([36.0]), "bias": 3},
        conv(rng.integers(-90, 99, (3, 2, 2, 2)), (4, 3, 3), neuron=sdnn(1), bias=np.array([4, 0, -5])),
        FLATTEN,
        dense(rng.integers(-60, 70, (7, 36)), neuron=sdnn(1), bias=rng.integers(-90, 90, 7)),
        dense_rec(rng.integers(-90, 99, (6, 7)), rng.integers(-30, 40, (6, 6)), neuron=sdnn(9)),
        dense(rng.integers(-90, 99, (2, 6)), neuron=sdnn(sigma_output=True)),
    ]
    path, train = write_netx(tmp_path / "sdnn.net", *layers), rng.integers(-9, 9, (5, 4, 2, STEPS))
    messages = assert_equal_to_lava(path, train)
    assert all(np.unique(m).size > 4 for m in messages)
    assert_equal_to_lava(path, train, spike_exp=0)
    assert StockNetwork.from_file(path).encode(np.full((5, 4, 2), 0.75)).tolist() == np.full((5, 4, 2), 30).tolist()


def test_sums_of_sigma_delta_neurons_wrap(tmp_path: Path) -> None:
    rng = np.random.default_rng(15)
    path = write_netx(tmp_path / "wide.net", inputs(5), dense(rng.integers(-99, 99, (4, 5)), neuron=sdnn(500_000)))
    assert_equal_to_lava(path, rng.integers(-(2**24), 2**24, (5, 30)), input_message_bits=25)


def test_sigma_delta_neurons_after_spikes_and_without_message_bits(tmp_path: Path) -> None:
    """Spikes arrive as 1; a recurrent layer takes its own payloads as 1 where its input is of spikes."""
    rng = np.random.default_rng(16)
    path = write_netx(
        tmp_path / "mixed.net",
        inputs(5),
        dense(rng.integers(-60, 70, (6, 5)), neuron=neuron(threshold=9)),
        dense_rec(rng.integers(-250, 250, (6, 6)), rng.integers(-250, 250, (6, 6)), neuron=sdnn(0)),
    )
    messages = assert_equal_to_lava(path, binary(rng, 5, 20))
    assert np.unique(messages[1]).size > 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"RF", b"RF_PHASE"])
def test_resonators(tmp_path: Path, kind: bytes) -> None:
    """One resonance for the layer and one for each neuron, some of which do not turn; then spikes to a LIF layer."""
    rng = np.random.default_rng(17)
    weights = [rng.integers(-60, 70, (9, 5)) for _ in range(2)]
    each = np.array([0, 200, 900, -700, 4095, 2048, 1, 3333, 0]), np.array([4000, 4000, 3000, 2000, 0, -2048, 1, 99, 0])
    path = write_netx(
        tmp_path / "resonators.net",
        inputs(5),
        complex_dense(*weights, neuron=resonator(1701, 3333, 30, kind)),
        complex_dense(*(rng.integers(-120, 120, (9, 9)) for _ in range(2)), neuron=resonator(*each, 9, kind)),
        dense(rng.integers(-90, 99, (3, 9)), neuron=neuron(3000, 100, 20)),
    )
    spikes = assert_equal_to_lava(path, binary(rng, 5, 60))
    assert all(s.any() for s in spikes)


@pytest.mark.slow
def test_input_neurons_driven_by_their_bias(tmp_path: Path) -> None:
    """A bias that changes from step to step, beyond 16 bits too, and reset intervals."""
    rng = np.random.default_rng(18)
    path = write_netx(
        tmp_path / "bias.net",
        {**inputs(4, 3, 2), "neuron": neuron(1024, 300, 60)},
        conv(rng.integers(-90, 100, (3, 2, 2, 2)), (3, 2, 3), neuron=neuron(2000, 100, 40)),
        FLATTEN,
        dense(rng.integers(-60, 70, (5, 18)), neuron=neuron(0, 10, 90)),
    )
    train = rng.integers(-90, 120, (4, 3, 2, 20))
    train[0, 0, 0] *= 1000
    for options in ({}, {"reset_interval": 7}, {"reset_interval": 5, "reset_offset": 3}, {"reset_interval": 1}):
        spikes = assert_equal_to_lava(path, train, **options)
        assert spikes[0].any() and spikes[1].any()


def test_parameters_of_channels_and_neurons(tmp_path: Path) -> None:
    """Lava broadcasts decays and thresholds that netx reads as arrays."""
    rng = np.random.default_rng(19)
    channels = neuron(np.array([4096, 0, 900]), np.array([100, 4096, 0]), np.array([40, 9, 70]))
    neurons = neuron(rng.integers(0, 4097, 7), np.array([33]), rng.integers(-3, 90, 7))
    path = write_netx(
        tmp_path / "each.net",
        inputs(4, 3, 2),
        conv(rng.integers(-90, 100, (3, 2, 2, 2)), (3, 2, 3), neuron=channels),
        FLATTEN,
        dense(rng.integers(-60, 70, (7, 18)), neuron=neurons),
    )
    assert_equal_to_lava(path, binary(rng, 4, 3, 2, 20))


def blank_tape(steps: int, neurons: int) -> Tape:
    return Tape.blank(("u", "v"), range(steps), 2, steps, neurons)


@pytest.mark.parametrize("bias_driven", [False, True])
@pytest.mark.parametrize("seed", range(80))
def test_compiled_neurons_are_those_in_integers(seed: int, bias_driven: bool) -> None:
    """The compiled loop against the plain transcription of Lava's model, to the ends of 32 bits and across blocks."""
    rng, steps = np.random.default_rng(seed), 20
    neurons = int(rng.choice([1, 7, 257, 1030]))
    low = 0 if seed % 4 else 1000  # with strong leaks, states are small: neurons that need no wrap
    decays = [
        rng.choice([low, 1024, 4095, 4096, *rng.integers(low, 4097, 3)], neurons if seed % 3 else 1) for _ in range(2)
    ]
    threshold = rng.choice([-(1 << 20), -5, 0, 3, 500, 131_071, 1 << 18, 1 << 30], neurons if seed % 5 else 1)
    bias = (rng.integers(-(2**15), 2**15, neurons) * (seed % 2)).astype(np.int16)
    lif = HardResetLif((neurons,), decays[0], decays[1], threshold, bias, bias_driven)
    bound = int(rng.choice([1, 300, 20_000, 2**24, 2**31 - 1]))
    drive = rng.integers(-bound, bound + 1, (2, steps, neurons))
    drive[0, 5:15] = bound  # as far as it goes
    drive[1, 5:15] = -bound
    drive = drive.astype(rng.choice(["f4", "f8", *["i2"] * (bound < 2**15)] if bound <= 2**24 else ["f8", "i8"]))
    rests, late = rng.random(steps) < 0.1, 0 if bias_driven else int(rng.integers(0, 3))
    fast, plain = (
        lif.prepare(bound)(2),
        (IntegerBiasDrivenPopulation if bias_driven else IntegerPopulation)(Parameters.of(lif), 2),
    )
    assert type(fast) is (BiasDrivenPopulation if bias_driven else LifPopulation)
    results = []
    for population in (fast, plain):
        sent, tape = np.full((2, steps, neurons), 7, np.uint8), blank_tape(steps, neurons)
        counts = np.full((2, neurons), 7, np.int32)
        population.run(drive[:, late:], late, rests, sent, counts, tape)
        results.append((sent, counts, tape.arrays))
    (sent, counts, states), (want, want_counts, want_states) = results
    np.testing.assert_array_equal(sent, want)
    np.testing.assert_array_equal(counts, want_counts)
    for name, state in want_states.items():
        np.testing.assert_array_equal(states[name], state, err_msg=name)


def test_which_neurons_need_no_wrap() -> None:
    def confined(current_decay: int, voltage_decay: int, bias: int, largest: int, bias_driven: bool = False) -> bool:
        decays = np.array(current_decay), np.array(voltage_decay)
        lif = HardResetLif((1,), *decays, np.array(5), np.array([bias], np.int16), bias_driven)
        return Parameters.of(lif).confined(largest, bias_driven)

    assert confined(4096, 1024, -60, 634)  # PilotNet's
    assert confined(4096, 4096, 0, 2**17 - 1) and not confined(4096, 4096, 0, 2**17)  # u of 24 bits
    assert confined(4096, 4096, 1, 2**17 - 2) and not confined(4096, 4096, 1, 2**17 - 1)  # v, with the bias
    assert confined(4096, 2048, 0, 2**13 - 1) and not confined(4096, 2048, 0, 2**13)  # v * 2048 of 32 bits
    assert confined(2048, 4096, 0, 2**13 - 1) and not confined(2048, 4096, 0, 2**13)  # u * 2048
    assert not confined(0, 4096, 0, 1) and not confined(4096, 0, 0, 1)  # without a leak they grow and grow
    assert confined(0, 1024, 99, 2000, bias_driven=True)  # whatever the unused u and bias
    assert confined(0, 4096, 0, 2**31, bias_driven=True)  # of which 16 bits count


def test_compiled_neurons_go_on_where_they_stopped() -> None:
    rng = np.random.default_rng(0)
    lif = HardResetLif((9,), np.array(700), np.array(90), np.array(300), np.zeros(9, np.int16))
    drive = rng.integers(-300, 400, (2, 8, 9)).astype(np.float32)
    whole, parts = np.zeros((2, 8, 9), np.uint8), np.zeros((2, 8, 9), np.uint8)
    rests, population, counts = np.zeros(8, bool), lif.prepare()(2), np.zeros((2, 9), np.int32)
    lif.prepare()(2).run(drive, 0, rests, whole, counts, blank_tape(8, 9))
    for steps in (slice(0, 3), slice(3, 8)):
        part = np.ascontiguousarray(parts[:, steps])
        population.run(drive[:, steps], 0, rests[steps], part, counts, blank_tape(part.shape[1], 9))
        parts[:, steps] = part
    assert whole.any()
    np.testing.assert_array_equal(parts, whole)


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


@pytest.mark.parametrize("density", [0.02, 0.2, 0.5])  # rows of the weights, or a matrix product
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_dense_sums_are_those_of_integers(density: float, shift: int) -> None:
    rng = np.random.default_rng(shift)
    mantissa = rng.integers(-255, 256, (33, 211))
    spikes = (rng.random((2, 9, 211)) < density).astype(np.uint8)
    got = DenseSynapse(mantissa, shift).drive(spikes[:, :8], 1)
    np.testing.assert_array_equal(got, spikes[:, :8].astype(np.int64) @ mantissa.T >> shift)


def test_decays_beyond_12_bits_take_the_plain_way() -> None:
    for decays in ((np.array(4097), np.array(0)), (np.array(0), np.array(-1))):
        lif = HardResetLif((3,), *decays, np.array(5), np.zeros(3, np.int16))
        assert type(lif.prepare()(1)) is IntegerPopulation


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
    with h5py.File(headless) as file:
        assert StockNetwork.from_file(file, input_shape=(5, 4, 2)).input_shape == (5, 4, 2)
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


# --- tests: segments of model.net -----------------------------------------------------------------------------------

SEGMENTS = {  # input and output channels
    "layer.0.query": (8, 8),
    "layer.0.key": (8, 8),
    "layer.0.value": (8, 8),
    "layer.0.attention_output": (16, 8),
    "layer.0.ffn_in": (8, 12),
    "layer.0.ffn_out": (20, 8),
    "pooler": (8, 8),
    "classifier": (8, 2),
}
TOKENS = 6


@pytest.fixture(scope="module")
def model_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random, calibrated, folded student of one layer."""
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        max_tokens=TOKENS,
        timesteps=4,
    )
    model = SpikingBertForSequenceClassification(config).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    ids = torch.randint(1, config.vocab_size, (3, TOKENS))
    with model.calibration():
        model(ids, torch.ones_like(ids))
    path = tmp_path_factory.mktemp("student") / "model.net"
    write_network(fold(model, "{}", {}), path)
    return path


def test_segments_are_the_convolutions_of_the_student(model_net: Path) -> None:
    found = segments(model_net)
    assert {s.name: (s.input_shape[-1], s.output_shape[-1]) for s in found} == SEGMENTS
    assert all(s.kind == "conv" and s.input_shape[:2] == s.output_shape[:2] == (TOKENS, 1) for s in found)


@pytest.mark.slow
@pytest.mark.parametrize("message_bits", [0, 8])
@pytest.mark.parametrize("name", SEGMENTS)
def test_every_segment_equals_stock_lava(model_net: Path, tmp_path: Path, name: str, message_bits: int) -> None:
    """Binary spikes, and spikes of either sign as payloads."""
    number = next(s.number for s in segments(model_net) if s.name == name)
    segment = segment_file(model_net, number, tmp_path / "segment.net")
    rng = np.random.default_rng(number)
    train = binary(rng, *segment.input_shape, 50)
    if message_bits:
        train *= rng.choice([-1, 1], train.shape)
    (spikes,) = assert_equal_to_lava(tmp_path / "segment.net", train, input_message_bits=message_bits)
    assert spikes.any() == (name != "classifier"), "the readout never fires, all others do"
    alone = StockNetwork.from_file(
        model_net, number, 1, input_shape=segment.input_shape, input_message_bits=message_bits
    )
    np.testing.assert_array_equal(alone.run(train[None]).output[0], spikes)


def test_segments_of_any_netx_file(tmp_path: Path) -> None:
    """Strided convolutions and dense layers load in the stock loader with the shapes the segment tells."""
    hdf5 = pytest.importorskip("lava.lib.dl.netx.hdf5", reason="lava-nc and lava-dl need Python 3.10")
    rng = np.random.default_rng(10)
    strided = conv(
        rng.integers(-9, 9, (4, 2, 3, 2)),
        (5, 4, 4),
        stride=np.array([2, 3]),
        padding=np.array([1, 0]),
        dilation=np.array([1, 2]),
        inChannels=2,
    )
    path = write_netx(tmp_path / "any.net", inputs(15, 7, 2), strided, FLATTEN, dense(rng.integers(-9, 9, (3, 80))))
    assert segments(path) == [
        Segment(1, "conv", "", (15, 7, 2), (5, 4, 4)),
        Segment(3, "dense", "", (80,), (3,)),
    ]
    for segment in segments(path):
        segment_file(path, segment.number, tmp_path / "segment.net")
        stock = hdf5.Network(net_config=str(tmp_path / "segment.net"))
        ours = StockNetwork.from_file(tmp_path / "segment.net")
        assert stock.inp.shape == ours.input_shape == segment.input_shape
        assert stock.out.shape == ours.output_shape == segment.output_shape
    path.rename(tmp_path / "moved.net")
    with pytest.raises(UserError, match="links to a file that is gone"):
        StockNetwork.from_file(tmp_path / "segment.net")
    path = tmp_path / "moved.net"
    with pytest.raises(UserError, match=r"layer 2 of .* is not dense or conv: choose one that segments"):
        segment_file(path, 2, tmp_path / "other.net")
    assert not (tmp_path / "other.net").exists()


def test_a_whole_student_is_not_a_chain(model_net: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"layer 2 \(conv\): it reads layers \[0\], but the stock loader runs a chain"):
        StockNetwork.from_file(model_net)
    with pytest.raises(UserError, match=r"layer 4 \(attention\): this type is unknown to stock netx"):
        StockNetwork.from_file(model_net, first_layer=4)
    with h5py.File(model_net) as source, h5py.File(tmp_path / "damaged.net", "w") as damaged:
        source.copy("layer", damaged)
        damaged["layer/3/spk2loihi/meta"][0] = 0
    with pytest.raises(UserError, match=r"layer 3 \(conv\): its spk2loihi/meta is damaged"):
        segments(tmp_path / "damaged.net")
    with pytest.raises(UserError, match=r"layer 6 \(concat\): stock netx cannot load it: it runs a chain"):
        StockNetwork.from_file(model_net, first_layer=6)


# --- tests: refusals ------------------------------------------------------------------------------------------------

ONES = np.ones((3, 4), np.int64)
KERNEL = np.ones((2, 2, 1, 1), np.int64)
PLANE = inputs(5, 1, 2)


def typed(kind: bytes) -> dict[str, Any]:
    return {"type": np.array([kind]), "shape": np.array([3])}


RECURRENT = dense_rec(ONES, np.eye(3, dtype=np.int64))
COMPLEX = complex_dense(ONES, ONES, neuron=resonator(2000, 3000))

REFUSALS: dict[str, tuple[list[dict[str, Any]], str]] = {
    **{
        kind: ([inputs(4), typed(kind.encode())], rf"layer 1 \({kind}\): stock netx cannot load it")
        for kind in ("pool", "unpool", "convT", "average", "concat", "dense_comp")
    },
    **{
        kind: ([inputs(4), typed(kind.encode())], rf"layer 1 \({kind}\): this type is unknown to stock netx: choose")
        for kind in ("attention", "other")
    },
    "RF": ([PLANE, conv(KERNEL, (5, 1, 2), neuron=resonator(1, 2))], "neurons of type RF need weights of two parts"),
    "unknown neuron": ([inputs(4), dense(ONES, neuron=neuron(kind=b"ALIF"))], "type ALIF are unknown to stock netx"),
    "input neuron": ([{**inputs(4), "neuron": resonator(1, 2)}, dense(ONES)], "no input neurons of type RF: use CUBA"),
    "message bits": ([inputs(4), dense(ONES, neuron={**neuron(), "messageBits": 8})], "messageBits.*leave them out"),
    "graded": (
        [inputs(4), dense(ONES, neuron={**neuron(), "gradedSpike": True})],
        "graded spikes of CUBA for spikes of 1",
    ),
    "activation": (
        [inputs(4), dense(ONES, neuron=sdnn(activation=np.array(b"none")))],
        "takes activation none for relu",
    ),
    "sigma output": ([inputs(4), dense(ONES, neuron=sdnn(sigma_output=False))], "takes sigma_output 0 for 1: leave"),
    "sigma bias": (
        [inputs(4), dense(ONES, bias=np.arange(3), neuron=sdnn(sigma_output=True))],
        "cannot load a bias with sigma_output: leave the bias out",
    ),
    "sdnn threshold": (
        [inputs(4), dense(ONES, neuron=sdnn(1 << 19))],
        "vThMant 524288 passes 32 bits .* within 524287",
    ),
    "sdnn bias": ([inputs(4), dense(ONES, bias=np.array([1 << 19]), neuron=sdnn())], "bias 524288 passes 32 bits"),
    "complex bias": ([inputs(4), {**COMPLEX, "bias": np.arange(3)}], "ignores the bias of complex layers"),
    "complex delay": ([inputs(4), {**COMPLEX, "delay": 1}], "ignores the delay of complex layers"),
    "complex shapes": ([inputs(4), complex_dense(ONES, ONES[:, :3], neuron=resonator(1, 2))], "differ in shape"),
    "complex CUBA": ([inputs(4), {**COMPLEX, "neuron": neuron()}], "neurons of type CUBA need real weights"),
    "complex, no neuron": ([inputs(4), complex_dense(ONES, ONES)], "complex weights but no neuron: give it an RF"),
    "recurrent weight": ([inputs(4), {**RECURRENT, "weight_rec": ONES}], r"weight_rec \(3, 4\) is not square"),
    "recurrent delay": (
        [inputs(4), {**RECURRENT, "delay": 1}],
        "loses the weight exponent of delayed recurrent layers",
    ),
    "conv delay": ([PLANE, conv(KERNEL, (5, 1, 2), delay=1)], "ignores the delays of convolutions"),
    "negative delay": ([inputs(4), dense(ONES, delay=np.array([0, -1, 3]))], "a delay is -1: stay within 0 to 62"),
    "fraction of a delay": ([inputs(4), dense(ONES, delay=np.array([0, 0.5, 3]))], "delay has fractions"),
    "delay shape": ([inputs(4), dense(ONES, delay=np.zeros(5))], r"delay \(5,\) does not fit weight \(3, 4\)"),
    "second input": ([inputs(4), dense(ONES), inputs(3)], r"layer 2 \(input\): it follows other layers"),
    "no neurons": ([inputs(4), FLATTEN], "layers 0 to 1 hold no neurons: include"),
    "no neuron": ([PLANE, conv(KERNEL, (5, 1, 2), neuron=None)], r"layer 1 \(conv\): it has no neuron"),
    "fractions": ([inputs(4), dense(ONES / 2)], "weight has fractions, which netx drops in silence: quantise"),
    "not finite": ([inputs(4), dense(ONES, bias=np.array([np.nan]))], "bias has fractions"),
    "zeros": ([inputs(4), dense(0 * ONES)], r"layer 1 \(dense\): all weights are zero"),
    "empty": ([inputs(4), dense(ONES[:, :0])], "it has no weights"),
    "threshold": (
        [inputs(4), dense(ONES, neuron={**neuron(), "vThMant": 0.5})],
        r"layer 1 \(CUBA\): vThMant is missing",
    ),
    "decays": (
        [inputs(4), dense(ONES, neuron={**neuron(), "vDecay": ONES[0]})],
        r"vDecay of shape \(4,\) does not fit",
    ),
    "decay": ([inputs(4), dense(ONES, neuron={**neuron(), "vDecay": 1 << 40})], r"vDecay is \[1099511627776\]: give"),
    "weight shape": ([inputs(4), dense(ONES, shape=np.array([5]))], r"weight \(3, 4\) does not fit 5 neurons"),
    "layer shape": ([inputs(4), dense(ONES, shape=np.array([0]))], r"shape \(0,\) is empty"),
    "bias shape": ([inputs(4), dense(ONES, bias=np.arange(2))], r"bias \(2,\) does not fit neurons \(3,\): give one"),
    "bias size": ([inputs(4), dense(ONES, bias=np.array([1 << 40]))], "a bias of 1099511627776 passes 32 bits"),
    "kernel shape": ([PLANE, conv(ONES, (5, 1, 2))], r"weight has shape \(3, 4\): give it as"),
    "channels": ([inputs(5, 1, 3), conv(KERNEL, (5, 1, 2))], "3 channels arrive at a weight of shape"),
    "groups": (
        [inputs(1, 1, 130), conv(np.ones((130, 1, 1, 1), np.int64), (1, 1, 130), groups=130)],
        r"groups 130 is outside what Lava's Conv keeps in 8 bits: stay within 1 \(padding 0\) to 127",
    ),
    "stride": ([PLANE, conv(KERNEL, (5, 1, 2), stride=np.array([1, -1]))], r"stride is \[1, -1\]: give one or two"),
    "output": ([PLANE, conv(KERNEL, (4, 1, 2))], r"shape is \(4, 1, 2\), but input \(5, 1, 2\) makes \(5, 1, 2\)"),
    "flat conv": ([inputs(4), dense(ONES), conv(KERNEL, (5, 1, 2))], r"layer 2 \(conv\): its input shape is \(3,\)"),
    "no flatten": ([PLANE, conv(KERNEL, (5, 1, 2)), dense(ONES)], r"\(5, 1, 2\) arrive: put a flatten layer before it"),
    "flat flatten": ([inputs(4), dense(ONES), FLATTEN, dense(ONES[:, :3])], r"flatten takes .* not \(3,\): leave"),
    "widths": (
        [inputs(4), dense(ONES), dense(ONES)],
        r"it expects \(4,\) spikes, but \(3,\) arrive: correct its weight",
    ),
    "no type": ([inputs(4), {"shape": np.array([3])}], "/layer/1 has no type"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_the_layer_and_the_remedy(tmp_path: Path, name: str) -> None:
    layers, message = REFUSALS[name]
    with pytest.raises(UserError, match=message):
        StockNetwork.from_file(write_netx(tmp_path / "refused.net", *layers))


def test_refused_files_and_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.net does not exist"):
        StockNetwork.from_file(tmp_path / "absent.net")
    (tmp_path / "text.net").write_text("no network")
    with pytest.raises(UserError, match=r"text.net is not an HDF5 file"):
        segments(tmp_path / "text.net")
    with pytest.raises(UserError, match="no layers numbered from 0"):
        StockNetwork.from_file(write_netx(tmp_path / "empty.net"))
    path = write_netx(tmp_path / "cut.net", inputs(4), dense(ONES))
    (tmp_path / "cut.net").write_bytes(path.read_bytes()[:600])
    with pytest.raises(UserError, match=r"cut.net is damaged or truncated"):
        StockNetwork.from_file(path)
    path = write_netx(tmp_path / "dense.net", inputs(4), dense(ONES))
    for first, count in ((2, None), (-1, None), (0, 3), (0, 0)):
        with pytest.raises(UserError, match="not within the 2 layers"):
            StockNetwork.from_file(path, first, count)
    with pytest.raises(UserError, match="input_message_bits is 32"):
        StockNetwork.from_file(path, input_message_bits=32)
    with pytest.raises(UserError, match="reset_interval is 0: give 1 step or more"):
        StockNetwork.from_file(path, reset_interval=0)
    with pytest.raises(UserError, match="spike_exp is 8: give 0 to 7"):
        StockNetwork.from_file(path, spike_exp=8)
    with pytest.raises(UserError, match=r"its shape is \(4,\), not \(5,\)"):
        StockNetwork.from_file(path, input_shape=(5,))


def test_refused_inputs(tmp_path: Path) -> None:
    network = StockNetwork.from_file(write_netx(tmp_path / "dense.net", inputs(4), dense(ONES)))
    with pytest.raises(UserError, match=r"layer 1 \(dense\) takes \(samples, 4, steps\)"):
        network.run(np.zeros((2, 5, 3), np.int64))
    with pytest.raises(UserError, match="input is float64, but spikes are integers"):
        network.run(np.zeros((2, 4, 3)))
    with pytest.raises(UserError, match="at most 32 bits"):
        network.run(np.full((2, 4, 3), 1 << 40))
    with pytest.raises(UserError, match=r"layer 0 has no neurons to record: choose among \[1\]"):
        network.run(np.zeros((2, 4, 3), np.int64), record=[0])
    with pytest.raises(UserError, match=r"layer 1 \(dense\) has no transform"):
        network.encode(np.zeros(4))
    path = write_netx(tmp_path / "delayed.net", inputs(4), dense(ONES, delay=1))
    with pytest.raises(UserError, match=r"layer 1 \(dense\): weight times payload can reach .* of Lava's delayed"):
        StockNetwork.from_file(path, input_message_bits=31).run(np.full((1, 4, 3), 1 << 30))
    path = write_netx(tmp_path / "conv.net", PLANE, conv(KERNEL << 20, (5, 1, 2)))
    with pytest.raises(UserError, match=r"layer 1 \(conv\): sums can reach 2147483648 with spikes up to 1024"):
        StockNetwork.from_file(path, input_message_bits=11).run(np.full((1, 5, 1, 2, 3), -1024))
