"""Layers, files and inputs that StockNetwork refuses: the layer named, and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.netx import StockNetwork, segments
from support.netx_files import (
    FLATTEN,
    complex_dense,
    conv,
    dense,
    dense_rec,
    inputs,
    neuron,
    resonator,
    sdnn,
    write_netx,
)

ONES = np.ones((3, 4), np.int64)
KERNEL = np.ones((2, 2, 1, 1), np.int64)
PLANE = inputs(5, 1, 2)


def typed(kind: bytes) -> dict[str, Any]:
    return {"type": np.array([kind]), "shape": np.array([3])}


RECURRENT = dense_rec(ONES, np.eye(3, dtype=np.int64))
COMPLEX = complex_dense(ONES, ONES, neuron=resonator(2000, 3000))

REFUSALS: dict[str, tuple[list[dict[str, Any]], str]] = {
    **{
        kind: ([inputs(4), typed(kind.encode())], rf"layer 1 \({kind}\): stock netx cannot load it")
        for kind in ("pool", "unpool", "convT", "average", "concat", "dense_comp")
    },
    **{
        kind: ([inputs(4), typed(kind.encode())], rf"layer 1 \({kind}\): this type is unknown to stock netx: choose")
        for kind in ("attention", "other")
    },
    "RF": ([PLANE, conv(KERNEL, (5, 1, 2), neuron=resonator(1, 2))], "neurons of type RF need weights of two parts"),
    "unknown neuron": ([inputs(4), dense(ONES, neuron=neuron(kind=b"ALIF"))], "type ALIF are unknown to stock netx"),
    "input neuron": ([{**inputs(4), "neuron": resonator(1, 2)}, dense(ONES)], "no input neurons of type RF: use CUBA"),
    "message bits": ([inputs(4), dense(ONES, neuron={**neuron(), "messageBits": 8})], "messageBits.*leave them out"),
    "graded": (
        [inputs(4), dense(ONES, neuron={**neuron(), "gradedSpike": True})],
        "graded spikes of CUBA for spikes of 1",
    ),
    "activation": (
        [inputs(4), dense(ONES, neuron=sdnn(activation=np.array(b"none")))],
        "takes activation none for relu",
    ),
    "sigma output": ([inputs(4), dense(ONES, neuron=sdnn(sigma_output=False))], "takes sigma_output 0 for 1: leave"),
    "sigma bias": (
        [inputs(4), dense(ONES, bias=np.arange(3), neuron=sdnn(sigma_output=True))],
        "cannot load a bias with sigma_output: leave the bias out",
    ),
    "sdnn threshold": (
        [inputs(4), dense(ONES, neuron=sdnn(1 << 19))],
        "vThMant 524288 passes 32 bits .* within 524287",
    ),
    "sdnn bias": ([inputs(4), dense(ONES, bias=np.array([1 << 19]), neuron=sdnn())], "bias 524288 passes 32 bits"),
    "complex bias": ([inputs(4), {**COMPLEX, "bias": np.arange(3)}], "ignores the bias of complex layers"),
    "complex delay": ([inputs(4), {**COMPLEX, "delay": 1}], "ignores the delay of complex layers"),
    "complex shapes": ([inputs(4), complex_dense(ONES, ONES[:, :3], neuron=resonator(1, 2))], "differ in shape"),
    "complex CUBA": ([inputs(4), {**COMPLEX, "neuron": neuron()}], "neurons of type CUBA need real weights"),
    "complex, no neuron": ([inputs(4), complex_dense(ONES, ONES)], "complex weights but no neuron: give it an RF"),
    "recurrent weight": ([inputs(4), {**RECURRENT, "weight_rec": ONES}], r"weight_rec \(3, 4\) is not square"),
    "recurrent delay": (
        [inputs(4), {**RECURRENT, "delay": 1}],
        "loses the weight exponent of delayed recurrent layers",
    ),
    "conv delay": ([PLANE, conv(KERNEL, (5, 1, 2), delay=1)], "ignores the delays of convolutions"),
    "negative delay": ([inputs(4), dense(ONES, delay=np.array([0, -1, 3]))], "a delay is -1: stay within 0 to 62"),
    "fraction of a delay": ([inputs(4), dense(ONES, delay=np.array([0, 0.5, 3]))], "delay has fractions"),
    "delay shape": ([inputs(4), dense(ONES, delay=np.zeros(5))], r"delay \(5,\) does not fit weight \(3, 4\)"),
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
    "decays": (
        [inputs(4), dense(ONES, neuron={**neuron(), "vDecay": ONES[0]})],
        r"vDecay of shape \(4,\) does not fit",
    ),
    "decay": ([inputs(4), dense(ONES, neuron={**neuron(), "vDecay": 1 << 40})], r"vDecay is \[1099511627776\]: give"),
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
    **{
        f"neuron {kind!r}": (
            [inputs(4), complex_dense(ONES, ONES, neuron=resonator(1, 2, kind=kind))],
            "are unknown to stock netx, or would run as others in silence: use CUBA, LOIHI, SDNN, RF, RF_PHASE, RF_IZ",
        )
        for kind in (b"SERF", b"RF_FOO", b"RFPHASE", b"PHASE_RF")
    },
    "text": (
        [inputs(4), dense(ONES, shape=np.array([b"three"]))],
        r"layer 1 \(dense\): shape is missing or not integers",
    ),
    "huge shape": ([inputs(4), dense(ONES, shape=np.array([2**62, 4]))], r"shape .* has more than 67,108,864 neurons"),
    "axes": ([inputs(4), dense(ONES, shape=np.ones(9, np.int64))], "shape has 9 axes"),
    "least number": ([inputs(4), dense(np.full((3, 4), -(2**63)))], "weight holds 9223372036854775808: give"),
    "unsigned": ([inputs(4), dense(np.full((3, 4), 2**64 - 1, np.uint64))], "weight holds 18446744073709551615: give"),
    "no delay": ([inputs(4), dense(ONES, delay=np.zeros(0, np.int64))], "delay is empty"),
    "type of escapes": ([inputs(4), typed(b"\x1b[31m")], "has the type '.*': use letters and digits"),
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
        with pytest.raises(UserError, match=r"not within the 2 layers|is a whole number from"):
            StockNetwork.from_file(path, first, count)
    with pytest.raises(UserError, match="`input_message_bits` is 32, but it is a whole number from 0 to 31"):
        StockNetwork.from_file(path, input_message_bits=32)
    with pytest.raises(UserError, match="`reset_interval` is 0, but it is a whole number from 1"):
        StockNetwork.from_file(path, reset_interval=0)
    with pytest.raises(UserError, match="`spike_exp` is 8, but it is a whole number from 0 to 7"):
        StockNetwork.from_file(path, spike_exp=8)
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
    with pytest.raises(UserError, match=r"layer 0 has no neurons to record: choose among \[1\]"):
        network.run(np.zeros((2, 4, 3), np.int64), record=[0])
    with pytest.raises(UserError, match=r"layer 1 \(dense\) has no transform"):
        network.encode(np.zeros(4))
    path = write_netx(tmp_path / "delayed.net", inputs(4), dense(ONES, delay=1))
    with pytest.raises(UserError, match=r"layer 1 \(dense\): weight times payload can reach .* of Lava's delayed"):
        StockNetwork.from_file(path, input_message_bits=31).run(np.full((1, 4, 3), 1 << 30))
    path = write_netx(tmp_path / "conv.net", PLANE, conv(KERNEL << 20, (5, 1, 2)))
    with pytest.raises(UserError, match=r"layer 1 \(conv\): sums can reach 2147483648 with spikes up to 1024"):
        StockNetwork.from_file(path, input_message_bits=11).run(np.full((1, 5, 1, 2, 3), -1024))
