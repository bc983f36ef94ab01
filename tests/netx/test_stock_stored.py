"""The networks and recorded states of the lava-dl wheel's own tests (Intel), and Lava beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork
from spk2loihi.simulators.lava.stock_lava import run_in_lava
from support.netx_files import (
    IntArray,
    assert_equal_to_lava,
    assert_same,
    complex_dense,
    conv,
    dense,
    inputs,
    neuron,
    resonator,
    sdnn,
    write_netx,
)


@pytest.fixture(scope="module")
def stored() -> Path:
    """Folder of lava-dl's netx tests."""
    netx = pytest.importorskip("lava.lib.dl.netx", reason="lava-nc and lava-dl need Python 3.10")
    folder = Path(netx.__file__).parents[4] / "tests/lava/lib/dl/netx"
    if not (folder / "gts").is_dir():
        pytest.skip("this lava-dl was installed without its tests")
    return folder


def load(path: Path) -> IntArray:
    """Whole numbers, as integers."""
    values = np.load(path)
    assert (values == np.trunc(values)).all()
    return values.astype(np.int64)


PILOTNET = {**{i + 1: f"conv-{i}" for i in range(5)}, **{i + 7: f"fc-{i}" for i in range(4)}}  # stored names by layer
INTERVAL = 16  # steps a sample lasts
REFRACTORY = 128  # what the stored v says where a neuron has just fired: the chip counts its refractory time there


def test_pilotnet_lif(stored: Path) -> None:
    """Every layer: spikes, u and v, from an image held as the bias of the input neurons.

    Layer k, counted from 0, is compared up to its second reset: the stored run was not reset again one layer a step.
    The stored u and v of the last layer are taken up to step 7: from step 8 on they are not its weights times the
    stored spikes of the layer before.
    """
    folder = stored / "gts/pilotnet_lif"
    network = StockNetwork.from_file(folder / "network.net", reset_interval=INTERVAL)
    image = np.repeat(load(folder / "image.npy")[..., None], 24, axis=-1)
    run = network.run(image[None], record=[layer.number for layer in network.layers])
    np.testing.assert_array_equal(run.layers[0].s[0], load(folder / "input-s.npy"))
    for index, layer in enumerate(network.layers[1:]):
        name, record = PILOTNET[layer.number], run.layers[layer.number]
        spikes = load(folder / (f"{name}-s.npy" if name == "fc-3" else f"{name}.npy"))
        steps = 8 if name == "fc-3" else INTERVAL + 1 + index
        s, u, v = (array[0, ..., :steps] for array in (record.s, record.states["u"], record.states["v"]))
        np.testing.assert_array_equal(s, spikes[..., :steps], err_msg=name)
        np.testing.assert_array_equal(u, load(folder / f"{name}-u.npy")[..., :steps], err_msg=name)
        np.testing.assert_array_equal(
            np.where(s, REFRACTORY, v), load(folder / f"{name}-v.npy")[..., :steps], err_msg=name
        )
    last, before = network.layers[-1].synapse, load(folder / "fc-2.npy")
    assert last is not None
    from_stored = 64 * last.drive(before.T[:, None], 1)[:, 0, 0]  # iDecay is 4096: u is the drive
    np.testing.assert_array_equal(run.layers[10].states["u"][0, 0, 1:], from_stored[:23])
    assert (load(folder / "fc-3-u.npy")[0, 8], from_stored[7]) == (0, -1536)


@pytest.mark.slow
def test_pilotnet_lif_beside_lava(stored: Path) -> None:
    folder = stored / "gts/pilotnet_lif"
    image = np.repeat(load(folder / "image.npy")[..., None], 4, axis=-1)
    spikes = assert_equal_to_lava(folder / "network.net", image, reset_interval=4)
    assert sum(s.any() for s in spikes) == 9  # of ten: a comparison of silence proves nothing


@pytest.mark.parametrize("spike_exp", [6, 0])
def test_pilotnet_sdnn_output(stored: Path, spike_exp: int) -> None:
    """With the default exponent equal to the stored output; with 0, as lava-dl's test has it, near it."""
    folder = stored / "gts/pilotnet_sdnn"
    frame = np.repeat(load(folder / "input.npy"), 9, axis=-1)
    output = StockNetwork.from_file(folder / "network.net", spike_exp=spike_exp).run(frame[None]).output[0]
    expected = load(folder / "output.npy")
    if spike_exp == 6:
        np.testing.assert_array_equal(output, expected)
    else:
        assert np.abs(output - expected / 64).mean() < 128


@pytest.mark.parametrize(
    ("file", "suffix", "size"), [("network", "", (100, 33)), ("square_network", "_square", (33, 33))]
)
def test_pilotnet_sdnn_states(stored: Path, file: str, suffix: str, size: tuple[int, int]) -> None:
    """Sigma of every layer with stored states, in all 20 steps, from stored messages of the input layer."""
    folder = stored / "gts/pilotnet_sdnn"
    network = StockNetwork.from_file(folder / f"{file}.net", first_layer=1, input_message_bits=16)
    numbers = [number for number in range(1, 5) if (folder / f"sigma{number}{suffix}.npy").is_file()]
    run = network.run(load(folder / "act0.npy")[None, : size[0], : size[1]], record=numbers)
    assert len(numbers) == (4 if suffix else 2)
    for number in numbers:
        sigma = load(folder / f"sigma{number}{suffix}.npy")
        np.testing.assert_array_equal(run.layers[number].states["sigma"][0], sigma, err_msg=str(number))


@pytest.mark.slow
def test_pilotnet_sdnn_beside_lava(stored: Path) -> None:
    folder = stored / "gts/pilotnet_sdnn"
    frame = np.repeat(load(folder / "input.npy"), 4, axis=-1)
    frame[..., 2:] //= 2
    assert_equal_to_lava(folder / "network.net", frame)


def test_ntidigits(stored: Path) -> None:
    """3,000 steps with axonal delays; the stored output is one step later. Its last layer, an average, is refused."""
    folder = stored / "gts/ntidigits"
    with pytest.raises(UserError, match=r"layer 5 \(average\): stock netx cannot load it: average the recorded"):
        StockNetwork.from_file(folder / "ntidigits.net")
    network = StockNetwork.from_file(folder / "ntidigits.net", num_layers=5)
    output = network.run(load(folder / "input.npy")[None]).output[0]
    expected = load(folder / "output.npy")
    np.testing.assert_array_equal(output[:, :-1], expected[:, 1:])
    assert not expected[:, 0].any() and expected.sum() == 22_572


@pytest.mark.slow
def test_ntidigits_beside_lava(stored: Path) -> None:
    folder = stored / "gts/ntidigits"
    train = load(folder / "input.npy")[:, 1000:1080]
    network = StockNetwork.from_file(folder / "ntidigits.net", num_layers=5)
    run = network.run(train[None], [2, 3, 4])
    _, records = run_in_lava(folder / "ntidigits.net", network, train, [2, 3, 4], num_layers=5)
    for layer in network.layers:
        assert_same(run.layers[layer.number], 0, records[layer.number], layer.label)


def test_tinynet(stored: Path) -> None:
    """Three layers of LOIHI neurons: stored spikes of all, each reset when it first hears of the input."""
    folder = stored / "gts/tinynet"
    bias = np.repeat(load(folder / "input_bias.npy")[..., None], 17, axis=-1)
    run = StockNetwork.from_file(stored / "tiny.net", reset_interval=17).run(bias[None], record=[0, 1, 2])
    for number, name in enumerate(("input", "layer1", "output")):
        expected = load(folder / f"{name}.npy")[0].transpose(2, 1, 0, 3)[..., 1:]
        np.testing.assert_array_equal(run.layers[number].s[0, ..., number : number + 15], expected, err_msg=name)
    assert_equal_to_lava(stored / "tiny.net", bias[..., :9], reset_interval=4)


def test_tinynet_current(stored: Path, tmp_path: Path) -> None:
    """The first convolution alone, on the stored spikes of the input."""
    folder = stored / "gts/tinynet"
    kernel, bias = load(folder / "layer1_kernel.npy"), load(folder / "layer1_bias.npy")
    layer = conv(
        kernel.transpose(0, 3, 2, 1)[:, :, ::-1, ::-1],  # Lava's (out, x, y, in), flipped, to netx (out, in, y, x)
        (6, 6, 24),
        stride=np.array([2, 2]),
        bias=bias,
        neuron=neuron(4096, 1024, 25, b"LOIHI"),
    )
    path = write_netx(tmp_path / "conv.net", inputs(16, 16, 3), layer)
    spikes = load(folder / "input.npy")[0].transpose(2, 1, 0, 3)[..., 1:]
    run = StockNetwork.from_file(path).run(spikes[None], record=[1])
    current = load(folder / "current.npy")[0].transpose(2, 1, 0, 3)
    np.testing.assert_array_equal(run.layers[1].states["u"][0, ..., 1:], 64 * current[..., 1:15])


def test_tinynet_sdnn(stored: Path, tmp_path: Path) -> None:
    """A Delta input, a SigmaDelta convolution and a Sigma dense layer with stored weights and messages."""
    folder = stored / "gts/tinynet_sdnn"
    kernel = load(folder / "layer1_kernel.npy").transpose(0, 3, 2, 1)[:, :, ::-1, ::-1]
    first = {**inputs(16, 16, 3), "neuron": sdnn(20)}
    second = conv(kernel, (6, 6, 24), stride=np.array([2, 2]), bias=load(folder / "layer1_bias.npy"), neuron=sdnn(20))
    images = np.repeat(np.load(folder / "input_bias.npy")[..., None], 15, axis=-1)
    images *= np.sin(2 * np.pi * np.arange(15) / 15)
    delta = StockNetwork.from_file(write_netx(tmp_path / "delta.net", first)).run(images.astype(int)[None]).output[0]
    messages = load(folder / "input.npy")
    np.testing.assert_array_equal(delta, messages)
    path = write_netx(tmp_path / "conv.net", inputs(16, 16, 3), second)
    again = np.concatenate([messages, messages[..., :1]], axis=-1)
    output = StockNetwork.from_file(path).run(again[None] != 0).output[0]  # lava-dl's test has no message bits
    np.testing.assert_array_equal(output, load(folder / "layer1.npy"))
    weight = load(folder / "layer2_weight.npy")
    path = write_netx(tmp_path / "dense.net", inputs(864), dense(weight, neuron=sdnn(sigma_output=True)))
    sigma = StockNetwork.from_file(path).run(output.reshape(1, 864, 16) != 0).output[0]
    np.testing.assert_array_equal(sigma, load(folder / "layer2.npy"))


def test_dense(stored: Path, tmp_path: Path) -> None:
    """2,000 steps of a dense LIF layer."""
    folder = stored / "gts/dense"
    path = write_netx(
        tmp_path / "dense.net", inputs(200), dense(load(folder / "weight.npy"), neuron=neuron(4096, 415, 6))
    )
    run = StockNetwork.from_file(path).run(load(folder / "in.npy")[None])
    np.testing.assert_array_equal(run.output[0], load(folder / "out.npy"))


def test_complex_dense(stored: Path, tmp_path: Path) -> None:
    """2,000 steps of a layer of resonators; Lava's period 11 and decay 0.05 as netx decays."""
    folder = stored / "gts/complex_dense"
    angle = 2 * np.pi / 11
    decays = [int(0.95 * 4096 * part) for part in (np.sin(angle), np.cos(angle))]
    layer = complex_dense(
        load(folder / "weight_r.npy"), load(folder / "weight_img.npy"), neuron=resonator(*decays, 25, b"RF_PHASE")
    )
    path = write_netx(tmp_path / "complex.net", inputs(200), layer)
    run = StockNetwork.from_file(path).run(load(folder / "in.npy")[None])
    np.testing.assert_array_equal(run.output[0], load(folder / "out.npy"))


def test_mnist_beside_lava(stored: Path) -> None:
    """Three dense layers, the last without a neuron group."""
    rng = np.random.default_rng(0)
    network = StockNetwork.from_file(stored / "mnist.net")
    image = network.encode(rng.random(784) * (rng.random(784) < 0.2))
    spikes = assert_equal_to_lava(stored / "mnist.net", np.repeat(image[:, None], 12, axis=1))
    assert sum(s.any() for s in spikes) == 3
