"""Whether a file is a result of this program, which the next run may replace, or something of the user's own.

Recognised by what is in them, never by their names. Nothing is executed or unpacked.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spk2loihi.hdf5 import SIGNATURE

MARK = "spk2loihi run"
"""Comment of the .npz files and attribute `generator` of the HDF5 files that `run` writes."""

CONVERTED_MARK = "spk2loihi convert"
"""Attribute `generator` of the netx and NIR files that `convert` writes."""

FOLDER_MARK = "spk2loihi.json"
"""File in the folder of a fine-tuned teacher."""

BUNDLE_FORMAT = "spk2loihi-bundle 1"
"""Field ``format`` of the file `graph.json` of a bundle."""

GENERATOR = b'<meta name="generator" content="spk2loihi'

_RUN = "# spk2loihi run "
_HEAD = 1 << 16  # bytes in which a mark stands
_JSON_MOST = 64 << 20
_ZIP = b"PK\x03\x04"
_MODEL = (b"/data.pkl", b"spk2loihi-model")
_NETWORK = (b"\0spk2loihi\0", b"\0tokenizer\0", b"\0embedding\0", b"\0layer\0", b"sha256\0")

#: Keys that the JSON of a command has, and no other file.
_NUMBERS: dict[str, set[str]] = {
    "train": {"task", "metric", "score", "stages", "settings", "teacher_layers", "manifest", "versions"},
    "export": {"network", "sha256", "stages", "synapses_per_token", "largest_drive", "versions"},
    "inspect": {"network", "timesteps", "max_tokens", "weight_bits", "layers", "provenance"},
    "inspect of a file": {"network", "format", "input_shape", "output_shape", "layers", "preflight"},
    "simulate": {"network", "backend", "schedule", "latency_steps", "synops", "mean_rate", "versions"},
    "run": {"network", "backend", "steps", "output_messages", "synops", "arrays"},
    "convert": {"source", "out", "format", "layers", "dt", "populations", "comparison"},
    "verify": {"network", "backends", "spikes_compared", "mismatches", "first_mismatch"},
    "verify of a file": {"network", "backends", "layers", "compared", "mismatches", "first_mismatch"},
    "energy": {"format", "headline", "coefficients", "t_times_density", "verdict", "provenance"},
    "fit": {"network", "board", "fits", "cores", "cores_available", "layers", "remedies"},
    "sweep": {"format", "points", "front", "coefficients", "verdict", "caveats"},
    "sweep record": {"key", "network", "metric", "score", "truncated", "stages"},
    "teacher record": {"fingerprint", "sha256", "scores"},
    "doctor": {"versions", "platform", "checks", "processes"},
    "demo": {"folder", "wall_s"},
}
_EXACT = ("teacher record", "doctor", "demo")
_POINT = {"name", "network_sha256", "t_times_density", "energy_per_sample_nJ", "on_front", "is_default"}

_BUNDLE = {"graph.json", "weights.npz", "sentences.npz", "run.py"}
#: What transformers and tokenizers write, with our mark.
_TEACHER = {"config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json", FOLDER_MARK}


def is_model(path: Path) -> bool:
    """A `model.pt`: the archive of torch.save with our format in it."""
    head = _head(path)
    return head.startswith(_ZIP) and all(mark in head[:4096] for mark in _MODEL)


def is_network(path: Path) -> bool:
    """A `model.net`: HDF5 with the names of our extension and checksums."""
    if _head(path, 8) != SIGNATURE:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        return all(raw.find(mark) >= 0 for mark in _NETWORK)


def is_arrays(path: Path) -> bool:
    """What `run` wrote, .npz or HDF5."""
    head, mark = _head(path), MARK.encode()
    if head.startswith(SIGNATURE):
        return mark in head
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(mark)))
        return head.startswith(_ZIP) and file.read() == mark


def is_converted(path: Path) -> bool:
    """A netx or NIR file of `convert`, by its attribute ``generator``."""
    head = _head(path)
    return head.startswith(SIGNATURE) and CONVERTED_MARK.encode() in head


def is_page(path: Path) -> bool:
    return GENERATOR in _head(path)


def is_numbers(path: Path) -> bool:
    """JSON that a command printed, or that stands beside a model or a page."""
    if path.stat().st_size > _JSON_MOST:
        return False
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    if isinstance(content, list):
        return bool(content) and all(isinstance(point, dict) and set(point) >= _POINT for point in content)
    return isinstance(content, dict) and any(_fits(name, set(content)) for name in _NUMBERS)


def _fits(name: str, keys: set[str]) -> bool:
    return keys == _NUMBERS[name] if name in _EXACT else keys >= _NUMBERS[name]


def run_mark(body: str) -> str:
    """First line of a file of options that a command writes beside its result."""
    return f"{_RUN}{hashlib.sha256(body.encode()).hexdigest()}\n"


def is_run(path: Path) -> bool:
    """Options that a command has written beside its result, and nobody has edited since."""
    if path.stat().st_size > _HEAD:
        return False
    mark, _, body = path.read_bytes().partition(b"\n")
    return mark == _RUN.encode() + hashlib.sha256(body).hexdigest().encode()


def is_teacher(folder: Path) -> bool:
    """A folder with our mark, and nothing in it that we do not write."""
    names = {
        "model.safetensors" if name.startswith("model-") and name.endswith(".safetensors") else name
        for name in os.listdir(folder)
    }
    return not names or (FOLDER_MARK in names and names <= _TEACHER)


def is_bundle(folder: Path) -> bool:
    """A folder with what a board needs, and nothing in it that we do not write, or somebody has edited since."""
    names = set(os.listdir(folder))
    if not names:
        return True
    try:
        record = json.loads((folder / "graph.json").read_bytes()) if names == _BUNDLE else {}
        program = hashlib.sha256((folder / "run.py").read_bytes()).hexdigest()
        return bool(record["format"] == BUNDLE_FORMAT and record["program"] == program)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def is_student(folder: Path) -> bool:
    """A folder of `TrainingResult.save_pretrained`."""
    try:
        config, task = (json.loads((folder / name).read_bytes()) for name in ("config.json", "task.json"))
        return config["model_type"] == "spiking-bert" and {"task", "training"} <= set(task)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


_KINDS: dict[str, Callable[[Path], bool]] = {
    "model": is_model,
    "network": is_network,
    "arrays": is_arrays,
    "converted": is_converted,
    "page": is_page,
    "numbers": is_numbers,
    "run": is_run,
    "teacher": is_teacher,
    "bundle": is_bundle,
}

#: Kinds that are folders, which are replaced as a whole.
FOLDERS = ("teacher", "bundle")


def replaceable(path: Path, kind: str) -> bool:
    """Nothing is lost when ``path`` is replaced: it does not exist, is empty, or is a result of ``kind``.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    if kind in FOLDERS:
        return stat.S_ISDIR(about.st_mode) and _KINDS[kind](path)
    return stat.S_ISREG(about.st_mode) and (about.st_size == 0 or _KINDS[kind](path))


def teacher_mark() -> dict[str, Any]:
    """Contents of `FOLDER_MARK`."""
    return {"format": "spk2loihi-teacher", "about": "made by spk2loihi, which may replace this folder"}


def _head(path: Path, length: int = _HEAD) -> bytes:
    with path.open("rb") as file:
        return file.read(length)
