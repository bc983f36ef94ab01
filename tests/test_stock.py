"""StockNetwork against the stock netx loader on Lava's own CPU simulator, spike for spike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.export.writer import write_network
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.simulators.stock import Segment, StockNetwork, segment_file, segments

IntArray = NDArray[Any]
STEPS = 12


# --- stock netx files -----------------------------------------------------------------------------------------------


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


# --- stock Lava -----------------------------------------------------------------------------------------------------


def run_lava(path: Path, train: IntArray, message_bits: int = 0) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Spikes (*shape, steps), final u and final v of every layer, of one sample (*input_shape, steps)."""
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    network = hdf5.Network(net_config=str(path), input_message_bits=message_bits)
    source = Source(data=train.astype(np.int32))
    source.s_out.connect(network.inp)
    sinks = []
    for layer in network.layers:
        sink = Sink(shape=layer.out.shape, buffer=train.shape[-1])
        layer.out.connect(sink.a_in)
        sinks.append(sink)
    try:
        network.run(condition=RunSteps(num_steps=train.shape[-1]), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        return [
            (sink.data.get(), layer.neuron.u.get(), layer.neuron.v.get())
            for sink, layer in zip(sinks, network.layers, strict=True)
        ]
    finally:
        network.stop()


def assert_equal_to_lava(path: Path, train: IntArray, message_bits: int = 0) -> list[IntArray]:
    """Every layer's spikes and final state; the sample runs as the second of a batch. Returns the spikes."""
    network = StockNetwork.from_file(path, input_message_bits=message_bits)
    other = np.roll(train, 1, axis=-1)
    run = network.run(np.stack([other, train]), record_states=True)
    assert run.u is not None and run.v is not None
    reference = run_lava(path, train, message_bits)
    assert len(reference) == len(network.layers)
    for layer, spikes, u, v, (want_spikes, want_u, want_v) in zip(
        network.layers, run.spikes, run.u, run.v, reference, strict=True
    ):
        assert spikes.shape == (2, *layer.shape, train.shape[-1])
        differing = np.argwhere(np.moveaxis(spikes[1] != want_spikes, -1, 0))
        assert not len(differing), f"{layer.label} first differs at (step, *neuron) {tuple(differing[0])}"
        np.testing.assert_array_equal(u[1, ..., -1], want_u, err_msg=f"u of {layer.label}")
        np.testing.assert_array_equal(v[1, ..., -1], want_v, err_msg=f"v of {layer.label}")
    return [spikes[1] for spikes in run.spikes]


def binary(rng: np.random.Generator, *shape: int, density: float = 0.4) -> IntArray:
    return (rng.random(shape) < density).astype(np.int64)


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
    """Currents beyond one range of 24 bits, biases beyond 16, thresholds beyond 17, and a dense layer without neuron."""
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
    run = StockNetwork.from_file(path).run(train[None], record_states=True)
    assert run.u is not None and run.v is not None
    assert max(np.abs(v).max() for v in run.v) == 2**23 - 1, "v saturates"
    assert (np.diff(np.sign(run.u[0]), axis=-1) != 0).any(), "u wraps"


def test_graded_input_beyond_24_and_32_bits(tmp_path: Path) -> None:
    """Signed payloads: Conv wraps to 24 bits, Dense and the neuron wrap to 32, u leaves 24 bits."""
    rng = np.random.default_rng(4)
    payload = rng.integers(-(2**20), 2**20, (4, 3, 2, STEPS))
    path = write_netx(
        tmp_path / "conv.net",
        inputs(4, 3, 2),
        conv(rng.integers(-99, 99, (3, 2, 2, 2)), (3, 2, 3), neuron=neuron(3000, 100, 900)),
    )
    assert_equal_to_lava(path, payload, message_bits=24)
    path = write_netx(tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(3000, 9)))
    assert_equal_to_lava(path, rng.integers(-(2**31) + 1, 2**31, (6, STEPS)), message_bits=31)


def test_payloads_count_as_one_without_message_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = write_netx(tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(threshold=2)))
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
    np.testing.assert_array_equal(network.layers[0].synapse.accumulator(1)(spikes), want)


@pytest.mark.parametrize("name", ["minus one and zero", "not positive, wide and odd", "positive and too wide"])
@pytest.mark.filterwarnings("ignore:layer 1")
def test_networks_whose_weights_lava_changes(tmp_path: Path, name: str) -> None:
    path = write_netx(
        tmp_path / "dense.net",
        inputs(3),
        dense(np.array(WEIGHTS[name][0]), bias=np.array([7]), neuron=neuron(4096, 100, 25)),
    )
    assert_equal_to_lava(path, binary(np.random.default_rng(6), 3, 20))


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
    run = both.run(binary(rng, 3, 5, 4, 2, STEPS))
    np.testing.assert_array_equal(second.run(run.spikes[0]).output, run.output)
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


def test_matches_the_states_lava_dl_ships_of_pilotnet() -> None:
    """The fully connected end of PilotNet, from the spikes and states recorded in lava-dl's own tests."""
    netx = pytest.importorskip("lava.lib.dl.netx", reason="lava-nc and lava-dl need Python 3.10")
    folder = Path(netx.__file__).parents[4] / "tests/lava/lib/dl/netx/gts/pilotnet_lif"
    if not folder.is_dir():
        pytest.skip("this lava-dl was installed without its tests")
    network = StockNetwork.from_file(folder / "network.net", first_layer=6)
    print({f.name: np.load(f).shape for f in folder.glob("*.npy")})
    raise AssertionError
