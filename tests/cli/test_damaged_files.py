"""Networks and models that cannot be read: one sentence, and no code of theirs is run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.network.layout import CHECKSUM, EXTENSION
from spk2loihi.network.writer import seal
from support.command_chain import SMALL, refused
from support.tiny_task import TinyTask

# --- networks


@pytest.mark.parametrize("command", ["simulate", "verify", "energy", "inspect"])
def test_network_files_that_cannot_be_read(command: str, place: Path) -> None:
    refused(place, command, "nowhere.net", words="nowhere.net does not exist")
    (place / "text.net").write_text("not HDF5")
    refused(place, command, "text.net", words="text.net is not an HDF5 file")
    (place / "short.net").write_bytes((place / "model.net").read_bytes()[:-1000])
    refused(place, command, "short.net", words="short.net is damaged or truncated")
    refused(place, command, place, words="does not exist|folder")


def test_network_of_another_version(place: Path) -> None:
    with h5py.File("model.net", "r+") as f:
        meta = json.loads(bytes(f[EXTENSION]["meta"][()].tobytes()))
        del f[EXTENSION]["meta"]
        f[EXTENSION]["meta"] = np.frombuffer(json.dumps({**meta, "version": 99}).encode(), dtype=np.uint8)
        f[EXTENSION].attrs[CHECKSUM] = seal(f)
    refused(place, "simulate", words="version 99, but this program reads spk2loihi-netx version 3")


def test_network_with_float_weights(place: Path) -> None:
    with h5py.File("model.net", "r+") as f:
        weight = f["layer/1/weight"][()]
        del f["layer/1/weight"]
        f["layer/1/weight"] = weight / 127
        f[EXTENSION].attrs[CHECKSUM] = seal(f)
    refused(place, "simulate", words="layer/1/weight holds float64 values")


def test_network_with_a_flipped_weight(place: Path) -> None:
    with h5py.File("model.net", "r+") as f:
        f["layer/1/weight"][0, 0, 0, 0] += 1
    refused(place, "simulate", words="checksum of layer/1/weight")


# --- models


class _Pickled:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_pickled_code_is_never_run(place: Path) -> None:
    trace = place / "executed"
    for content in (_Pickled(trace), {"format": "spk2loihi-model", "version": 1, "config": _Pickled(trace)}):
        torch.save(content, place / "model.pt")
        refused(place, "export", "-o", "new.net", words="pickled code, which is never loaded")
        assert not trace.exists()


def test_resume_file_with_pickled_code_is_never_run(place: Path, tiny_task: TinyTask) -> None:
    trace = place / "executed"
    torch.save({"model": _Pickled(trace)}, place / ".new.resume")
    refused(
        place, "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, *SMALL, "--resume", "-o", "new.pt",
        words="pickled code",
    )  # fmt: skip
    assert not trace.exists()


def test_teacher_with_pickled_code_is_never_run(place: Path, tiny_task: TinyTask) -> None:
    trace, teacher = place / "executed", place / "bert"
    shutil.copytree(tiny_task.tuned, teacher)
    (teacher / "model.safetensors").unlink()
    torch.save({"classifier.bias": _Pickled(trace)}, teacher / "pytorch_model.bin")
    refused(
        place, "train", *tiny_task.data_options, "--teacher", teacher, *SMALL, "-o", "new.pt", words="teacher .*bert"
    )
    assert not trace.exists()


def test_model_files_that_cannot_be_read(place: Path) -> None:
    refused(place, "export", "nowhere.pt", words="nowhere.pt does not exist")
    whole = (place / "model.pt").read_bytes()
    for content in (b"", b"not a torch file", whole[: len(whole) // 2], whole[:-10]):
        (place / "bad.pt").write_bytes(content)
        refused(place, "export", "bad.pt", "-o", "new.net", words="bad.pt")
    torch.save([1, 2], place / "bad.pt")
    refused(place, "export", "bad.pt", words="holds a list")
    content = torch.load(place / "model.pt", weights_only=True)
    for changes, words in (
        ({"format": "other"}, "not written by spk2loihi train"),
        ({"version": 2}, "version 2, but this program reads version 1"),
        ({"state_dict": {}}, "incomplete or inconsistent"),
        ({"config": {**content["config"], "hidden_size": 64}}, "incomplete or inconsistent"),
        ({"config": {**content["config"], "timesteps": 500}}, "timesteps is 500"),
        ({"config": {**content["config"], "num_attention_heads": 0}}, "bad.pt|heads"),
        ({"config": None}, "incomplete or inconsistent"),
    ):
        torch.save({**content, **changes}, place / "bad.pt")
        refused(place, "export", "bad.pt", "-o", "new.net", words=words)
    without = {k: v for k, v in content.items() if k != "tokenizer"}
    torch.save(without, place / "bad.pt")
    refused(place, "export", "bad.pt", "-o", "new.net", words="tokenizer")
