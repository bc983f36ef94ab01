"""LIF neurons: beside Lava, and compiled loops against the plain transcription of Lava's model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.netx import StockNetwork
from spk2loihi.netx.lif import (
    BiasDrivenPopulation,
    HardResetLif,
    IntegerBiasDrivenPopulation,
    IntegerPopulation,
    LifPopulation,
    Parameters,
)
from spk2loihi.netx.neuron_model import Tape
from support.netx_files import FLATTEN, assert_equal_to_lava, binary, conv, dense, inputs, neuron, write_netx

# --- beside Lava


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


# --- compiled loops


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


def test_decays_beyond_12_bits_take_the_plain_way() -> None:
    for decays in ((np.array(4097), np.array(0)), (np.array(0), np.array(-1))):
        lif = HardResetLif((3,), *decays, np.array(5), np.zeros(3, np.int16))
        assert type(lif.prepare()(1)) is IntegerPopulation
