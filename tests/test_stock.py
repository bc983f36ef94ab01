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
    run = StockNetwork.from_file(path).run(train[None], record_states=True)
    assert run.u is not None and run.v is not None
    assert max(np.abs(v).max() for v in run.v) == 2**23 - 1, "v saturates"
    assert np.abs(np.diff(run.u[0])).max() > 2**23, "u wraps"


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
    path = write_netx(
        tmp_path / "dense.net", inputs(6), dense(rng.integers(-99, 99, (5, 6)), neuron=neuron(threshold=2))
    )
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
@pytest.mark.filterwarnings("ignore:layer 1", "ignore:divide by zero")
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


def test_a_file_lava_dl_wrote(tmp_path: Path) -> None:
    """The convolutions of TinyNet from lava-dl's tests: whole floats, a time axis in the kernel, LOIHI neurons."""
    netx = pytest.importorskip("lava.lib.dl.netx", reason="lava-nc and lava-dl need Python 3.10")
    tiny = Path(netx.__file__).parents[4] / "tests/lava/lib/dl/netx/tiny.net"
    if not tiny.is_file():
        pytest.skip("this lava-dl was installed without its tests")
    path = write_netx(tmp_path / "tiny.net", inputs(16, 16, 3))
    with h5py.File(path, "r+") as file:
        for number in (1, 2):
            file[f"layer/{number}"] = h5py.ExternalLink(str(tiny), f"/layer/{number}")
    spikes = assert_equal_to_lava(path, binary(np.random.default_rng(9), 16, 16, 3, 6))
    assert all(s.any() for s in spikes)
    with pytest.raises(UserError, match=r"layer 0 \(input\): input neurons are not emulated.*first_layer=1"):
        StockNetwork.from_file(tiny)


# --- tests: segments of model.net -----------------------------------------------------------------------------------

SEGMENTS = {  # input and output channels
    "layer.0.query": (8, 8),
    "layer.0.key": (8, 8),
    "layer.0.value": (8, 8),
    "layer.0.attention_output": (16, 8),
    "layer.0.ffn_in": (8, 12),
    "layer.0.ffn_out": (20, 8),
    "pooler": (8, 8),
    "classifier": (8, 2),
}
TOKENS = 6


@pytest.fixture(scope="module")
def model_net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random, calibrated, folded student of one layer."""
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        max_tokens=TOKENS,
        timesteps=4,
    )
    model = SpikingBertForSequenceClassification(config).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    ids = torch.randint(1, config.vocab_size, (3, TOKENS))
    with model.calibration():
        model(ids, torch.ones_like(ids))
    path = tmp_path_factory.mktemp("student") / "model.net"
    write_network(fold(model, "{}", {}), path)
    return path


def test_segments_are_the_convolutions_of_the_student(model_net: Path) -> None:
    found = segments(model_net)
    assert {s.name: (s.input_shape[-1], s.output_shape[-1]) for s in found} == SEGMENTS
    assert all(s.kind == "conv" and s.input_shape[:2] == s.output_shape[:2] == (TOKENS, 1) for s in found)


@pytest.mark.parametrize("message_bits", [0, 8])
@pytest.mark.parametrize("name", SEGMENTS)
def test_every_segment_equals_stock_lava(model_net: Path, tmp_path: Path, name: str, message_bits: int) -> None:
    """Binary spikes, and spikes of either sign as payloads."""
    number = next(s.number for s in segments(model_net) if s.name == name)
    segment = segment_file(model_net, number, tmp_path / "segment.net")
    rng = np.random.default_rng(number)
    train = binary(rng, *segment.input_shape, 50)
    if message_bits:
        train *= rng.choice([-1, 1], train.shape)
    (spikes,) = assert_equal_to_lava(tmp_path / "segment.net", train, message_bits)
    assert spikes.any() == (name != "classifier"), "the readout never fires, all others do"
    alone = StockNetwork.from_file(
        model_net, number, 1, input_shape=segment.input_shape, input_message_bits=message_bits
    )
    np.testing.assert_array_equal(alone.run(train[None]).output[0], spikes)


def test_segments_of_any_netx_file(tmp_path: Path) -> None:
    """Strided convolutions and dense layers load in the stock loader with the shapes the segment tells."""
    hdf5 = pytest.importorskip("lava.lib.dl.netx.hdf5", reason="lava-nc and lava-dl need Python 3.10")
    rng = np.random.default_rng(10)
    strided = conv(
        rng.integers(-9, 9, (4, 2, 3, 2)),
        (5, 4, 4),
        stride=np.array([2, 3]),
        padding=np.array([1, 0]),
        dilation=np.array([1, 2]),
        inChannels=2,
    )
    path = write_netx(tmp_path / "any.net", inputs(15, 7, 2), strided, FLATTEN, dense(rng.integers(-9, 9, (3, 80))))
    assert segments(path) == [
        Segment(1, "conv", "", (15, 7, 2), (5, 4, 4)),
        Segment(3, "dense", "", (80,), (3,)),
    ]
    for segment in segments(path):
        segment_file(path, segment.number, tmp_path / "segment.net")
        stock = hdf5.Network(net_config=str(tmp_path / "segment.net"))
        ours = StockNetwork.from_file(tmp_path / "segment.net")
        assert stock.inp.shape == ours.input_shape == segment.input_shape
        assert stock.out.shape == ours.output_shape == segment.output_shape
    path.rename(tmp_path / "moved.net")
    with pytest.raises(UserError, match="links to a file that is gone"):
        StockNetwork.from_file(tmp_path / "segment.net")
    path = tmp_path / "moved.net"
    with pytest.raises(UserError, match=r"layer 2 of .* is not dense or conv: choose one that segments"):
        segment_file(path, 2, tmp_path / "other.net")
    assert not (tmp_path / "other.net").exists()


def test_a_whole_student_is_not_a_chain(model_net: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"layer 2 \(conv\): it reads layers \[0\], but the stock loader runs a chain"):
        StockNetwork.from_file(model_net)
    with pytest.raises(UserError, match=r"layer 4 \(attention\): this type is not emulated"):
        StockNetwork.from_file(model_net, first_layer=4)
    with h5py.File(model_net) as source, h5py.File(tmp_path / "damaged.net", "w") as damaged:
        source.copy("layer", damaged)
        damaged["layer/3/spk2loihi/meta"][0] = 0
    with pytest.raises(UserError, match=r"layer 3 \(conv\): its spk2loihi/meta is damaged"):
        segments(tmp_path / "damaged.net")
    with pytest.raises(UserError, match=r"layer 6 \(concat\): this type is not emulated"):
        StockNetwork.from_file(model_net, first_layer=6)


# --- tests: refusals ------------------------------------------------------------------------------------------------

ONES = np.ones((3, 4), np.int64)
KERNEL = np.ones((2, 2, 1, 1), np.int64)
PLANE = inputs(5, 1, 2)


def typed(kind: bytes) -> dict[str, Any]:
    return {"type": np.array([kind]), "shape": np.array([3])}


REFUSALS: dict[str, tuple[list[dict[str, Any]], str]] = {
    **{
        kind: ([inputs(4), typed(kind.encode())], rf"layer 1 \({kind}\): this type is not emulated: choose")
        for kind in ("dense_rec", "pool", "unpool", "convT", "average", "concat", "attention", "dense_comp", "other")
    },
    "SDNN": ([inputs(4), dense(ONES, neuron=neuron(kind=b"SDNN"))], r"layer 1 \(dense\): neurons of type SDNN are not"),
    "RF": ([PLANE, conv(KERNEL, (5, 1, 2), neuron=neuron(kind=b"RF_PHASE"))], "neurons of type RF_PHASE are not"),
    "graded": ([inputs(4), dense(ONES, neuron={**neuron(), "messageBits": 8})], "messageBits.*leave them out"),
    "delays": ([inputs(4), dense(ONES, delay=np.ones(3))], r"layer 1 \(dense\): synaptic delays are not emulated"),
    "complex": (
        [inputs(4), {**dense(ONES), "weight": {"real": ONES, "imag": ONES}}],
        "complex weights are not emulated",
    ),
    "input neuron": ([{**inputs(4), "neuron": neuron()}, dense(ONES)], "input neurons are not emulated.*first_layer=1"),
    "second input": ([inputs(4), dense(ONES), inputs(3)], r"layer 2 \(input\): it follows other layers"),
    "no neurons": ([inputs(4), FLATTEN], "layers 0 to 1 hold no neurons: include"),
    "no neuron": ([PLANE, conv(KERNEL, (5, 1, 2), neuron=None)], r"layer 1 \(conv\): it has no neuron"),
    "fractions": ([inputs(4), dense(ONES / 2)], "weight has fractions, which netx drops in silence: quantise"),
    "not finite": ([inputs(4), dense(ONES, bias=np.array([np.nan]))], "bias has fractions"),
    "zeros": ([inputs(4), dense(0 * ONES)], r"layer 1 \(dense\): all weights are zero"),
    "empty": ([inputs(4), dense(ONES[:, :0])], "it has no weights"),
    "threshold": (
        [inputs(4), dense(ONES, neuron={**neuron(), "vThMant": 0.5})],
        r"layer 1 \(CUBA\): vThMant is missing",
    ),
    "decay": ([inputs(4), dense(ONES, neuron={**neuron(), "vDecay": ONES[0]})], r"vDecay is \[1.*give one number"),
    "weight shape": ([inputs(4), dense(ONES, shape=np.array([5]))], r"weight \(3, 4\) does not fit 5 neurons"),
    "layer shape": ([inputs(4), dense(ONES, shape=np.array([0]))], r"shape \(0,\) is empty"),
    "bias shape": ([inputs(4), dense(ONES, bias=np.arange(2))], r"bias \(2,\) does not fit neurons \(3,\): give one"),
    "bias size": ([inputs(4), dense(ONES, bias=np.array([1 << 40]))], "a bias of 1099511627776 passes 32 bits"),
    "kernel shape": ([PLANE, conv(ONES, (5, 1, 2))], r"weight has shape \(3, 4\): give it as"),
    "channels": ([inputs(5, 1, 3), conv(KERNEL, (5, 1, 2))], "3 channels arrive at a weight of shape"),
    "groups": (
        [inputs(1, 1, 130), conv(np.ones((130, 1, 1, 1), np.int64), (1, 1, 130), groups=130)],
        r"groups 130 is outside what Lava's Conv keeps in 8 bits: stay within 1 \(padding 0\) to 127",
    ),
    "stride": ([PLANE, conv(KERNEL, (5, 1, 2), stride=np.array([1, -1]))], r"stride is \[1, -1\]: give one or two"),
    "output": ([PLANE, conv(KERNEL, (4, 1, 2))], r"shape is \(4, 1, 2\), but input \(5, 1, 2\) makes \(5, 1, 2\)"),
    "flat conv": ([inputs(4), dense(ONES), conv(KERNEL, (5, 1, 2))], r"layer 2 \(conv\): its input shape is \(3,\)"),
    "no flatten": ([PLANE, conv(KERNEL, (5, 1, 2)), dense(ONES)], r"\(5, 1, 2\) arrive: put a flatten layer before it"),
    "flat flatten": ([inputs(4), dense(ONES), FLATTEN, dense(ONES[:, :3])], r"flatten takes .* not \(3,\): leave"),
    "widths": (
        [inputs(4), dense(ONES), dense(ONES)],
        r"it expects \(4,\) spikes, but \(3,\) arrive: correct its weight",
    ),
    "no type": ([inputs(4), {"shape": np.array([3])}], "/layer/1 has no type"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_name_the_layer_and_the_remedy(tmp_path: Path, name: str) -> None:
    layers, message = REFUSALS[name]
    with pytest.raises(UserError, match=message):
        StockNetwork.from_file(write_netx(tmp_path / "refused.net", *layers))


def test_refused_files_and_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.net does not exist"):
        StockNetwork.from_file(tmp_path / "absent.net")
    (tmp_path / "text.net").write_text("no network")
    with pytest.raises(UserError, match=r"text.net is not an HDF5 file"):
        segments(tmp_path / "text.net")
    with pytest.raises(UserError, match="no layers numbered from 0"):
        StockNetwork.from_file(write_netx(tmp_path / "empty.net"))
    path = write_netx(tmp_path / "cut.net", inputs(4), dense(ONES))
    (tmp_path / "cut.net").write_bytes(path.read_bytes()[:600])
    with pytest.raises(UserError, match=r"cut.net is damaged or truncated"):
        StockNetwork.from_file(path)
    path = write_netx(tmp_path / "dense.net", inputs(4), dense(ONES))
    for first, count in ((2, None), (-1, None), (0, 3), (0, 0)):
        with pytest.raises(UserError, match="not within the 2 layers"):
            StockNetwork.from_file(path, first, count)
    with pytest.raises(UserError, match="input_message_bits is 32"):
        StockNetwork.from_file(path, input_message_bits=32)
    with pytest.raises(UserError, match=r"its shape is \(4,\), not \(5,\)"):
        StockNetwork.from_file(path, input_shape=(5,))


def test_refused_inputs(tmp_path: Path) -> None:
    network = StockNetwork.from_file(write_netx(tmp_path / "dense.net", inputs(4), dense(ONES)))
    with pytest.raises(UserError, match=r"layer 1 \(dense\) takes \(samples, 4, steps\)"):
        network.run(np.zeros((2, 5, 3), np.int64))
    with pytest.raises(UserError, match="input is float64, but spikes are integers"):
        network.run(np.zeros((2, 4, 3)))
    with pytest.raises(UserError, match="at most 32 bits"):
        network.run(np.full((2, 4, 3), 1 << 40))
    path = write_netx(tmp_path / "conv.net", PLANE, conv(KERNEL << 20, (5, 1, 2)))
    with pytest.raises(UserError, match=r"layer 1 \(conv\): sums can reach 2147483648 with spikes up to 1024"):
        StockNetwork.from_file(path, input_message_bits=11).run(np.full((1, 5, 1, 2, 3), -1024))
