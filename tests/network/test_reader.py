"""`model.net`: anything but what was written is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from spk2loihi.errors import UserError
from spk2loihi.network import read_network
from spk2loihi.network.layout import CHECKSUM, EXTENSION, array_digest
from spk2loihi.network.network import Network
from support.network_files import as_json, assert_same, edit_json, edited, replaced


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


# --- fitting checksums, wrong values

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
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0]["exponent"].pop()), "exponents for 16 inputs"
    ),
    "a big exponent": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0].update(exponent=[9] * 16)),
        "int <= 7",
    ),
    "a far synapse": (
        edit_json(f"layer/1/{EXTENSION}/meta", lambda m: m["groups"][0].update(delay=63)), "int <= 62"
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


# --- damage


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
