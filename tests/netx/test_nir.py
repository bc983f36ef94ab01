"""NIR graphs of whole numbers, taken as they are: against equations stepped here and against stock Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.reading import Reading
from support.netx_files import IntArray, assert_equal_to_lava, binary

DT = 1e-4
INPUT = nir.Input(input_type={"input": np.array([6])})


def written(folder: Path, *nodes: Any) -> Path:
    path = folder / "network.nir"
    nir.write(str(path), nir.NIRGraph.from_list(*nodes))
    return path


def full(value: float, *shape: int) -> IntArray:
    return np.full(shape, value)


def if_neurons(*shape: int, threshold: float = 20.0) -> nir.IF:
    """With r = 1 / dt, a unit of current is a unit of potential: what SpikingJelly and snnTorch write."""
    return nir.IF(r=full(1 / DT, *shape), v_threshold=full(threshold, *shape))


def test_integrate_and_fire_equals_its_equation(tmp_path: Path) -> None:
    """Two layers with a bias: dv/dt = r I, forward Euler, in real numbers; each layer one step late."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(-9, 12, (8, 6)), rng.integers(-9, 12, (4, 8))
    bias = rng.integers(-3, 4, 8)
    nodes = [INPUT, nir.Affine(weight=first.astype(float), bias=bias.astype(float)), if_neurons(8)]
    nodes += [nir.Linear(weight=second.astype(float)), if_neurons(4, threshold=12.0)]
    path = written(tmp_path, *nodes)
    train = binary(rng, 6, 30)
    run = StockNetwork.from_nir(path, Reading(exact=True)).run(train[None], record=[1, 2])
    spikes = train
    for weight, offset, threshold, number in ((first, bias, 20, 1), (second, 0 * bias[:4], 12, 2)):
        v, sent = np.zeros(len(weight)), np.zeros((len(weight), 30), int)
        for step in range(30):
            current = offset + (weight @ spikes[:, step - 1] if step else 0)
            v += DT * (1 / DT) * current
            sent[:, step] = v > threshold
            v[v > threshold] = 0
        np.testing.assert_array_equal(run.layers[number].s[0], sent)
        assert sent.any()
        spikes = sent


def test_every_node_of_a_convolutional_network(tmp_path: Path) -> None:
    """Conv2d, CubaLIF, Flatten, Delay, Linear, LIF of several time constants, Threshold; and the same file in Lava."""
    rng = np.random.default_rng(1)
    kernel = rng.integers(-9, 12, (4, 2, 3, 3)).astype(np.float32)
    cuba = {"tau_syn": 4 * DT, "tau_mem": 2 * DT, "r": 8.0, "v_leak": 0.0, "v_threshold": 25.0}
    taus = DT * np.array([1, 2, 4, 8, 16, 16, 1, 2])
    nodes = [
        nir.Input(input_type={"input": np.array([2, 7, 6])}),
        nir.Conv2d(
            input_shape=(7, 6), weight=kernel, stride=(2, 1), padding=(1, 0), dilation=1, groups=1, bias=np.zeros(4)
        ),
        nir.CubaLIF(**{name: full(value, 4, 4, 4) for name, value in cuba.items()}),
        nir.Flatten(input_type={"input": np.array([4, 4, 4])}, start_dim=0),
        nir.Delay(delay=DT * rng.integers(0, 4, 64)),
        nir.Linear(weight=rng.integers(-9, 12, (8, 64)).astype(float)),
        nir.LIF(tau=taus, r=taus / DT, v_leak=full(0.0, 8), v_threshold=30.0 + np.arange(8)),
        nir.Affine(weight=rng.integers(-9, 12, (3, 8)).astype(float), bias=np.array([1.0, 0.0, 2.0])),
        nir.Threshold(threshold=full(3.0, 3)),
    ]
    with NetworkFile.of(written(tmp_path, *nodes), reading=Reading(exact=True)).as_netx() as path:
        spikes = assert_equal_to_lava(path, binary(rng, 6, 7, 2, 16))
    assert all(s.any() and not s.all() for s in spikes)
    network = StockNetwork.from_nir(tmp_path / "network.nir", Reading(exact=True))
    assert network.input_shape == (6, 7, 2) and network.layers[0].shape == (4, 4, 4)


LINEAR = nir.Linear(weight=np.ones((3, 6)))
NOT_WHOLE = "not a whole number: leave `exact` out to have it quantised"
LIF_OF = {"r": full(1.0, 3), "v_leak": full(0.0, 3), "v_threshold": full(1.0, 3)}
NODES: dict[str, tuple[list[Any], str]] = {
    "weight": ([nir.Linear(weight=full(0.5, 3, 6)), if_neurons(3)], rf"weight times the gain .* of 0.5, {NOT_WHOLE}"),
    "threshold": ([LINEAR, if_neurons(3, threshold=1.5)], rf"if \(IF\) has a threshold of 1.5, {NOT_WHOLE}"),
    "r": ([LINEAR, nir.IF(r=full(1.0, 3), v_threshold=full(1.0, 3))], f"is 0.0001|of 0.0001, {NOT_WHOLE}"),
    "tau": (
        [LINEAR, nir.LIF(tau=full(3 * DT, 3), **{**LIF_OF, "r": full(3.0, 3)})],
        rf"4096 dt / tau \(voltage decay\) of 1365.33, {NOT_WHOLE}",
    ),
    "leak": (
        [LINEAR, nir.LIF(tau=full(DT, 3), **{**LIF_OF, "v_leak": full(0.1, 3)})],
        f"bias times the gain of the neurons of 0.1, {NOT_WHOLE}",
    ),
    "delay": (
        [nir.Delay(delay=full(1.5 * DT, 6)), LINEAR, if_neurons(3)],
        "delay .* delays by 1.5 steps, not a whole number: choose another `dt`",
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_numbers_that_are_not_whole_are_refused_if_that_is_asked_for(tmp_path: Path, name: str) -> None:
    nodes, message = NODES[name]
    path = written(tmp_path, INPUT, *nodes)
    with pytest.raises(UserError, match=message):
        StockNetwork.from_nir(path, Reading(exact=True))
    StockNetwork.from_nir(path)  # quantised
