"""A student as a transformers user expects a model: pipeline, Trainer, folders, the hub, a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline

import spk2loihi as s2l
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.model_card import CARD_MARK
from spk2loihi.training.pretrained import load_pretrained, push_to_hub, save_pretrained
from support.command_chain import refused
from support.networks import tiny_student
from support.tiny_task import TinyTask, spk2loihi


@pytest.fixture(scope="module")
def folder(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hub") / "student"
    save_pretrained(load_checkpoint(model_file), place)
    return place


@pytest.mark.parametrize("loaded", [True, False])
def test_pipeline(folder: Path, network_file: Path, loaded: bool) -> None:
    model: Any = str(folder)
    tokenizer = None
    if loaded:
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None, device="cpu")
    texts = ["a good film", "the plot is awful and dull", "one scene"]
    answers = classify(texts, batch_size=3)
    for said, ours in zip(answers, s2l.load(network_file).classify(texts), strict=True):
        assert said[0]["label"] == ours.label
        scores = torch.tensor(list(ours.logits.values())).softmax(0)
        assert {row["label"]: row["score"] for row in said} == pytest.approx(
            dict(zip(ours.logits, scores.tolist(), strict=True)), abs=0.01
        )


def test_tokens_of_the_folder_are_the_networks(folder: Path, network_file: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 16 and tokenizer.pad_token == "[PAD]"
    assert (folder / "tokenizer.json").read_text() == s2l.load(network_file).network.tokenizer


def test_trainer(folder: Path, tmp_path: Path) -> None:
    """Labels of the forward pass make a loss that Trainer lowers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [{**tokenizer(text), "labels": label} for text, label in (("a good film", 0), ("a dull plot", 1))] * 4
    arguments = TrainingArguments(
        str(tmp_path), max_steps=12, per_device_train_batch_size=8, learning_rate=5e-3, report_to=[], use_cpu=True,
        save_strategy="no", logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize(
    ("changes", "labels", "loss"),
    [
        ({}, torch.tensor([0, 1, 1, 0]), lambda x, y: torch.nn.functional.cross_entropy(x, y)),
        (
            {"problem_type": "multi_label_classification"},
            torch.tensor([[0.0, 1.0]] * 4),
            lambda x, y: torch.nn.functional.binary_cross_entropy_with_logits(x, y),
        ),
        ({"num_labels": 1}, torch.tensor([0.5] * 4), lambda x, y: (x[:, 0] - y).square().mean()),
        (
            {"head": "tokens"},
            torch.tensor([[-100, 1, *[-100] * 8]] * 4),
            lambda x, y: torch.nn.functional.cross_entropy(x[:, 1], y[:, 1]),
        ),
    ],
    ids=["classes", "labels", "values", "tags"],
)
def test_every_head_has_its_loss(changes: dict, labels: torch.Tensor, loss: Any) -> None:
    model = SpikingBertForSequenceClassification(SpikingBertConfig(**{**tiny_student().config.to_dict(), **changes}))
    ids = torch.randint(1, 50, (4, 10), generator=torch.Generator().manual_seed(0))
    out = model(ids, labels=labels)
    torch.testing.assert_close(out.loss, loss(out.logits, labels))
    out.loss.backward()


def test_folders_are_taken_for_files(folder: Path, model_file: Path, tiny_task: TinyTask, tmp_path: Path) -> None:
    for source, name in ((folder, "a.net"), (model_file, "b.net")):
        outcome = spk2loihi("export", source, "-o", tmp_path / name)
        assert outcome.code == 0, outcome.err
    a, b = (s2l.load(tmp_path / name).run(["a good film"]) for name in ("a.net", "b.net"))
    assert all(np.array_equal(a.spikes[name], spikes) for name, spikes in b.spikes.items())
    outcome = spk2loihi(
        "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--student", folder, "--steps", 1, "-o",
        tmp_path / "more.pt",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["settings"]["timesteps"] == 8 and len(metrics["manifest"]["student_sha256"]) == 64


def test_ids_of_the_hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_file: Path) -> None:
    """A repository is downloaded, or what does not exist is said; nothing here reaches a network."""
    import huggingface_hub

    asked: list[str] = []

    def download(repository: str, **options: Any) -> str:
        asked.append(repository)
        if repository != "owner/student":
            raise OSError("404: no such repository")
        assert "*" not in "".join(options["allow_patterns"])
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    net = s2l.export("owner/student")
    assert net.classify(["a good film"])[0].label in net.labels
    refused(tmp_path, "export", "owner/other", words="student owner/other .* cannot be read from the hub .404")
    refused(tmp_path, "export", "there/is/none", words="none")
    refused(tmp_path, "export", "no/model.pt", words="model")
    assert asked == ["owner/student", "owner/other"]


def test_push(model_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import RepoUrl

    pushed: dict[str, Any] = {}

    class Api:
        def create_repo(self, repository: str, **options: Any) -> RepoUrl:
            if repository == "owner/closed":
                raise OSError("403: not yours")
            pushed.update(repository=repository, **options)
            return RepoUrl(f"https://huggingface.co/{repository}")

        def upload_folder(self, folder_path: Path, **options: Any) -> None:
            pushed["files"] = sorted(path.name for path in Path(folder_path).iterdir())
            pushed["again"] = load_pretrained(Path(folder_path)).task

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    checkpoint = load_checkpoint(model_file)
    assert push_to_hub(checkpoint, "owner/student", private=True) == "https://huggingface.co/owner/student"
    assert pushed["private"] and pushed["again"] == checkpoint.task
    assert {"README.md", "config.json", "model.safetensors", "task.json", "tokenizer.json"} <= set(pushed["files"])
    with pytest.raises(s2l.UserError, match=r"owner/closed of the hub \(403"):
        push_to_hub(checkpoint, "owner/closed")


def test_card_says_what_was_measured(folder: Path, model_file: Path) -> None:
    training = load_checkpoint(model_file).training
    card = ModelCard.load(folder / "README.md")
    (result,) = card.data.eval_results
    assert result.metric_type == "accuracy" and result.metric_value == pytest.approx(training["score"])
    assert card.data.pipeline_tag == "text-classification" and card.data.library_name == "spk2loihi"
    text = card.text
    assert f"{100 * training['score']:.2f} %" in text and f"{100 * training['teacher_score']:.2f} %" in text
    assert f"{training['parameters']:,}" in text and "| T | 8 |" in text and "neg, pos" in text


def test_a_card_of_the_users_own_stays(model_file: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(model_file)
    save_pretrained(checkpoint, tmp_path / "s")
    card = tmp_path / "s" / "README.md"
    assert CARD_MARK in card.read_text()
    card.write_text("# mine")
    save_pretrained(checkpoint, tmp_path / "s")
    assert card.read_text() == "# mine"
    save_pretrained(checkpoint, tmp_path / "s", force=True)
    assert CARD_MARK in card.read_text()
