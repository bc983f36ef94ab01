"""What Loihi's neurons or a netx chain cannot do is refused with the node, the number and what helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.netx.reading import Reading
from support.nir_graphs import DT, affine, cuba, graph, lif, write, written

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
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(tmp_path: Path, name: str) -> None:
    nodes, message = CHAINS[name]
    path = written(tmp_path, nir.Input({"input": np.array([6])}), *nodes)
    with pytest.raises(UserError, match=message):
        StockNetwork.from_nir(path)


GRAPHS: dict[str, tuple[dict[str, Any], list[tuple[str, str]], str]] = {
    "delay in a loop": (
        {**BACK, **WEIGHTS, "late": nir.Delay(np.full(3, DT))},
        [("in", "a"), ("a", "w"), ("w", "b"), ("b", "back"), ("back", "late"), ("late", "a"), ("b", "out")],
        r"a \(LIF\) is in a loop \(a, b\) through a Delay, and netx has none there: leave the Delay out",
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
