"""Small netx files, and stock Lava beside `StockNetwork` on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from spk2loihi.netx import LayerRecord, StockNetwork
from spk2loihi.simulators.lava.stock_lava import run_in_lava

IntArray = NDArray[Any]
STEPS = 12  # of a short run


def neuron(i_decay: int = 4096, v_decay: int = 0, threshold: int = 20, kind: bytes = b"CUBA") -> dict[str, Any]:
    return {
        "type": np.array([kind]),
        "iDecay": i_decay,
        "vDecay": v_decay,
        "vThMant": threshold,
        "refDelay": 1,
        "gradedSpike": False,
    }


def inputs(*shape_xyz: int) -> dict[str, Any]:
    return {"type": np.array([b"input"]), "shape": np.array(shape_xyz[::-1])}


def dense(weight: IntArray, **more: Any) -> dict[str, Any]:
    """``neuron=None`` leaves it out."""
    layer = {"type": np.array([b"dense"]), "shape": np.array([len(weight)]), "weight": weight, "neuron": neuron()}
    return {key: value for key, value in {**layer, **more}.items() if value is not None}


def conv(weight: IntArray, shape_xyz: Sequence[int], **more: Any) -> dict[str, Any]:
    layer = {
        "type": np.array([b"conv"]),
        "shape": np.array(shape_xyz[::-1]),
        "weight": weight,
        "stride": np.array([1, 1]),
        "padding": np.array([0, 0]),
        "dilation": np.array([1, 1]),
        "groups": 1,
        "neuron": neuron(),
    }
    return {key: value for key, value in {**layer, **more}.items() if value is not None}


FLATTEN = {"type": np.array([b"flatten"]), "shape": np.array([1])}


def write_netx(path: Path, *layers: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for number, layer in enumerate(layers):
            group = file.create_group(f"layer/{number}")
            for key, value in layer.items():
                if isinstance(value, dict):
                    for name, content in value.items():
                        group[f"{key}/{name}"] = content
                else:
                    group[key] = value
    return path


def dense_rec(weight: IntArray, weight_rec: IntArray, **more: Any) -> dict[str, Any]:
    return {**dense(weight, **more), "type": np.array([b"dense_rec"]), "weight_rec": weight_rec}


def sdnn(threshold: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": np.array([b"SDNN"]), "activation": np.array(b"relu"), "vThMant": threshold, **more}


def resonator(sine: Any, cosine: Any, threshold: int = 20, kind: bytes = b"RF") -> dict[str, Any]:
    return {"type": np.array([kind]), "sinDecay": sine, "cosDecay": cosine, "vThMant": threshold}


def complex_dense(real: IntArray, imag: IntArray, **more: Any) -> dict[str, Any]:
    return {
        "type": np.array([b"dense"]),
        "shape": np.array([len(real)]),
        "weight": {"real": real, "imag": imag},
        **more,
    }


def binary(rng: np.random.Generator, *shape: int, density: float = 0.4) -> IntArray:
    return (rng.random(shape) < density).astype(np.int64)


def assert_same(ours: LayerRecord, sample: int, lava: LayerRecord, label: str) -> None:
    """Messages and every recorded state, step by step."""
    pairs = {"s": (ours.s[sample], lava.s), **{k: (ours.states[k][sample], v) for k, v in lava.states.items()}}
    for name, (got, want) in pairs.items():
        assert got.shape == want.shape
        differing = np.argwhere(np.moveaxis(got != want, -1, 0))
        assert not len(differing), f"{name} of {label} first differs at (step, *neuron) {tuple(differing[0])}"


def assert_equal_to_lava(path: Path, train: IntArray, states: bool = True, **options: Any) -> list[IntArray]:
    """Messages and states of every layer in every step; the sample runs as the second of a batch. Returns messages."""
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    network = StockNetwork.from_file(path, **options)
    numbers = [layer.number for layer in network.layers]
    run = network.run(np.stack([np.roll(train, 1, axis=-1), train]), numbers, states)
    output, records = run_in_lava(path, network, train, numbers, states, **options)
    for layer in network.layers:
        assert_same(run.layers[layer.number], 1, records[layer.number], layer.label)
        assert set(records[layer.number].states) == (set(layer.neuron.states) if states else set())
    np.testing.assert_array_equal(run.output[1], output)
    return [run.layers[number].s[1] for number in numbers]
