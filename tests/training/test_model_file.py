"""A model.pt or a folder from anywhere: what is wrong with it is named, no code of it runs, nothing is exported."""

from __future__ import annotations

import copy
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.convert import export_model
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network import read_network
from spk2loihi.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from spk2loihi.training.pretrained import load_pretrained, save_pretrained
from spk2loihi.training.tensor_file import load_tensors

WEIGHT = "layers.0.query.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, processors

    words = {word: i for i, word in enumerate(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "good", "bad"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    torch.manual_seed(0)
    config = SpikingBertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16, timesteps=4, max_tokens=8, id2label={0: "neg", 1: "pos"},
    )  # fmt: skip
    task = {"kind": "files", "name": "t", "train_file": "/t.csv", "labels": ["neg", "pos"], "metric": "accuracy"}
    path = tmp_path_factory.mktemp("model") / "model.pt"
    model = SpikingBertForSequenceClassification(config)
    save_checkpoint(Checkpoint(model, tokenizer.to_str(), task, {"score": 0.5}), path)
    return path


def changed(good: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    content = torch.load(good, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def test_a_good_model_is_exported_to_what_can_be_read(good: Path, tmp_path: Path) -> None:
    export_model(good, tmp_path / "a.net")
    read_network(tmp_path / "a.net")
    save_pretrained(load_checkpoint(good), tmp_path / "folder")
    export_model(tmp_path / "folder", tmp_path / "b.net")


def weight(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda s: s["state_dict"].update({WEIGHT: value(s["state_dict"][WEIGHT]) if callable(value) else value})


def every(part: str, value: float) -> Callable[[dict[str, Any]], Any]:
    return lambda s: [t.fill_(value) for name, t in s["state_dict"].items() if name.endswith(part)]


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "nan": (weight(lambda t: t.index_fill(0, torch.tensor([0]), float("nan"))), f"{WEIGHT} holds NaN or infinity"),
    "infinity": (weight(lambda t: t / 0), f"{WEIGHT} holds NaN or infinity"),
    "expanded": (weight(torch.zeros(1).expand(8, 8)), r"a tensor of \(8, 8\) is larger than what the file holds"),
    "turned": (weight(lambda t: t.t()), "is not contiguous"),
    "half": (weight(lambda t: t.half()), "is float16 .* makes it float32"),
    "integers": (weight(lambda t: t.long()), "is int64"),
    "shape": (weight(torch.zeros(4, 4)), r"is float32 \(4, 4\), where the configuration makes it float32 \(8, 8\)"),
    "no tensor": (weight([1]), "is no tensor"),
    "missing": (lambda s: s["state_dict"].pop(WEIGHT), f"{WEIGHT} is missing"),
    "unknown": (lambda s: s["state_dict"].update(extra=torch.zeros(1)), "extra is unknown"),
    "thresholds": (every("log_threshold", 80.0), "log_threshold is 80 to 80, but it is from -30 to 30"),
    "low thresholds": (every("log_threshold", -80.0), "log_threshold is -80"),
    "exponents": (every("column_exponent", 9.0), "column_exponent is 9 to 9, but it is whole numbers from 0 to 7"),
    "half exponents": (every("channel_exponent", 0.5), "channel_exponent is 0.5"),
    "large exponents": (every("channel_exponent", 60.0), "cannot be folded|exceeds|outside"),
    **{
        f"{name} {value!r:.20}": (lambda s, name=name, value=value: s["config"].update({name: value}), name)
        for name, value in (
            ("hidden_size", 10**9), ("num_hidden_layers", 10**9), ("num_hidden_layers", 0), ("vocab_size", 10**12),
            ("num_attention_heads", 0), ("intermediate_size", -1), ("pad_token_id", 100), ("timesteps", "8"),
            ("timesteps", 4.5), ("max_tokens", 2), ("leak", float("nan")), ("id2label", {1: "a", 2: "b"}),
        )
    },
    "no timesteps": (lambda s: s["config"].update(timesteps=-3), "timesteps"),
    "no configuration": (lambda s: s.update(config=None), "configuration is no dictionary"),
    "tokenizer": (lambda s: s.update(tokenizer="{}"), "tokenizer: "),
    "no tokenizer": (lambda s: s.update(tokenizer=3), "tokenizer is no text"),
    "labels": (lambda s: s["task"].update(labels=["a", "b", "c"]), "its task has 3 labels"),
    "no task": (lambda s: s.update(task=None), "no dictionaries"),
    "score": (lambda s: s["training"].update(score="high"), "record of the training"),
    "training": (lambda s: s["training"].update(x=torch.zeros(1)), "record of its training holds a Tensor"),
    "format": (lambda s: s.update(format={"a": 1}), "not written by spk2loihi train"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_models(name: str, good: Path, tmp_path: Path) -> None:
    change, words = CHANGES[name]
    path = changed(good, tmp_path / "bad.pt", change)
    with pytest.raises(UserError, match=words) as refused:
        export_model(path, tmp_path / "out.net")
    assert "\n" not in str(refused.value) and "bad.pt" in str(refused.value)
    assert not (tmp_path / "out.net").exists()


def test_a_record_that_names_itself_many_times(good: Path, tmp_path: Path) -> None:
    laughs: Any = ["ha"]
    for _ in range(28):
        laughs = [laughs, laughs]
    path = changed(good, tmp_path / "bad.pt", lambda s: s["training"].update(x=laughs))
    with pytest.raises(UserError, match="too large or nested too deep"):
        load_checkpoint(path)


def test_archives_that_are_packed_or_lie(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(good) as whole:
        content = {entry.filename: whole.read(entry) for entry in whole.infolist()}
    data = sorted(name for name in content if "/data/" in name)

    def written(kind: int = zipfile.ZIP_STORED, **changes: bytes | None) -> Path:
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, part in (content | changes).items():
                if part is not None:
                    archive.writestr(name, part)
        return path

    assert load_tensors(written(), "model file")
    with pytest.raises(UserError, match="its archive is packed"):
        load_tensors(written(zipfile.ZIP_DEFLATED), "model file")
    for change in (b"\0", None):  # torch would read beyond the end
        with pytest.raises(UserError, match=r"a storage of .* bytes is not in the file"):
            load_tensors(written(**{data[0]: change}), "model file")
    for kind in (b"", b"text", b"PK\x03\x04", good.read_bytes()[:-300]):
        path.write_bytes(kind)
        with pytest.raises(UserError, match="cannot be read"):
            load_tensors(path, "model file")


class _Code:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_no_code_runs_and_no_pipe_is_opened(tmp_path: Path) -> None:
    for protocol in (2, 4):
        torch.save({"x": _Code(tmp_path / "executed")}, tmp_path / "a.pt", pickle_protocol=protocol)
        with pytest.raises(UserError, match="pickled code, which is never loaded"):
            load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "executed").exists()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UserError, match="is a folder, a pipe or a device"):
            load_checkpoint(path)


def test_damaged_folders(good: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "folder"
    save_pretrained(load_checkpoint(good), folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = load_file(folder / "model.safetensors")

    def refused(words: str) -> None:
        with pytest.raises(UserError, match=words):
            load_pretrained(folder)
        for name, content in files.items():
            if (folder / name).is_dir() or (folder / name).is_fifo():
                (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
            (folder / name).write_bytes(content)

    wrong = copy.deepcopy(weights)
    wrong[WEIGHT][0, 0] = float("nan")
    save_file(wrong, folder / "model.safetensors")
    refused(f"{WEIGHT} holds NaN or infinity")
    save_file({WEIGHT: weights[WEIGHT]}, folder / "model.safetensors")
    refused("is missing")
    (folder / "model.safetensors").write_bytes(files["model.safetensors"][:100])
    refused("cannot be read")
    for name in ("config.json", "task.json"):
        (folder / name).write_text("[" * 100_000)
        refused("nested too deep")
    for name in files.keys() & {"config.json", "task.json", "tokenizer.json", "model.safetensors"}:
        (folder / name).unlink()
        os.mkfifo(folder / name)
        refused("is a folder, a pipe or a device")
        (folder / name).unlink()
        refused(f"has no {name}")
