"""Segments of model.net, and of any netx file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.writer import write_network
from spk2loihi.netx import Segment, StockNetwork, segment_file, segments
from support.netx_files import FLATTEN, assert_equal_to_lava, binary, conv, dense, inputs, write_netx

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


@pytest.mark.slow
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
    (spikes,) = assert_equal_to_lava(tmp_path / "segment.net", train, input_message_bits=message_bits)
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
    StockNetwork.from_file(tmp_path / "segment.net")  # it stands alone
    path = tmp_path / "moved.net"
    with pytest.raises(UserError, match=r"layer 2 of .* is not dense or conv: choose one that segments"):
        segment_file(path, 2, tmp_path / "other.net")
    assert not (tmp_path / "other.net").exists()


def test_a_whole_student_is_not_a_chain(model_net: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"layer 2 \(conv\): it reads layers \[0\], but the stock loader runs a chain"):
        StockNetwork.from_file(model_net)
    with pytest.raises(UserError, match=r"layer 4 \(attention\): this type is unknown to stock netx"):
        StockNetwork.from_file(model_net, first_layer=4)
    with h5py.File(model_net) as source, h5py.File(tmp_path / "damaged.net", "w") as damaged:
        source.copy("layer", damaged)
        damaged["layer/3/spk2loihi/meta"][0] = 0
    with pytest.raises(UserError, match=r"layer 3 \(conv\): its spk2loihi/meta is damaged"):
        segments(tmp_path / "damaged.net")
    with h5py.File(tmp_path / "damaged.net", "a") as damaged:
        del damaged["layer/3/spk2loihi/meta"]
        damaged["layer/3/spk2loihi/meta"] = np.frombuffer(b"[" * 100_000, np.uint8)
    with pytest.raises(UserError, match=r"layer 3 \(conv\): its spk2loihi/meta is damaged"):
        segments(tmp_path / "damaged.net")
    with pytest.raises(UserError, match=r"layer 6 \(concat\): stock netx cannot load it: it runs a chain"):
        StockNetwork.from_file(model_net, first_layer=6)
