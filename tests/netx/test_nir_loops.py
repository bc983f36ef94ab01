"""Loops over several populations: one recurrent layer, a step for each connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np

from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.nir_comparison import compare, generated_input
from spk2loihi.netx.nir_model import as_nir, run_equations
from spk2loihi.netx.reading import Reading
from support.netx_files import assert_equal_to_lava
from support.nir_graphs import DT, affine, conv, cuba, graph, integrate_and_fire, lif, linear, write


def loop_of_three(*, plane: bool = False) -> nir.NIRGraph:
    """a drives b, b drives c, c drives a; the input drives a and b, c and a drive the output population."""
    shape: tuple[int, ...] = (2, 4, 4) if plane else (8,)
    size = int(np.prod(shape))
    flat = {f"f{n}": nir.Flatten({"input": np.array(shape)}, 0, -1) for n in (1, 2)}

    def weights(seed: int) -> Any:
        return conv(2, 2, 3, seed, padding=1) if plane else affine(size, size, seed, 0.15)

    nodes = {
        "in": nir.Input({"input": np.array(shape)}), "w0": weights(0), "a": lif(*shape, v_threshold=1.2),
        "w1": weights(1), "b": cuba(*shape), "w2": weights(2), "c": lif(*shape), "w3": weights(3), "w4": weights(4),
        **flat, "w5": linear(3, size, 15), "w6": linear(3, size, 16), "last": lif(3),
        "out": nir.Output({"output": [3]}),
    }  # fmt: skip
    edges = [
        ("in", "w0"), ("w0", "a"), ("a", "w1"), ("w1", "b"), ("in", "w4"), ("w4", "b"), ("b", "w2"), ("w2", "c"),
        ("c", "w3"), ("w3", "a"), ("c", "f1"), ("f1", "w5"), ("w5", "last"), ("a", "f2"), ("f2", "w6"), ("w6", "last"),
        ("last", "out"),
    ]  # fmt: skip
    return graph(nodes, edges)


def test_near_the_equations_and_in_lava(tmp_path: Path) -> None:
    for plane in (False, True):
        file = NetworkFile.of(write(tmp_path / "a.nir", loop_of_three(plane=plane)), reading=Reading(scales="channel"))
        network, conversion = file.network(), file.conversion
        assert conversion is not None
        assert [layer["type"].item() for layer in conversion.layers if "weight" in layer] == [b"dense_rec", b"dense"]
        inputs = generated_input(network)
        found = {each.node: each for each in compare(conversion, network, inputs)}
        assert [found[name].delay for name in ("a", "b", "c", "last")] == [1, 1, 1, 2]
        for each in found.values():
            assert each.spikes and each.mean_rate_error < 1 / 64
        assert "a, b, c are in a loop" in conversion.notes[0] and "take 3 steps" in conversion.notes[0]
    with file.as_netx() as netx:
        assert all(each.any() for each in assert_equal_to_lava(netx, inputs[0, ..., :10].astype(np.int64)))


def test_each_connection_of_a_loop_takes_a_step(tmp_path: Path) -> None:
    """Whole numbers: a spike goes round, and the integers are the equations, on Loihi and in NIR's time."""
    one = nir.Linear(np.eye(1))
    nodes = {
        "in": nir.Input({"input": np.array([1])}), "w": one, "a": integrate_and_fire(1, threshold=0.5), "x": one,
        "b": integrate_and_fire(1, threshold=0.5), "y": one, "out": nir.Output({"output": [1]}),
    }  # fmt: skip
    edges = [("in", "w"), ("w", "a"), ("a", "x"), ("x", "b"), ("b", "y"), ("y", "a"), ("b", "out")]
    file = NetworkFile.of(write(tmp_path / "a.nir", graph(nodes, edges)))
    network, conversion = file.network(), file.conversion
    assert conversion is not None
    pulse = np.zeros((1, 1, 8), np.int8)
    pulse[..., 0] = 1
    run = network.run(pulse, [1])
    np.testing.assert_array_equal(run.layers[1].s[0], [[0, 1, 0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 0, 1, 0]])
    assert all(each.equal_steps == 1 for each in compare(conversion, network, pulse))
    sent = run_equations(conversion.plan, as_nir(pulse, (1,)), DT)
    assert all(each.all() for each in sent.values())  # in NIR b answers in the same step, and a in the next
