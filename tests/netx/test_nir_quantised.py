"""NIR graphs of real numbers: quantised, beside their equations, and the integers spike for spike in stock Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.nir_comparison import PopulationComparison, compare, generated_input
from spk2loihi.netx.nir_model import run_equations
from spk2loihi.netx.quantise import NumberError
from spk2loihi.netx.reading import Reading
from support.netx_files import assert_equal_to_lava
from support.nir_graphs import DT, affine, conv, cuba, graph, integrate_and_fire, lif, linear, write, written

BOUND = 1 / 64  # of full rate


def input_of(*shape: int) -> nir.Input:
    return nir.Input({"input": np.array(shape)})


def output() -> nir.Output:
    return nir.Output({"output": np.array([1])})


def pool(kind: Any, size: int) -> Any:
    return kind(kernel_size=np.array([size, size]), stride=np.array([size, size]), padding=np.array([0, 0]))


def flatten(*shape: int) -> nir.Flatten:
    return nir.Flatten({"input": np.array(shape)}, start_dim=0)


def conv1d(out: int, into: int, taps: int) -> nir.Conv1d:
    weight = np.random.default_rng(3).normal(0.1, 0.3, (out, into, taps))
    return nir.Conv1d(9, weight, stride=1, padding="same", dilation=1, groups=1, bias=np.full(out, 0.05))


CHAINS: dict[str, list[Any]] = {
    "dense": [input_of(20), affine(16, 20), lif(16), linear(8, 16, 1), integrate_and_fire(8, threshold=1.3)],
    "cuba": [input_of(20), linear(16, 20), cuba(16), linear(8, 16, 1), cuba(8, v_leak=0.2)],
    "leak and reset": [
        input_of(20), linear(16, 20), lif(16, v_leak=0.4, v_reset=-0.3), linear(8, 16, 1),
        lif(8, v_leak=0.1, v_reset=0.2, v_threshold=1.5),
    ],
    "scale": [input_of(20), nir.Scale(np.linspace(0.5, 1.5, 20)), linear(16, 20), nir.Scale(np.full(16, 2.0)), lif(16)],
    "two weights": [input_of(20), affine(12, 20, 4, 0.2), affine(16, 12, 5), lif(16)],
    "no weights": [input_of(20), lif(20, v_threshold=0.8), linear(8, 20), lif(8)],
    "pooling": [
        input_of(2, 8, 8), conv(4, 2, 3, padding=1), integrate_and_fire(4, 8, 8, threshold=2.0), pool(nir.SumPool2d, 2),
        conv(3, 4, 3, 1, padding=1, bias=np.array([0.1, 0.0, -0.1])), integrate_and_fire(3, 4, 4, threshold=3.0),
        pool(nir.AvgPool2d, 2), flatten(3, 2, 2), linear(5, 12, 2, 0.8), lif(5),
    ],
    "pooling that leaves a border": [
        input_of(1, 7, 7), pool(nir.AvgPool2d, 2), conv(3, 1, 3, padding=1), lif(3, 3, 3, v_threshold=0.2),
    ],
    "one dimension": [input_of(2, 9), conv1d(3, 2, 3), lif(3, 9), flatten(3, 9), linear(4, 27), lif(4)],
    "threshold": [input_of(20), linear(16, 20), nir.Threshold(np.full(16, 0.37)), linear(4, 16), lif(4)],
    "delay": [input_of(20), nir.Delay(np.arange(20) * DT), linear(16, 20), lif(16)],
    "delay of outputs": [input_of(20), affine(16, 20), nir.Delay(np.arange(16) * DT), lif(16)],
}  # fmt: skip


IN_LAVA = ("leak and reset", "pooling", "delay")


def branches() -> nir.NIRGraph:
    """A residual connection over a population, one from the input, and a recurrent population after them."""
    nodes = {
        "in": input_of(12), "a": linear(10, 12), "one": lif(10), "b": affine(10, 10, 1), "two": lif(10),
        "skip": nir.Scale(np.full(10, 0.4)), "c": linear(10, 12, 2), "three": cuba(10), "back": linear(10, 10, 3, 0.1),
        "d": linear(4, 10, 4), "last": lif(4), "out": output(),
    }  # fmt: skip
    edges = [
        ("in", "a"), ("a", "one"), ("one", "b"), ("b", "two"), ("two", "three"), ("one", "skip"), ("skip", "three"),
        ("in", "c"), ("c", "three"), ("three", "back"), ("back", "three"), ("three", "d"), ("d", "last"),
        ("last", "out"),
    ]  # fmt: skip
    return graph(nodes, edges)


def subgraph() -> nir.NIRGraph:
    """As snnTorch writes RLeaky."""
    inside = graph(
        {"input": input_of(10), "lif": lif(10), "w_rec": affine(10, 10, 3, 0.1), "output": output()},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    nodes = {"in": input_of(12), "a": linear(10, 12), "rleaky": inside, "b": linear(4, 10), "l": lif(4), "o": output()}
    return graph(nodes, [("in", "a"), ("a", "rleaky"), ("rleaky", "b"), ("b", "l"), ("l", "o")])


def compared(path: Path, lava: bool = False, **reading: Any) -> tuple[list[PopulationComparison], list[NumberError]]:
    """With ``lava`` also what stock Lava makes of the netx file equals the emulator."""
    file = NetworkFile.of(path, reading=Reading(**reading))
    network = file.network()
    inputs = generated_input(network)
    if lava:
        with file.as_netx() as netx:
            messages = assert_equal_to_lava(netx, inputs[0, ..., :20].astype(np.int64))
        assert all(each.any() for each in messages)
    assert file.conversion is not None
    return compare(file.conversion, network, inputs), file.conversion.errors


@pytest.mark.parametrize("name", CHAINS)
def test_rates_of_chains(tmp_path: Path, name: str) -> None:
    found, errors = compared(written(tmp_path, *CHAINS[name]), lava=name in IN_LAVA)
    for each in found:
        assert each.spikes and each.float_spikes and each.mean_rate_error < BOUND
    assert {error.number for error in errors} >= {"weight", "threshold"}
    assert all(error.largest < 1 / 127 for error in errors if error.number in ("weight", "threshold"))


def test_pooling_and_convolution_are_one_kernel(tmp_path: Path) -> None:
    """Where the sizes divide; a border that they leave makes them a matrix."""
    kinds = {"pooling": ["input", "conv", "conv", "flatten", "dense"],
             "pooling that leaves a border": ["input", "flatten", "dense"]}  # fmt: skip
    for name, expected in kinds.items():
        conversion = NetworkFile.of(written(tmp_path, *CHAINS[name])).conversion
        assert conversion is not None
        assert [layer["type"].item().decode() for layer in conversion.layers] == expected


@pytest.mark.parametrize("made", [branches, subgraph])
def test_rates_of_graphs(tmp_path: Path, made: Any) -> None:
    found, _ = compared(write(tmp_path / "a.nir", made()), lava=True)
    for each in found:
        assert each.spikes and each.mean_rate_error < BOUND
    assert [each.delay for each in found] == ([1, 2, 3, 4] if made is branches else [1, 2])


def test_a_population_answers_as_many_steps_late_as_it_has_levels(tmp_path: Path) -> None:
    """Whole numbers, so the integers are the equations: with latency equal, step by step; in NIR's time shifted."""
    weight = np.array([[3.0, -2.0, 5.0], [1.0, 4.0, -1.0]])
    layers = [
        nir.Linear(weight),
        integrate_and_fire(2, threshold=4.0),
        nir.Linear(weight[:, :2]),
        integrate_and_fire(2),
    ]
    file = NetworkFile.of(written(tmp_path, input_of(3), *layers), reading=Reading(exact=True))
    network, conversion = file.network(), file.conversion
    assert conversion is not None
    inputs = generated_input(network)
    assert all(each.equal_steps == 1 and each.spikes for each in compare(conversion, network, inputs))
    in_nir = run_equations(conversion.plan, np.moveaxis(inputs, -1, 1), DT)["if_4"]  # (B, steps, 2)
    ours = np.moveaxis(network.run(inputs).output, -1, 1)
    np.testing.assert_array_equal(ours[:, 2:], in_nir[:, :-2])


def test_biases_act_from_the_first_step_in_both(tmp_path: Path) -> None:
    """Whole numbers with biases in two levels: integers and equations send the same in every step."""
    weight = np.array([[3.0, -2.0, 5.0], [1.0, 4.0, -1.0]])
    layers = [nir.Affine(weight, np.array([2.0, 1.0])), integrate_and_fire(2, threshold=4.0)]
    layers += [nir.Affine(weight[:, :2], np.array([1.0, 3.0])), integrate_and_fire(2, threshold=5.0)]
    file = NetworkFile.of(written(tmp_path, input_of(3), *layers), reading=Reading(exact=True))
    network, conversion = file.network(), file.conversion
    assert conversion is not None
    for each in compare(conversion, network, generated_input(network)):
        assert each.equal_steps == 1 and each.spikes


@pytest.mark.parametrize(
    ("node", "sum_of"),
    [
        (nir.LI(tau=np.full(4, 20 * DT), r=np.full(4, 20.0), v_leak=np.full(4, 0.3)), 0.3),
        (nir.CubaLI(np.full(4, 4 * DT), np.full(4, 8 * DT), np.full(4, 8.0), np.zeros(4), np.full(4, 4.0)), 0.0),
        (nir.I(np.full(4, 1 / DT)), 0.0),
        (None, 0.0),
    ],
)
def test_readouts_keep_their_potential(tmp_path: Path, node: Any, sum_of: float) -> None:
    """``None``: a graph that ends in weights."""
    nodes = [input_of(20), linear(16, 20), lif(16), affine(4, 16, 2)] + [node] * (node is not None)
    found, _ = compared(written(tmp_path, *nodes))
    assert found[-1].spikes is None and found[-1].mean_rate_error < 2 * BOUND
    conversion = NetworkFile.of(tmp_path / "network.nir").conversion
    assert conversion is not None and "sends no spikes: record layer 2 and divide its v by 64 x" in " ".join(
        conversion.notes
    )


def test_fewer_bits_and_another_step(tmp_path: Path) -> None:
    path = written(tmp_path, *CHAINS["dense"])
    largest = {}
    for bits in (8, 4, 2):
        _, errors = compared(path, bits=bits)
        largest[bits] = max(error.largest for error in errors if error.number == "weight")
    assert largest[8] < 1 / 127 < largest[4] < 1 / 7 < largest[2]
    slower = NetworkFile.of(path, reading=Reading(dt=5e-5)).conversion
    usual = NetworkFile.of(path).conversion
    assert slower is not None and usual is not None
    assert slower.layers[1]["neuron"]["vDecay"] * 2 == pytest.approx(usual.layers[1]["neuron"]["vDecay"], abs=1)


def test_a_step_that_may_be_wrong_is_noted(tmp_path: Path) -> None:
    """sinabs writes neurons with r = 1, whose step is 1."""
    nodes = [input_of(20), linear(16, 20), integrate_and_fire(16, r=1.0)]
    usual = NetworkFile.of(written(tmp_path, *nodes)).conversion
    assert usual is not None and "check that a step is 0.0001 s" in usual.notes[0]
    found, _ = compared(tmp_path / "network.nir", dt=1.0)
    assert found[0].spikes and found[0].mean_rate_error < BOUND
