"""`model.net`: what is written is what is read; a failed write leaves what was there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from spk2loihi import limits
from spk2loihi.errors import UserError
from spk2loihi.network import read_network, write_network
from spk2loihi.network import writer as writer_module
from spk2loihi.network.layout import CHECKSUM, EXTENSION
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.emulator.emulator import Emulator
from support.network_files import as_json, assert_same, whole_network
from support.networks import random_batch


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


# --- writes that fail


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
