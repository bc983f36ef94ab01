"""The stages of distillation, what a student starts from, layer maps, regression, and ends of training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spk2loihi.choices import PRESETS
from spk2loihi.data import task_spec
from spk2loihi.errors import UserError
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.distillation_stages import stages
from spk2loihi.training.layer_map import layer_map
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import NEGATIVE, NEUTRAL, POSITIVE, TinyTask, sentences, spk2loihi, write_csv


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text of the tiny task's words, with markup and blank lines, one paragraph longer than a student's limit."""
    rng = np.random.default_rng(4)
    words = (*POSITIVE, *NEGATIVE, *NEUTRAL)
    lines = [" ".join(rng.choice(words, rng.integers(3, 12))) for _ in range(120)] + [" ".join(words)]
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text('<doc id="1" title="one">\n\n' + "\n".join(lines) + "\n</doc>\n")
    return path


@pytest.fixture(scope="module")
def general(tiny_task: TinyTask, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("general") / "model.pt"
    settings = replace(SMALL, stage="general", corpus=str(corpus), teacher=str(tiny_task.teacher), epochs=3)
    return out, train(spec_of(tiny_task), settings, out).metrics


# Layer maps


@pytest.mark.parametrize(
    ("chosen", "teacher", "student", "expected"),
    [
        (None, 6, None, [0, 1, 2, 3, 4, 5]),
        ("uniform:4", 12, None, [2, 5, 8, 11]),  # TinyBERT-4 and SpikingBERT: layers 3, 6, 9 and 12
        ("uniform:6", 12, None, [1, 3, 5, 7, 9, 11]),
        ("uniform:4", 6, None, [1, 2, 3, 5]),
        ("uniform:1", 6, None, [5]),
        ("last:2", 6, None, [4, 5]),
        ("first:2", 6, None, [0, 1]),
        (None, 12, 4, [2, 5, 8, 11]),
        ("last", 12, 4, [8, 9, 10, 11]),
        ([0, 0, 5], 6, 3, [0, 0, 5]),
    ],
)
def test_layer_maps(chosen: str | list[int] | None, teacher: int, student: int | None, expected: list[int]) -> None:
    assert layer_map(chosen, teacher, student) == expected


@pytest.mark.parametrize(
    ("chosen", "student", "words"),
    [
        ("uniform:7", None, "more layers than the teacher's 6"),
        ("last:7", None, "layer -1"),
        ("first:7", None, "layer 6 is not"),
        ("uniform:0", None, "'uniform:0' is not a list"),
        ("uniform:x", None, "'uniform:x' is not a list"),
        ("middle:2", None, "'middle:2' is not a list"),
        ([0, 1], 3, "names 2 teacher layers, but the student has 3"),
        ([], None, "names 0 teacher layers"),
    ],
)
def test_unfit_layer_maps(chosen: str | list[int], student: int | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        layer_map(chosen, 6, student)


# Stages


def test_losses_of_the_stages() -> None:
    losses = LossWeights(temperature=3.0)
    names = ("embedding", "hidden", "score", "prediction", "label")
    on = {
        stage.name: {name for name in names if getattr(stage.losses, name)}
        for stage in (*stages("joint", losses), *stages("all", losses))
    }
    internal = {"embedding", "hidden", "score"}
    assert on == {
        "joint": {*internal, "prediction", "label"}, "general": internal, "task": internal,
        "prediction": {"prediction"},
    }  # fmt: skip
    assert [stage.name for stage in stages("all", losses) if stage.on_corpus] == ["general"]
    hard = stages("prediction", losses, hard_labels=True)[0].losses
    assert (hard.prediction, hard.label, hard.temperature) == (0.0, 1.0, 3.0)
    with pytest.raises(UserError, match="`hard_labels`"):
        stages("task", losses, hard_labels=True)
    with pytest.raises(UserError, match="'tasks' is not known"):
        stages("tasks", losses)


def test_general_stage(general: tuple[Path, dict], tiny_task: TinyTask) -> None:
    out, metrics = general
    assert (metrics["stage"], metrics["metric"]) == ("general", "distillation_loss")
    assert "teacher_score" not in metrics
    losses = [record["score"] for record in metrics["epochs"]]
    assert metrics["score"] == min(losses) < 0.8 * losses[0] or losses[-1] < losses[0]
    assert not (out.parent / "teacher").exists()  # nothing was fine-tuned
    assert metrics["manifest"]["data"]["corpus"]["examples"] == 121
    # no loss reaches pooler and classifier: they are the teacher's, undecayed
    model = load_checkpoint(out).model
    from transformers import BertModel

    pooler = BertModel.from_pretrained(tiny_task.teacher).pooler.dense
    assert torch.equal(model.pooler.bias, pooler.bias)


def test_stages_one_by_one(general: tuple[Path, dict], tiny_task: TinyTask, tmp_path: Path) -> None:
    spec = spec_of(tiny_task)
    first = replace(SMALL, stage="task", student=str(general[0]), teacher=str(tiny_task.tuned), epochs=2)
    metrics = train(spec, first, tmp_path / "task.pt").metrics
    assert metrics["stage"] == "task"
    assert metrics["manifest"]["student_sha256"]
    assert metrics["score"] > 0.8  # with the tuned teacher's classifier on top
    second = replace(first, stage="prediction", student=str(tmp_path / "task.pt"))
    task = load_checkpoint(tmp_path / "task.pt").model
    assert train(spec, second, tmp_path / "prediction.pt").score > 0.8
    prediction = load_checkpoint(tmp_path / "prediction.pt").model
    assert not torch.equal(task.classifier.weight, prediction.classifier.weight)
    assert torch.equal(task.embeddings.word_embeddings.weight, prediction.embeddings.word_embeddings.weight)


@pytest.mark.slow
def test_all_stages(tiny_task: TinyTask, corpus: Path, tmp_path: Path) -> None:
    """In one run, and the same when it is cut off in each of the stages."""
    from spk2loihi.training.loop import Loop

    spec = spec_of(tiny_task)
    settings = replace(
        SMALL, stage="all", corpus=str(corpus), teacher=str(tiny_task.teacher), checkpoint_every="3", layers=[1]
    )
    whole = train(spec, settings, tmp_path / "whole" / "model.pt").metrics
    assert [stage["stage"] for stage in whole["stages"]] == ["general", "task", "prediction"]
    assert whole["score"] > 0.8
    parts = tmp_path / "parts" / "model.pt"
    optimise, done = Loop._optimise, [0]

    def counted(self: Loop, *batch: torch.Tensor) -> float:
        done[0] += 1
        if done[0] in (24, 38, 60):
            raise KeyboardInterrupt
        return optimise(self, *batch)

    Loop._optimise = counted  # type: ignore[method-assign]
    try:
        for resume in (False, True, True):
            with pytest.raises(KeyboardInterrupt):
                train(spec, settings, parts, resume=resume)
        train(spec, settings, parts, resume=True)
    finally:
        Loop._optimise = optimise  # type: ignore[method-assign]
    a, b = (load_checkpoint(path).model.state_dict() for path in (tmp_path / "whole" / "model.pt", parts))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage": "general"}, "no corpus is given: add a `corpus`"),
        ({"stage": "all"}, "no corpus is given: add a `corpus`"),
        ({"corpus": "text.txt"}, "`corpus` text.txt is for general distillation, but the stage is joint"),
        ({"student": "none.pt"}, "none.pt does not exist"),
        ({"precision": "fp16"}, "precision is fp16, but there is no CUDA device"),
        ({"precision": "half"}, "precision 'half' is not known"),
        ({"checkpoint_every": "soon"}, "`checkpoint_every` is 'soon'"),
        ({"losses": LossWeights(temperature=0.0)}, "`temperature` is 0,"),
    ],
)
def test_unfit_settings(change: dict, words: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    if change.get("precision") == "fp16" and torch.cuda.is_available():
        pytest.skip("fp16 is fine here")
    settings = replace(SMALL, **{"teacher": str(tiny_task.teacher), **change})
    with pytest.raises(UserError, match=words):
        train(spec_of(tiny_task), settings, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_unfit_students(tiny_task: TinyTask, tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    train(spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.tuned), layers=[0]), out)
    again = replace(SMALL, teacher=str(tiny_task.teacher), student=str(out))
    other = write_csv(tmp_path / "other.csv", [("good one", "a"), ("bad film", "b"), ("the plot", "c")] * 10)
    with pytest.raises(UserError, match=r"trained for the labels \['neg', 'pos'\], but the task other has \['a'"):
        train(task_spec(train_file=other), again, tmp_path / "out" / "model.pt")
    with pytest.raises(UserError, match="names 2 teacher layers, but the student has 1"):
        train(spec_of(tiny_task), replace(again, layers=[0, 1]), tmp_path / "out" / "model.pt")
    refused = spk2loihi("train", *tiny_task.data_options, "--student", out, "-o", out)
    assert (refused.code, "would replace what is read" in refused.err) == (2, True)


def test_a_student_keeps_its_shape_on_the_command_line(tiny_task: TinyTask, tmp_path: Path) -> None:
    options = ["train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--batch-size", 50, "--epochs", 1]
    assert spk2loihi(*options, "--timesteps", 4, "--max-tokens", 16, "-o", tmp_path / "a.pt").code == 0
    assert spk2loihi(*options, "--student", tmp_path / "a.pt", "--bits", 6, "-o", tmp_path / "b.pt").code == 0
    config = load_checkpoint(tmp_path / "b.pt").model.config
    assert (config.timesteps, config.weight_bits, config.max_tokens) == (4, 6, 16)


# Ends of training


def test_early_stop_and_evaluations(tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = replace(
        SMALL, teacher=str(tiny_task.tuned), epochs=50, learning_rate=1e-9, threshold_learning_rate=1e-9,
        evaluate_every=8, early_stop=4, validation_share=0.0,
    )  # fmt: skip
    report: list[str] = []
    metrics = train(spec_of(tiny_task), settings, tmp_path / "model.pt", report=report.append).metrics
    evaluations = metrics["stages"][0]["evaluations"]
    assert [record["step"] for record in evaluations] == [8, 16, 20, 24, 32]  # epochs have 20 steps
    assert metrics["best"]["step"] == 8
    assert "student: stopped early, 4 evaluations without a better score" in report


def test_best_of_the_evaluations_is_kept(tiny_task: TinyTask, tmp_path: Path, monkeypatch) -> None:
    """The first of the best, whatever came after it."""
    from spk2loihi.training.evaluation import LabelledData
    from spk2loihi.training.train import _Run

    sizes: list[int] = []
    given, seen = iter((0.5, 0.9, 0.9, 0.1, 0.3)), []  # after 5, 10, 15 and 18 steps, and of held-out sentences

    def scores(self: _Run, model: torch.nn.Module, data: LabelledData) -> dict[str, float]:
        sizes.append(len(data.labels))
        seen.append({name: tensor.cpu().clone() for name, tensor in model.state_dict().items()})
        return {"accuracy": next(given)}

    monkeypatch.setattr(_Run, "scores_of", scores)
    metrics = train(
        spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.tuned), evaluate_every=5), tmp_path / "model.pt"
    ).metrics
    assert metrics["best"] == {"step": 10, "epoch": 1, "accuracy": 0.9}
    assert (metrics["score"], metrics["epochs"][0]["score"]) == (0.3, 0.1)
    assert sizes == [24, 24, 24, 24, 60]
    kept = load_checkpoint(tmp_path / "model.pt").model.state_dict()
    assert all(torch.equal(kept[name], seen[1][name]) for name in kept)
    assert all(torch.equal(kept[name], seen[4][name]) for name in kept)
    assert not all(torch.equal(kept[name], seen[2][name]) for name in kept)


def test_progress_is_told_before_every_step(tiny_task: TinyTask, tmp_path: Path, monkeypatch) -> None:
    from spk2loihi.models import SpikingBertForSequenceClassification
    from spk2loihi.training.loop import Loop

    seen: list[float] = []
    monkeypatch.setattr(
        SpikingBertForSequenceClassification, "set_progress", lambda self, p: seen.append(p), raising=False
    )
    optimise, at = Loop._optimise, []
    monkeypatch.setattr(Loop, "_optimise", lambda self, *batch: (at.append(seen[-1]), optimise(self, *batch))[1])
    train(spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.tuned)), tmp_path / "model.pt")
    assert at == [step / 18 for step in range(18)]
    assert seen[-1] == 1.0


@pytest.mark.parametrize("preset", PRESETS)
def test_bf16_trains(preset: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = replace(SMALL, teacher=str(tiny_task.tuned), precision="bf16", preset=preset)
    metrics = train(spec_of(tiny_task), settings, tmp_path / "model.pt").metrics
    assert metrics["score"] > 0.8
    assert next(load_checkpoint(tmp_path / "model.pt").model.parameters()).dtype == torch.float32
    full = train(spec_of(tiny_task), replace(settings, precision="no"), tmp_path / "full.pt").metrics
    assert full["epochs"][0]["loss"] != metrics["epochs"][0]["loss"]


# Regression


def rated(path: Path, count: int, seed: int) -> Path:
    """Sentences with the share of their sentiment words that are positive, times 100."""
    rows = []
    for text, _ in sentences(count, seed):
        words = text.split()
        good, bad = sum(w in POSITIVE for w in words), sum(w in NEGATIVE for w in words)
        rows.append((text, f"{100 * good / (good + bad):.1f}"))
    return write_csv(path, rows, ("text", "rating"))


@pytest.mark.slow
def test_regression_from_training_to_energy(tiny_task: TinyTask, tmp_path: Path) -> None:
    """One output on a scale of 0 to 100: through fine-tuning, distillation, export, simulation and the report."""
    data = ["--train-file", rated(tmp_path / "train.csv", 200, 1), "--dev-file", rated(tmp_path / "dev.csv", 60, 2)]
    data += ["--label-column", "rating"]
    out = tmp_path / "model.pt"
    trained = spk2loihi(
        "train", *data, "--metric", "pearson", "--teacher", tiny_task.teacher, "--timesteps", 8, "--max-tokens", 16,
        "--batch-size", 10, "--lr", 1e-3, "--teacher-epochs", 40, "--epochs", 2, "-o", out,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "pearson 0." in trained.out and "spearman 0." in trained.out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["score"] > 0.9 and metrics["teacher_score"] > 0.9
    assert load_checkpoint(out).task["labels"] == ["rating"]
    network = tmp_path / "model.net"
    assert spk2loihi("export", out, "-o", network).code == 0
    simulated = spk2loihi("simulate", network, "--json", tmp_path / "numbers.json")
    assert simulated.code == 0, simulated.err
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["score"] == numbers["scores"]["pearson"] == pytest.approx(metrics["score"], abs=0.02)
    assert set(numbers["scores"]) == {"pearson", "spearman"}
    again = spk2loihi("simulate", network, *data[2:], "--json", tmp_path / "again.json")
    assert again.code == 0, again.err
    assert json.loads((tmp_path / "again.json").read_text())["scores"] == numbers["scores"]
    text = spk2loihi("simulate", network, "--text", "a lovely film", "--text", "a dull film")
    good, bad = (float(line.split()[0]) for line in text.out.splitlines()[:2])
    assert good > 70 > 30 > bad
    assert spk2loihi("energy", network, "--samples", 20, "-o", tmp_path / "energy.html").code == 0
    report = json.loads((tmp_path / "energy.json").read_text())
    assert report["accuracy"]["metric"] == "pearson"
    shown = report["sentence"]["runs"][0]
    assert shown["prediction"] == f"{shown['logits']['rating']:.3f}" and -20 < float(shown["prediction"]) < 120
    assert spk2loihi("verify", network, "--backend", "emulator", "--backend", "stepped", "--samples", 4).code == 0
