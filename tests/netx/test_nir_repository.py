"""The graphs that the NIR repository's own tests build, of the same structure: each runs, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.nir_comparison import compare, generated_input
from spk2loihi.netx.reading import Reading
from support.nir_graphs import write

STEP = 0.1  # their time constants are 1 to 30 s, their delays 0.1 to 3
BOUND = 1 / 64  # of full rate
RNG = np.random.default_rng(0)


def affine(inputs: int, outputs: int) -> nir.Affine:
    return nir.Affine(RNG.normal(1, 2, (outputs, inputs)), RNG.normal(0, 0.5, outputs))


def lif(*taus: float, thresholds: tuple[float, ...]) -> nir.LIF:
    """With r = 1: a weight of 1 brings a tenth to a hundredth of a potential of 1 a step."""
    zero = np.zeros(len(taus))
    return nir.LIF(np.array(taus), np.ones(len(taus)), zero, np.array(thresholds) / 8, zero)


def graph(nodes: dict[str, Any], *edges: str) -> nir.NIRGraph:
    """Edges as ``a>b>c``; a missing Input or Output is added, as nir does it."""
    pairs = [pair for path in edges for pair in zip(path.split(">"), path.split(">")[1:], strict=False)]
    return nir.NIRGraph(nodes, pairs, type_check=False)


def ends(inputs: int, outputs: int) -> dict[str, Any]:
    return {"input": nir.Input(np.array([inputs])), "output": nir.Output(np.array([outputs]))}


def chain(*nodes: Any) -> nir.NIRGraph:
    return nir.NIRGraph.from_list(*nodes)


def residual() -> nir.NIRGraph:
    nodes = {
        **ends(2, 2), "a": affine(2, 2), "b": lif(10, 20, thresholds=(1, 2)), "c": affine(2, 2),
        "d": lif(10, 20, thresholds=(1, 2)), "e": affine(2, 2), "f": lif(15, 5, thresholds=(1, 1)),
    }  # fmt: skip
    return graph(nodes, "input>a>b>c>d>e>f>output", "a>e")


def split_and_merged() -> nir.NIRGraph:
    """Three subgraphs: the first drives two, and both drive one Affine, in which the graph ends."""
    before = chain(affine(2, 3), lif(10, 20, 30, thresholds=(1, 2, 3)))
    one = chain(affine(3, 2), lif(10, 20, thresholds=(1, 2)))
    other = chain(affine(3, 2), lif(15, 5, thresholds=(1, 1)))
    nodes = {**ends(2, 3), "before": before, "one": one, "other": other, "joint": affine(2, 3)}
    return graph(nodes, "input>before>one>joint>output", "before>other>joint")


def complex_graph() -> nir.NIRGraph:
    """Branches that cross; the graph ends in weights after weights."""
    nodes = {
        **ends(1, 2), "a": affine(1, 3), "b": lif(10, 20, 30, thresholds=(1, 2, 3)),
        "c": lif(5, 20, 1, thresholds=(1, 1, 1)), "d": affine(3, 2), "e": affine(3, 2), "f": affine(2, 2),
    }  # fmt: skip
    return graph(nodes, "input>a>b>d>f>output", "a>c>d", "c>e>f")


def neurons(kind: str) -> Any:
    one, two = np.ones(3), np.full(3, 2.0)
    return {
        "I": nir.I(one),
        "IF": nir.IF(one, v_threshold=one, v_reset=0 * one),
        "LI": nir.LI(one, one, one),
        "LIF": nir.LIF(one, one, one, np.full(3, 1.2), 0 * one),
        "CubaLI": nir.CubaLI(tau_mem=one, tau_syn=two, r=one, v_leak=one, w_in=two),
        "CubaLIF": nir.CubaLIF(
            tau_mem=one, tau_syn=two, r=one, v_leak=one, v_reset=0 * one, v_threshold=np.full(3, 1.5), w_in=two
        ),
        "Threshold": nir.Threshold(np.array([1.0, 2.0, 3.0])),
    }[kind]


def plane(kind: Any) -> nir.NIRGraph:
    pair = {name: np.array([2, 2]) for name in ("kernel_size", "stride")}
    return chain(
        nir.Input(np.array([2, 10, 10])), kind(**pair, padding=np.array([0, 0])), nir.Output(np.array([2, 5, 5]))
    )


def convolution() -> nir.NIRGraph:
    conv = nir.Conv2d((16, 16), RNG.normal(0, 1, (1, 1, 4, 4)), 1, 0, 1, 1, np.zeros(1))
    return chain(nir.Input(np.array([1, 16, 16])), conv, nir.Output(np.array([1, 13, 13])))


def convolution_in_one_dimension() -> nir.NIRGraph:
    conv = nir.Conv1d(100, RNG.normal(0, 1, (2, 1, 3)), stride=2, padding=1, dilation=1, groups=1, bias=np.zeros(2))
    return chain(nir.Input(np.array([1, 100])), conv, nir.Output(np.array([2, 50])))


RUN: dict[str, Any] = {
    "sequential": lambda: chain(
        affine(2, 3), nir.Delay(np.array([0.5, 0.1, 0.2])), lif(10, 20, 30, thresholds=(1, 2, 3)), affine(3, 2)
    ),
    "residual": residual,
    "split and merged": split_and_merged,
    "complex": complex_graph,
    **{kind: lambda kind=kind: chain(affine(2, 3), neurons(kind)) for kind in
       ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")},
    "weights": lambda: chain(affine(3, 3), affine(3, 3)),
    "scale": lambda: chain(nir.Input(np.array([3])), nir.Scale(np.array([1, 2, 3])), nir.Output(np.array([3]))),
    "delay": lambda: chain(nir.Input(np.array([3])), nir.Delay(np.array([1, 2, 3])), nir.Output(np.array([3]))),
    "sum pooling": lambda: plane(nir.SumPool2d),
    "average pooling": lambda: plane(nir.AvgPool2d),
    "convolution": convolution,
    "convolution in one dimension": convolution_in_one_dimension,
}  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_runs_near_its_equations(tmp_path: Path, name: str) -> None:
    file = NetworkFile.of(write(tmp_path / "a.nir", RUN[name]()), reading=Reading(dt=STEP))
    network = file.network()
    assert file.conversion is not None
    found = compare(file.conversion, network, generated_input(network))
    for each in found:  # potentials of readouts: the constant input of a CubaLI acts early
        assert each.mean_rate_error < (BOUND if each.spikes is not None else 2 * BOUND)
    assert any(each.spikes is None or each.spikes for each in found)


def branch(inputs: int) -> nir.NIRGraph:
    return chain(affine(inputs, 3), lif(10, 20, 30, thresholds=(1, 2, 3)))


REFUSED: dict[str, tuple[Any, str]] = {
    "a readout that drives itself": (
        lambda: graph({**ends(2, 2), "w": affine(2, 2), "i": nir.I(np.ones(2))}, "input>w>i>output", "i>w"),
        r"i \(I\) sends its potential to i",
    ),
    "weights that feed themselves": (
        lambda: graph({**ends(2, 2), "a": affine(2, 2)}, "input>a>output", "a>a"), r"a \(Affine\) is in a loop without",
    ),
    "a readout in a loop through a delay": (
        lambda: graph({**ends(2, 2), "a": nir.I(np.ones(2)), "b": nir.Delay(np.ones(2))}, "input>a>output", "a>b>a"),
        r"a \(I\)",
    ),
    "two inputs": (
        lambda: graph(
            {"one": nir.Input(np.array([2])), "b1": branch(2), "b2": branch(2), "two": nir.Input(np.array([2])),
             "h": lif(5, 2, 1, thresholds=(1, 1, 1)), "output": nir.Output(np.array([3]))},
            "one>b1>h>output", "two>b2>h",
        ),
        r"2 inputs \(one, two\), and a netx chain has one",
    ),
    "two networks": (
        lambda: nir.NIRGraph({"b1": branch(2), "b2": branch(2)}, [], type_check=False), "has no Input|inputs",
    ),
    "nothing but a Flatten": (
        lambda: chain(nir.Input(np.array([2, 3])), nir.Flatten({"input": np.array([2, 3])}, start_dim=0),
                      nir.Output(np.array([6]))),
        "no neurons",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(tmp_path: Path, name: str) -> None:
    made, message = REFUSED[name]
    path = write(tmp_path / "a.nir", made())
    with pytest.raises(UserError, match=message):
        NetworkFile.of(path, reading=Reading(dt=STEP)).network()
