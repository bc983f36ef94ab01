"""What Loihi's neurons or a netx chain cannot do is refused with the node, the number and what helps.

`ROWS` is the table of refusals in docs/guide/convert.md, and says which tests check each row.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.netx.reading import Reading
from support.nir_graphs import DT, affine, conv, cuba, graph, lif, write, written

LINEAR = nir.Linear(weight=np.ones((3, 6)))
BACK = {"in": nir.Input({"input": np.array([3])}), "a": lif(3), "b": lif(3), "out": nir.Output({"output": [3]})}
WEIGHTS = {"w": nir.Linear(np.eye(3)), "back": nir.Linear(np.eye(3))}
CHAINS: dict[str, tuple[list[Any], str]] = {
    "short tau": ([LINEAR, lif(3, tau=DT / 2)], r"loses 2 of its state in a step of 0.0001 s: choose a smaller `dt`"),
    "short tau_syn": ([LINEAR, cuba(3, tau_syn=DT / 4)], r"cubalif .* has tau_syn 2.5e-05 s and loses 4"),
    "no tau": ([LINEAR, lif(3, tau=0.0)], "has tau 0: give a time above 0"),
    "threshold": ([LINEAR, lif(3, v_threshold=1.0, v_reset=2.0)], "v_threshold 1 below v_reset 2, and would fire"),
    "late": ([nir.Delay(np.full(6, 99 * DT)), LINEAR, lif(3)], "delays by up to 99 steps: stay within 0 to 62"),
    "readout": ([LINEAR, nir.I(np.ones(3)), affine(3, 3), lif(3)], r"i \(I\) sends its potential to lif"),
    "nothing": ([nir.Scale(np.full(6, 0.0)), LINEAR, lif(3)], "weights that are all 0 as integers: check its weights"),
    "delays": ([nir.Delay(np.full(6, DT)), LINEAR, nir.Delay(np.full(3, DT)), lif(3)], "Delay stands between weights"),
    "large matrix": (
        [nir.Flatten({"input": np.array([1, 130, 130])}, start_dim=0), nir.Linear(np.ones((2, 16900))), lif(2)],
        "written out as a matrix of 16,900 x 16,900, and at most 16,777,216 weights are made: give the next",
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(tmp_path: Path, name: str) -> None:
    nodes, message = CHAINS[name]
    given = nir.Input({"input": np.array([6])})
    if name == "large matrix":
        given = nir.Input({"input": np.array([1, 130, 130])})
        nodes = [conv(1, 1, 3, padding=1), *nodes]
    path = written(tmp_path, given, *nodes)
    with pytest.raises(UserError, match=message):
        StockNetwork.from_nir(path)


GRAPHS: dict[str, tuple[dict[str, Any], list[tuple[str, str]], str]] = {
    "delay in a loop": (
        {**BACK, **WEIGHTS, "late": nir.Delay(np.full(3, DT))},
        [("in", "a"), ("a", "w"), ("w", "b"), ("b", "back"), ("back", "late"), ("late", "a"), ("b", "out")],
        r"a \(LIF\) is in a loop \(a, b\) through a Delay, and netx has none there: leave the Delay out",
    ),
    "delay before recurrent weights": (
        {**BACK, **WEIGHTS, "late": nir.Delay(np.full(3, DT))},
        [("in", "late"), ("late", "w"), ("w", "a"), ("a", "back"), ("back", "a"), ("a", "b"), ("b", "out")],
        r"a \(LIF\) is recurrent, and netx has no delays there: leave the Delay out",
    ),
    "delay in branches": (
        {**BACK, **WEIGHTS, "late": nir.Delay(np.full(3, DT))},
        [("in", "a"), ("a", "w"), ("w", "b"), ("in", "late"), ("late", "back"), ("back", "b"), ("b", "out")],
        r"b \(LIF\) is driven through a Delay in a network of branches: leave the Delay out",
    ),
    "one number in a loop": (
        {**BACK, **WEIGHTS, "b": lif(1), "s": nir.Scale(np.ones(3))},
        [("in", "a"), ("a", "w"), ("w", "s"), ("s", "b"), ("b", "back"), ("back", "a"), ("b", "out")],
        r"b \(LIF\) is in a loop, and has one number for all neurons: give one a neuron",
    ),
    "readout in a loop": (
        {**BACK, **WEIGHTS, "b": nir.LI(np.full(3, 8 * DT), np.ones(3), np.zeros(3))},
        [("in", "a"), ("a", "w"), ("w", "b"), ("b", "back"), ("back", "a"), ("b", "out")],
        r"b \(LI\) sends its potential to a",
    ),
    "empty loop": (
        {**BACK, **WEIGHTS},
        [("in", "w"), ("w", "back"), ("back", "w"), ("w", "a"), ("a", "b"), ("b", "out")],
        "loop without neurons",
    ),
    "idle": (BACK, [("in", "a"), ("in", "b"), ("b", "out")], r"a \(LIF\) leads to no output: leave it out"),
    "no source": (BACK, [("a", "b"), ("b", "out")], r"a \(LIF\) is driven by nothing"),
    "two ends": (BACK, [("in", "a"), ("in", "b"), ("a", "out"), ("b", "out")], r"out \(Output\) reads 2 nodes"),
    "two inputs": (
        {**BACK, "more": nir.Input({"input": np.array([3])})},
        [("in", "a"), ("more", "b"), ("a", "b"), ("b", "out")],
        r"2 inputs \(in, more\), and a netx chain has one",
    ),
    "nothing": (BACK, [("in", "out")], "no neurons|leads to no output"),
    "size": (
        {**BACK, "w": nir.Linear(np.ones((3, 4)))},
        [("in", "w"), ("w", "a"), ("a", "b"), ("b", "out")],
        r"w \(Linear\) has a weight \(3, 4\), and \(3,\) arrive",
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(tmp_path: Path, name: str) -> None:
    nodes, edges, message = GRAPHS[name]
    with pytest.raises(UserError, match=message):
        StockNetwork.from_nir(write(tmp_path / "a.nir", graph(nodes, edges)))


def test_files(tmp_path: Path) -> None:
    (tmp_path / "text.nir").write_text("no graph")
    with pytest.raises(UserError, match=r"text.nir is not an HDF5 file"):
        StockNetwork.from_nir(tmp_path / "text.nir")
    path = write(tmp_path / "a.nir", graph(BACK, [("in", "a"), ("a", "b"), ("b", "out")]))
    with h5py.File(path, "r+") as file:
        file["node/nodes/a/type"][()] = "SRM"
    with pytest.raises(UserError, match=r"NIR node a \(SRM\) is of a type that NIR 1.0 does not know: use Affine"):
        StockNetwork.from_nir(path)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/b/tau"]
        file["node/nodes/a/type"][()] = "LIF"
    with pytest.raises(UserError, match=r"b \(LIF\) has no tau: write the file with nir.write"):
        StockNetwork.from_nir(path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/b/tau"] = np.full(3, np.nan)
    with pytest.raises(UserError, match="has a tau that is infinite or no number"):
        StockNetwork.from_nir(path)
    path = write(tmp_path / "b.nir", graph(BACK, [("in", "a"), ("a", "b"), ("b", "out")]))
    with h5py.File(path, "r+") as file:
        file["node/edges"][0] = [b"in", b"nobody"]
    with pytest.raises(UserError, match="edge from in to nobody leads to no node: the nodes there are a, b, in, out"):
        StockNetwork.from_nir(path)


def test_options_out_of_range_and_of_other_files(tmp_path: Path) -> None:
    for wrong in ({"bits": 9}, {"bits": 1}, {"dt": 0.0}):
        with pytest.raises(UserError, match=f"`{next(iter(wrong))}` is"):
            Reading(**wrong)


ROWS: dict[str, tuple[str, ...]] = {
    "a time constant shorter than a step": ("short tau", "short tau_syn"),
    "a threshold below `v_reset`": ("threshold",),
    "a number that is not whole, with `--exact`": (
        "netx.test_nir.test_numbers_that_are_not_whole_are_refused_if_that_is_asked_for",
    ),
    "a readout that drives neurons, or itself: it sends its potential": ("readout", "readout in a loop"),
    "a Delay in a loop": ("delay in a loop",),
    "neurons in a loop with one number for all of them, and no matrix before them that says how many": (
        "one number in a loop",
    ),
    "a loop without neurons": ("empty loop",),
    "several Inputs or Outputs; an Output that reads several nodes": ("two inputs", "two ends"),
    "neurons that lead to no output, or that nothing drives": ("idle", "no source"),
    "delays beyond 62 steps, between weights, before recurrent weights or in a network of branches": (
        "late", "delays", "delay before recurrent weights", "delay in branches",
    ),
    "weights that are all 0 as integers": ("nothing",),
    "a convolution or pooling that has to be a matrix of more than 16.8 million weights: strides leave a border": (
        "large matrix",
    ),
    "shapes that do not fit, missing parameters, NaN, unknown nodes, edges to no node": ("size", "test_files"),
    "netx to NIR: input neurons (their input is a bias), sigma-delta and resonate-and-fire neurons, delays of single "
    "synapses, weights that Lava changes": ("netx.test_nir_writer.test_what_nir_has_no_word_for",),
    "networks of `spk2loihi export`": ("netx.test_nir_writer.test_networks_of_export",),
}  # fmt: skip


def test_every_row_of_the_table_is_checked() -> None:
    page = Path(__file__).parents[2] / "docs" / "guide" / "convert.md"
    table = page.read_text(encoding="utf-8").split("## What is refused")[1].split("\n\n")[1]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]] == list(ROWS)
    here = {*CHAINS, *GRAPHS, *globals()}
    for test in (test for tests in ROWS.values() for test in tests):
        module, _, name = test.rpartition(".")
        assert hasattr(importlib.import_module(module), name) if module else name in here
