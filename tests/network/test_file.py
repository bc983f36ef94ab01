"""`model.net`: what is written is what is read, anything else is refused; limits; integer soma functions."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from spk2loihi import limits
from spk2loihi.data import TaskSpec
from spk2loihi.errors import UserError
from spk2loihi.limits import SOMA_THRESHOLD
from spk2loihi.models.ibert import ibert_gelu, ibert_softmax
from spk2loihi.network import read_network, write_network
from spk2loihi.network import writer as writer_module
from spk2loihi.network.bounds import check_limits, worst_drive
from spk2loihi.network.layout import CHECKSUM, EXTENSION, array_digest
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import RunConfig
from spk2loihi.network.soma import (
    GAMMA_BITS,
    GELU_RESULT_MAX,
    P_BITS,
    X_BITS,
    Gelu,
    LayerNorm,
    Multiplier,
    Softmax,
    isqrt,
    rounded_div,
)
from spk2loihi.network.writer import seal
from spk2loihi.simulators.emulator.emulator import Emulator
from support.networks import random_batch, tiny_network


def whole_network(seed: int = 0, **changes: Any) -> Network:
    """A tiny network with a whole task record, as training writes it."""
    task = TaskSpec(kind="files", name="tiny", train_file="/data/train.csv", labels=["no", "yes"])
    return replace(tiny_network(seed, **changes), task=task.to_dict(), tokenizer=Tokenizer(WordLevel()).to_str())


@pytest.fixture(scope="module")
def network() -> Network:
    return whole_network()


@pytest.fixture(scope="module")
def file(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "model.net"
    write_network(network, path)
    return path


def assert_same(a: Any, b: Any, where: str = "network") -> None:
    """Equal in every field, array values and types included; array widths may differ."""
    assert type(a) is type(b), where
    if is_dataclass(a):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name), f"{where}.{f.name}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype == np.int64, where
        assert np.array_equal(a, b), where
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


WORDS = Tokenizer(WordLevel({"日本": 0}, "é")).to_str()


def as_json(network: Network) -> Network:
    """Metadata as JSON gives it back: keys of ``id2label`` are strings there."""
    plain = {name: json.loads(json.dumps(getattr(network, name))) for name in ("task", "config", "provenance")}
    return replace(network, **plain)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"defaults": RunConfig("pipelined", "rate"), "provenance": {"seed": 3, "note": "é\u2028"}},
        {"defaults": RunConfig("settling", stagger=0)},
        {
            "defaults": RunConfig(encoding="graded"),
            "tokenizer": Tokenizer(WordLevel({"日本": 0}, "é")).to_str(),
            "weight_bits": 4,
        },
    ],
)
def test_round_trip(changes: dict, network: Network, tmp_path: Path) -> None:
    written = replace(network, **changes)
    write_network(written, tmp_path / "model.net")
    read = read_network(tmp_path / "model.net")
    assert_same(read, as_json(written))
    assert [p.name for p in tmp_path.iterdir()] == ["model.net"]


@pytest.mark.parametrize("seed", range(2))
def test_read_network_spikes_as_the_written_one(seed: int, tmp_path: Path) -> None:
    network, batch = whole_network(seed, num_hidden_layers=seed + 1, timesteps=(8, 16)[seed]), random_batch(seed)
    write_network(network, tmp_path / "model.net")
    a, b = (
        Emulator(n, engine="stepped").run(batch, record=True) for n in (network, read_network(tmp_path / "model.net"))
    )
    assert np.array_equal(a.logits, b.logits)
    assert a.trains is not None
    assert b.trains is not None
    assert all(np.array_equal(a.trains[name], b.trains[name]) for name in a.trains)


def test_the_same_network_gives_the_same_bytes(network: Network, file: Path, tmp_path: Path) -> None:
    write_network(network, tmp_path / "again.net")
    assert (tmp_path / "again.net").read_bytes() == file.read_bytes()


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_every_dataset_is_integer_and_sealed(file: Path) -> None:
    with h5py.File(file) as f:
        for name, dataset in datasets(f).items():
            text = name.endswith("type") and dataset.dtype.kind == "S"  # netx layer and neuron types are byte strings
            assert text or dataset.dtype.kind in "iub", name
            assert len(dataset.attrs[CHECKSUM]) == 64, name
        assert len(f[EXTENSION].attrs[CHECKSUM]) == 64


def test_netx_names(network: Network, file: Path) -> None:
    """What lava-dl's netx documents, for every layer; a reader of netx finds the graph without the extension."""
    with h5py.File(file) as f:
        layers = [f["layer"][str(i)] for i in range(len(f["layer"]))]
        kinds = [layer["type"][0].decode() for layer in layers]
        assert kinds[0] == "input"
        assert set(kinds) == {"input", "conv", "concat", "attention"}
        for i, (kind, layer) in enumerate(zip(kinds, layers, strict=True)):
            assert layer["shape"].shape == (3,)
            if kind in ("conv", "attention"):
                neuron = layer["neuron"]
                assert set(neuron) == {"type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike"}
                assert neuron["type"][0] == b"CUBA"
                assert [int(neuron[n][()]) for n in ("iDecay", "vDecay", "refDelay")] == [4096, 0, 1]
                assert 1 <= int(neuron["vThMant"][()]) <= limits.THRESHOLD_MAX
            if kind == "conv":
                out, into, *kernel = layer["weight"].shape
                assert kernel == [1, 1]
                assert layer["bias"].shape == (out,)
                assert (int(layer["inChannels"][()]), int(layer["outChannels"][()])) == (into, out)
                assert layer["shape"][0] == out
                if "layers" not in layer:
                    assert kinds[i - 1] == "concat"
                    assert layers[i - 1]["shape"][0] == into
                else:
                    assert len(layer["layers"]) == 1
                    assert layers[int(layer["layers"][0])]["shape"][0] == into
            if kind == "concat":
                assert kinds[i + 1] == "conv"
                assert len(layer["layers"]) == 2
                assert sum(int(layers[j]["shape"][0]) for j in layer["layers"]) == layer["shape"][0]
                assert EXTENSION not in layer
            for source in layer.get("layers", ()):
                assert 0 <= source < i
                assert kinds[source] != "concat"
        assert kinds.count("concat") == sum(len(stage.synapses) == 2 for stage in network.stages) == 4
        assert kinds.count("attention") == 4


# --- refusals


def edited(source: Path, target: Path, edit: Callable[[h5py.File], None], reseal: bool = True) -> Path:
    """A copy of a file with one thing changed, its checksums made to fit unless told otherwise."""
    shutil.copy(source, target)
    with h5py.File(target, "r+") as f:
        edit(f)
        if reseal:
            f[EXTENSION].attrs[CHECKSUM] = seal(f)
    return target


def edit_json(where: str, change: Callable[[dict], Any]) -> Callable[[h5py.File], None]:
    def edit(f: h5py.File) -> None:
        record = json.loads(bytes(f[where][()].tobytes()))
        change(record)
        del f[where]
        f[where] = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)

    return edit


def replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def edit(f: h5py.File) -> None:
        values = change(f[name][()])
        del f[name]
        f[name] = values

    return edit


def first_conv(f: h5py.File) -> str:
    return next(f"layer/{i}" for i in range(len(f["layer"])) if f[f"layer/{i}/type"][0] == b"conv")


def flip_weight(f: h5py.File) -> None:
    weight = f[first_conv(f)]["weight"]
    values = weight[()]
    values.flat[0] += 1
    weight[...] = values


def flip_quietly(f: h5py.File) -> None:
    """A changed weight under its own right checksum, but not that of the list."""
    flip_weight(f)
    weight = f[first_conv(f)]["weight"]
    weight.attrs[CHECKSUM] = array_digest(weight[()])


def refused(path: Path, words: str) -> str:
    with pytest.raises(UserError, match=words) as caught:
        read_network(path)
    text = str(caught.value)
    assert str(path) in text, "the message does not name the file"
    assert "\n" not in text
    return text


def test_missing_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "model.net", "does not exist")
    refused(tmp_path, "does not exist|folder")


def test_files_that_are_not_hdf5_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"{}", b"\x89HDF\r\n\x1a", bytes(4096)):
        (tmp_path / "model.net").write_bytes(content)
        refused(tmp_path / "model.net", "not an HDF5 file")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999, -1])
def test_truncated_files_are_refused(share: float, file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    keep = len(content) - 1 if share < 0 else max(16, int(share * len(content)))
    (tmp_path / "model.net").write_bytes(content[:keep])
    refused(tmp_path / "model.net", "damaged or truncated")


EDITS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "later version": (edit_json(f"{EXTENSION}/meta", lambda m: m.update(version=4)), "version 4, .* version 3"),
    "no version": (edit_json(f"{EXTENSION}/meta", lambda m: m.pop("version")), "version None"),
    "other format": (edit_json(f"{EXTENSION}/meta", lambda m: m.update(format="other")), "format other"),
    "hard reset": (
        edit_json(f"{EXTENSION}/meta", lambda m: m["neuron"].update(reset="to zero")), "other rules.*to zero"
    ),
    "leak": (edit_json(f"{EXTENSION}/meta", lambda m: m["neuron"].update(leak="1/2")), "other rules"),
    "meta is a list": (replaced(f"{EXTENSION}/meta", lambda a: np.frombuffer(b"[1]", np.uint8)), "not a JSON object"),
    "meta is no JSON": (replaced(f"{EXTENSION}/meta", lambda a: a[:-5]), "damaged"),
    "no timesteps": (edit_json(f"{EXTENSION}/meta", lambda m: m.pop("timesteps")), "timesteps"),
    "no tokenizer": (lambda f: f[EXTENSION].pop("tokenizer"), "tokenizer"),
    "no embedding": (lambda f: f[EXTENSION].pop("embedding"), "embedding"),
    "no layers": (lambda f: f.pop("layer"), "layer"),
    "a missing layer": (lambda f: f.pop("layer/3"), "damaged|not there"),
    "float weights": (replaced("layer/1/weight", lambda a: a.astype(np.float32) / 127), "layer/1/weight holds float32"),
    "float bias": (replaced("layer/1/bias", lambda a: a.astype(np.float64)), "layer/1/bias holds float64"),
    "float threshold": (replaced("layer/1/neuron/vThMant", lambda a: np.float32(7.5)), "vThMant holds float32"),
    "wide weights": (replaced("layer/1/weight", lambda a: a.astype(np.int16) + 255), "-256 to 254"),
    "another vThMant": (replaced("layer/1/neuron/vThMant", lambda a: a + 1), "vThMant differs from the threshold"),
    "another threshold": (edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m.update(threshold=1)), "vThMant differs"),
    "another soma": (edit_json(f"layer/0/{EXTENSION}/meta", lambda m: m["soma"].update(kind="tanh")), "unknown soma"),
    "an unknown source": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0].update(source="nowhere")), "nowhere.* not there"
    ),
    "a short bias": (replaced("layer/1/bias", lambda a: a[:-1]), "bias .15,. for 16 channels"),
    "short exponents": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0]["exponent"].pop()), "exponents .* not 16"
    ),
    "a big exponent": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0].update(exponent=[9] * 16)),
        "weight exponent .* 9",
    ),
    "a far synapse": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0].update(delay=63)), "delay .* 63 exceeds 62"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_changed_files_are_refused_even_with_fitting_checksums(name: str, file: Path, tmp_path: Path) -> None:
    edit, words = EDITS[name]
    path = tmp_path / "model.net"
    edited(file, path, edit)
    if name in (
        "wide weights",
        "a big exponent",
        "a far synapse",
    ):  # these name the stage, which is in the one file read
        with pytest.raises(UserError, match=words):
            read_network(path)
    else:
        refused(path, words)


def test_stages_must_be_wired_in_order(file: Path, tmp_path: Path) -> None:
    """An embedding first, a readout last."""
    with h5py.File(file) as f:
        last = len(f["layer"]) - 1
    path = edited(file, tmp_path / "model.net", lambda f: f[f"layer/{last}"].pop(EXTENSION))
    refused(path, "end in a readout|2 labels for 16 outputs")


META = f"{EXTENSION}/meta"


@pytest.mark.parametrize(
    "edit",
    [
        edit_json(META, lambda m: m.update(timesteps=0)),
        edit_json(META, lambda m: m.update(timesteps=-8)),
        edit_json(META, lambda m: m.update(timesteps="many")),
        edit_json(META, lambda m: m.update(max_tokens=0)),
        edit_json(META, lambda m: m.update(max_tokens=64)),  # more than there are positions
        edit_json(META, lambda m: m.update(schedule="sideways")),
        edit_json(META, lambda m: m.update(encoding="morse")),
        edit_json(META, lambda m: m.update(schedule="settling", encoding="graded")),
        edit_json(META, lambda m: m.update(stagger=-1)),
        edit_json(META, lambda m: m.update(stagger=9)),
        edit_json(META, lambda m: m.update(task=None)),
        edit_json(META, lambda m: m["task"].pop("labels")),
        edit_json(META, lambda m: m["task"].update(labels=["only one"])),
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m.update(tokens="some")),
        edit_json(f"layer/4/{EXTENSION}/meta", lambda m: m.update(heads=3)),
        edit_json(f"layer/0/{EXTENSION}/meta", lambda m: m["soma"]["gamma"].pop()),
        edit_json(f"layer/0/{EXTENSION}/meta", lambda m: m.update(channels=15)),
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m.update(name="embedding")),
        replaced(f"{EXTENSION}/tokenizer", lambda a: a[:0]),
        replaced(f"{EXTENSION}/embedding/position", lambda a: a[:4]),
    ],
    ids=["T 0", "T -8", "T text", "L 0", "L 64", "schedule", "encoding", "graded settling",
         "stagger -1", "stagger 9", "task", "no labels", "labels", "tokens",
         "heads", "gamma", "channels", "name twice", "tokenizer", "positions"],
)  # fmt: skip
def test_senseless_values_are_refused(edit: Callable[[h5py.File], None], file: Path, tmp_path: Path) -> None:
    """Checksums fit, values do not: without a refusal here a run would end in a traceback or in nonsense."""
    path = edited(file, tmp_path / "model.net", edit)
    with pytest.raises(UserError):
        read_network(path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (flip_weight, "checksum of layer/1/weight does not match"),
        (flip_quietly, "added or removed"),
        (lambda f: f.create_dataset("layer/1/extra", data=np.arange(3)), "checksum of layer/1/extra"),
        (lambda f: f["layer/1"].pop("refDelay", None) or f["layer/1/neuron"].pop("refDelay"), "added or removed"),
        (lambda f: f[EXTENSION].attrs.pop(CHECKSUM), "added or removed"),
        (lambda f: f["layer/1/bias"].attrs.pop(CHECKSUM), "checksum of layer/1/bias"),
    ],
    ids=["flipped weight", "flipped and resealed weight", "added", "removed", "no list checksum", "no checksum"],
)
def test_damage_is_seen(edit: Callable[[h5py.File], None], words: str, file: Path, tmp_path: Path) -> None:
    refused(edited(file, tmp_path / "model.net", edit, reseal=False), words)


def test_stock_netx_file_is_refused(file: Path, tmp_path: Path) -> None:
    """Its neurons reset to zero, or nobody says how: a simulator must not guess."""
    path = edited(file, tmp_path / "model.net", lambda f: f.pop(EXTENSION), reseal=False)
    refused(path, "without the spk2loihi group")


@pytest.mark.slow
def test_any_flipped_byte_is_harmless_or_refused(network: Network, file: Path, tmp_path: Path) -> None:
    content, rng = file.read_bytes(), np.random.default_rng(0)
    path = tmp_path / "model.net"
    harmless = 0
    for position in rng.choice(len(content), 24, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            read = read_network(path)
        except UserError:
            continue
        assert_same(read, as_json(network))  # a byte nobody reads
        harmless += 1
    assert harmless < 24


# --- writing


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("anything")])
def test_a_failed_write_leaves_nothing(
    error: Exception, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: h5py.File) -> str:
        raise error

    monkeypatch.setattr(writer_module, "seal", fail)
    with pytest.raises(UserError if isinstance(error, OSError) else RuntimeError, match=r"No space|anything"):
        write_network(network, tmp_path / "model.net")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(
    network: Network, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(file, tmp_path / "model.net"))

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spk2loihi.files.os.replace", fail)
    with pytest.raises(UserError, match=r"cannot be written .No space"):
        write_network(replace(network, defaults=RunConfig("pipelined")), path)
    assert path.read_bytes() == file.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["model.net"]


def test_unwritable_places_are_refused(network: Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_network(network, tmp_path / "file" / "model.net")
    with pytest.raises(UserError, match="cannot be written"):
        write_network(network, tmp_path)  # a folder
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# --- limits


def changed(network: Network, name: str, **changes: Any) -> Network:
    stages = tuple(replace(s, **changes) if s.name == name else s for s in network.stages)
    return replace(network, stages=stages)


def scaled_weights(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {"synapses": (replace(stage.synapses[0], **changes), *stage.synapses[1:])}


def over_limit(network: Network, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_limits(network)
    text = str(caught.value)
    for word in words:
        assert word in text
    assert "\n" not in text
    assert ": " in text.removeprefix("stage ")  # stage: what: remedy


def test_worst_drive_is_what_the_worst_input_causes() -> None:
    network = tiny_network()
    stage = network["layer.0.query"]
    weight = stage.synapses[0].scaled
    n = network.timesteps * np.sign(weight) * np.where(stage.bias < 0, -1, 1)[:, None]  # one worst input a neuron
    worst = np.abs((n * weight).sum(1) + network.timesteps * stage.bias).max()
    assert worst_drive(network, stage) == worst == check_limits(network)["layer.0.query"].max_drive


def test_bounds_hold_for_random_input(network: Network) -> None:
    counts, readout = Emulator(network).equilibrium(random_batch(7))
    assert np.abs(readout.numpy()).max() <= network.readout.max_drive
    for name, n in counts.items():
        assert np.abs(n.numpy()).max() <= network.timesteps
        assert 0 < network[name].max_drive <= limits.MEMBRANE_MAX


def test_membrane_limit(network: Network) -> None:
    stage = network["pooler"]
    big = np.full_like(stage.synapses[0].weight, 254)
    wide = changed(network, "pooler", **scaled_weights(stage, weight=big, exponent=np.full(16, 7)))
    drive = network.timesteps * int((16 * 254 * 128 + np.abs(stage.bias)).max())
    assert worst_drive(wide, wide["pooler"]) == drive
    check_limits(wide)  # 4.2 million: fits
    doubled = replace(wide, timesteps=32)
    bound = worst_drive(doubled, doubled["pooler"]) + stage.threshold
    over_limit(
        doubled, "stage pooler", "worst-case membrane", str(bound), str(limits.MEMBRANE_MAX), "24 bits", "`timesteps`"
    )


def test_membrane_limit_is_exact(network: Network) -> None:
    """The largest bias that fits, and one more, on a stage whose drive is made to meet the limit."""
    stage = network.readout
    zero = np.zeros_like(stage.synapses[0].weight)
    room = limits.MEMBRANE_MAX - stage.threshold
    assert room % 2 == 0
    for t in (room // limits.BIAS_MAX, room // limits.BIAS_MAX + 1):
        net = changed(
            network, stage.name, bias=np.full_like(stage.bias, limits.BIAS_MAX), **scaled_weights(stage, weight=zero)
        )
        net = replace(net, timesteps=t, stages=(net.stages[0], net.stages[-1]))
        if t * limits.BIAS_MAX + stage.threshold <= limits.MEMBRANE_MAX:
            check_limits(net)
        else:
            over_limit(net, f"stage {stage.name}", str(t * limits.BIAS_MAX + stage.threshold), "8388607")


@pytest.mark.parametrize("sign", [-1, 1])
def test_bias_limit(sign: int, network: Network) -> None:
    bias = network["pooler"].bias.copy()
    bias[3] = sign * limits.BIAS_MAX
    check_limits(changed(network, "pooler", bias=bias.copy()))
    bias[3] += sign
    over_limit(changed(network, "pooler", bias=bias), "stage pooler", "bias 4096", "4095", "`bits`")


def test_threshold_limit(network: Network) -> None:
    for threshold in (1, limits.THRESHOLD_MAX):
        check_limits(changed(network, "pooler", threshold=threshold))
    for threshold in (0, -5, limits.THRESHOLD_MAX + 1):
        over_limit(changed(network, "pooler", threshold=threshold), "stage pooler", f"threshold {threshold}", "131071")


def test_weight_limits(network: Network) -> None:
    stage = network["pooler"]
    weight = stage.synapses[0].weight.copy()
    weight[0, 0] = 255
    over_limit(changed(network, "pooler", **scaled_weights(stage, weight=weight)), "stage pooler", "255", "254")
    over_limit(
        changed(network, "pooler", **scaled_weights(stage, exponent=np.full(16, 8))), "weight exponent", " 8 ", " 7"
    )
    over_limit(changed(network, "pooler", **scaled_weights(stage, delay=63)), "delay", "63", "62")


def test_layernorm_drive_limit(network: Network) -> None:
    """A LayerNorm's own limit, where it is below the membrane's."""
    channels = 2**20
    assert LayerNorm.max_drive(channels) < limits.MEMBRANE_MAX
    stage = network.stages[0]
    too_much = np.full((1, 16), 2**22)
    net = replace(network, embedding=replace(network.embedding, word=too_much))
    check_limits(net)
    net = replace(net, stages=(replace(stage, channels=channels), *net.stages[1:]))
    over_limit(net, "stage embedding", "worst-case LayerNorm drive", str(LayerNorm.max_drive(channels)))


# --- soma functions


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=20))
def test_isqrt_is_exact(values: list[int]) -> None:
    assert isqrt(np.array(values)).tolist() == [math.isqrt(v) for v in values]


@given(st.integers(0, 2**31 - 1), st.integers(-2, 2))
def test_isqrt_is_exact_at_squares(root: int, off: int) -> None:
    value = min(max(0, root * root + off), 2**62 - 1)
    assert isqrt(np.array([value]))[0] == math.isqrt(value)


@given(st.integers(-(2**60), 2**60), st.integers(1, 2**40))
def test_rounded_div(a: int, b: int) -> None:
    assert rounded_div(np.array([a]), b)[0] == math.floor(Fraction(a, b) + Fraction(1, 2))


@given(st.floats(2**-30, 2**30), st.integers(-(2**23), 2**23), st.integers(0, 5))
def test_multiplier_rounds_once(value: float, x: int, halvings: int) -> None:
    m = Multiplier.from_float(value)
    assert m.mantissa <= 2**30
    assert abs(Fraction(m.mantissa, 2**m.shift) / Fraction(value) - 1) <= Fraction(1, 2**24)
    exact = x * Fraction(m.mantissa, 2**m.shift)
    assert m(np.array([x]))[0] == math.floor(exact + Fraction(1, 2))
    halved = m(np.array([x, x]), np.array([halvings, 0]))
    assert halved.tolist() == [math.floor(exact / 2**halvings + Fraction(1, 2)), math.floor(exact + Fraction(1, 2))]


def norm(channels: int, seed: int) -> tuple[LayerNorm, np.ndarray, np.ndarray]:
    """A LayerNorm whose results are a few spikes, and its float gamma and beta in 1/SOMA_THRESHOLD spikes."""
    rng = np.random.default_rng(seed)
    gamma, beta = rng.normal(4, 1, channels) * SOMA_THRESHOLD, rng.normal(0, 1, channels) * SOMA_THRESHOLD
    integer = [np.round(x * 2**GAMMA_BITS).astype(np.int64) for x in (gamma, beta)]
    return LayerNorm(*integer), integer[0] / 2**GAMMA_BITS, integer[1] / 2**GAMMA_BITS


@pytest.mark.parametrize("channels", [16, 384])
@pytest.mark.parametrize("spread", [300, 30_000, 1_000_000])
def test_layernorm_is_the_float_one(channels: int, spread: int) -> None:
    """Off by less than one unit of 1/1024 spike beyond its rounding, for drives of the size networks have."""
    rng = np.random.default_rng(spread)
    soma, gamma, beta = norm(channels, spread)
    u = np.round(rng.normal(rng.normal(0, spread), spread, (50, channels))).astype(np.int64)
    u = np.clip(u, -LayerNorm.max_drive(channels), LayerNorm.max_drive(channels))
    exact = gamma * (u - u.mean(-1, keepdims=True)) / u.std(-1, keepdims=True) + beta
    assert np.abs(soma(u) - exact).max() < 1.5


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([1, 7, 1000, 2**31]))
def test_layernorm_never_overflows(seed: int, channels: int, spread: int) -> None:
    """The float result up to the largest drive it may get: an overflow would be off by thousands."""
    rng = np.random.default_rng(seed)
    soma, gamma, beta = norm(channels, seed)
    most = min(spread, LayerNorm.max_drive(channels), limits.MEMBRANE_MAX)
    u = rng.choice([-most, most, 0, most // 3], channels)
    if np.ptp(u) > 0:
        exact = gamma * (u - u.mean()) / u.std() + beta
        assert np.abs(soma(u) - exact).max() < 2


def test_layernorm_of_equal_values_is_beta() -> None:
    soma, _, beta = norm(16, 0)
    assert np.array_equal(soma(np.full(16, 1234)), np.floor(beta + 0.5))


SOFTMAX_UNIT = 0.003  # float value of one unit of U


def softmax() -> Softmax:
    """Probabilities in units of 2**-P_BITS."""
    return Softmax(Multiplier.from_float(SOFTMAX_UNIT * 2**X_BITS), Multiplier.from_float(1.0))


def test_softmax_is_the_float_one() -> None:
    u = np.round(np.random.default_rng(0).normal(0, 1000, (200, 12))).astype(np.int64)
    p = softmax()(u) / 2**P_BITS
    x = torch.from_numpy(u * SOFTMAX_UNIT)
    assert np.abs(p - ibert_softmax(x).numpy()).max() < 1e-5
    exact = torch.softmax(x, -1).numpy()
    assert np.abs(p / exact - 1)[exact > 1e-3].max() < 0.006  # the polynomial's 0.3 %, above and below the line
    assert np.abs(p.sum(-1) - 1).max() < 12 / 2**P_BITS


@given(st.lists(st.integers(-(2**23), 2**23), min_size=2, max_size=8), st.integers(1, 255))
def test_masked_keys_get_exactly_nothing(u: list[int], bits: int) -> None:
    values = np.array(u)
    mask = np.array([bool(bits >> i & 1) for i in range(len(u))])
    p = softmax()(values, mask)
    assert not p[~mask].any()
    assert (p >= 0).all()
    if mask.any():
        assert np.array_equal(p[mask], softmax()(values[mask]))  # as if masked keys were not there
        assert p.sum() <= 2**P_BITS
        assert 2**P_BITS - p.sum() <= len(u)


def test_gelu_is_the_float_one() -> None:
    unit = 0.0004
    gelu = Gelu(Multiplier.from_float(unit * 2**X_BITS), Multiplier.from_float(2.0**-9), np.array([0]))
    u = np.arange(-10_000, 10_001)[:, None]  # -4 to 4
    y = gelu(u)[:, 0] / 2.0 ** (X_BITS - 9)
    x = torch.from_numpy(u[:, 0] * unit)
    assert np.abs(y - ibert_gelu(x).numpy()).max() < 3e-5
    assert np.abs(y - torch.nn.functional.gelu(x).numpy()).max() < 0.0185  # I-BERT's 0.018
    assert gelu(np.array([[0]])) == 0


def test_gelu_exponents_divide_channels() -> None:
    one = Multiplier.from_float(2.0**X_BITS), Multiplier.from_float(1000 / 2**X_BITS)
    gelu = Gelu(*one, np.array([0, 1, 3]))
    assert gelu(np.array([[10, 10, 10]])).tolist() == [[10_000, 5000, 1250]]  # gelu(10) is 10


def test_gelu_saturates_beyond_every_count() -> None:
    """A worst-case drive leaves the membrane within its bits, and the count of the longest window is as it was."""
    gelu = Gelu(Multiplier.from_float(0.01 * 2**X_BITS), Multiplier.from_float(10_000 / 2**X_BITS), np.array([0]))
    u = np.arange(-(2**20), 2**20, 97)[:, None]
    z, exact = gelu(u)[:, 0], 100.0 * np.maximum(u[:, 0], 0)  # GELU is the identity far from 0
    assert z.max() == GELU_RESULT_MAX < limits.MEMBRANE_MAX < exact.max()
    far = np.abs(u[:, 0]) > 1000
    counts, expected = (np.clip((x + SOMA_THRESHOLD // 2) // SOMA_THRESHOLD, 0, 127) for x in (z, exact))
    assert np.array_equal(counts[far], expected[far]) and counts.max() == 127


def test_a_steep_gelu_is_exported(network: Network) -> None:
    """Its bound is where it saturates, whatever its worst-case drive."""
    name = "layer.0.ffn_in"
    steep = replace(network[name], soma=replace(network[name].soma, gain=Multiplier.from_float(1.0)))
    checked = check_limits(replace(network, stages=tuple(steep if s.name == name else s for s in network.stages)))
    stage = checked[name]
    assert int(stage.soma.gain(stage.soma.scale(np.array([stage.max_drive])))[0]) > limits.MEMBRANE_MAX
