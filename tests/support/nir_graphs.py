"""Small NIR graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np

DT = 1e-4


def lif(*shape: int, tau: float = 20 * DT, r: float = 20.0, **values: float) -> nir.LIF:
    """With r = tau / dt, a unit of current is a unit of potential: what snnTorch writes."""
    usual = {"tau": tau, "r": r, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **values}
    return nir.LIF(**{name: np.full(shape, value) for name, value in usual.items()})


def cuba(*shape: int, tau_syn: float = 4 * DT, tau_mem: float = 8 * DT, **values: float) -> nir.CubaLIF:
    usual = {"r": 8.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "w_in": 4.0, **values}
    return nir.CubaLIF(
        tau_syn=np.full(shape, tau_syn),
        tau_mem=np.full(shape, tau_mem),
        **{name: np.full(shape, value) for name, value in usual.items()},
    )


def integrate_and_fire(*shape: int, r: float = 1 / DT, threshold: float = 1.0) -> nir.IF:
    return nir.IF(r=np.full(shape, r), v_threshold=np.full(shape, threshold))


def linear(out: int, into: int, seed: int = 0, size: float = 0.3) -> nir.Linear:
    return nir.Linear(np.random.default_rng(seed).normal(0.1, size, (out, into)))


def affine(out: int, into: int, seed: int = 0, size: float = 0.3) -> nir.Affine:
    rng = np.random.default_rng(seed)
    return nir.Affine(rng.normal(0.1, size, (out, into)), rng.normal(0.0, 0.1, out))


def conv(out: int, into: int, taps: int, seed: int = 0, **values: Any) -> nir.Conv2d:
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(out)}
    weight = np.random.default_rng(seed).normal(0.1, 0.3, (out, into, taps, taps))
    return nir.Conv2d(input_shape=np.array([0, 0]), weight=weight, **{**usual, **values})


def graph(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, edges, type_check=False)


def write(path: Path, made: nir.NIRGraph) -> Path:
    nir.write(str(path), made)
    return path


def written(folder: Path, *nodes: Any) -> Path:
    """A chain, between an Input and an Output."""
    named: dict[str, Any] = {}
    for node in nodes:
        kind = type(node).__name__.lower()
        named[f"{kind}_{len(named)}" if kind in named else kind] = node
    named["output"] = nir.Output({"output": np.array([1])})
    return write(folder / "network.nir", graph(named, list(zip(named, list(named)[1:], strict=False))))
