"""Training end to end on a tiny teacher: artefacts, repeatability, resuming, and what is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from spk2loihi.data import task_spec
from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.train import train
from support.small_training import SMALL, spec_of
from support.tiny_task import TinyTask, write_csv


def weights(path: Path) -> dict[str, bytes]:
    model = load_checkpoint(path).model
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, list[str]]:
    """One run of two epochs from the teacher without a classifier: (model.pt, metrics, report)."""
    out = tmp_path_factory.mktemp("trained") / "model.pt"
    report: list[str] = []
    settings = replace(SMALL, teacher=str(tiny_task.teacher), epochs=2, seed=3)
    return out, train(spec_of(tiny_task), settings, out, report=report.append).metrics, report


def test_artefacts(trained: tuple[Path, dict, list[str]], tiny_task: TinyTask) -> None:
    out, metrics, report = trained
    assert names(out.parent) == {"model.pt", "metrics.json", "teacher"}
    content = torch.load(out, weights_only=True)
    assert (content["format"], content["version"]) == ("spk2loihi-model", 1)
    assert json.loads((out.parent / "metrics.json").read_text()) == metrics
    checkpoint = load_checkpoint(out)
    assert checkpoint.training == metrics
    assert checkpoint.task["labels"] == ["neg", "pos"]
    assert checkpoint.task["dev_file"] == str(tiny_task.dev_file)
    assert not checkpoint.model.training
    assert json.loads(checkpoint.tokenizer)["model"]["vocab"]["good"] > 0
    assert any(line.startswith("teacher: epoch 1/1") for line in report)
    assert any(line.startswith("student: epoch 2/2") for line in report)


def test_metrics(trained: tuple[Path, dict, list[str]]) -> None:
    _, metrics, _ = trained
    assert {"task", "metric", "score", "teacher_score", "epochs", "wall_s", "settings", "versions"} <= set(metrics)
    assert (metrics["task"], metrics["metric"]) == ("train", "accuracy")
    assert metrics["score"] > 0.8
    assert metrics["teacher_score"] > 0.8
    assert [set(epoch) for epoch in metrics["epochs"]] == [{"epoch", "loss", "score", "seconds"}] * 2
    assert metrics["chosen_on"] == "validation"
    assert metrics["best"]["accuracy"] == max(epoch["score"] for epoch in metrics["epochs"])
    assert metrics["scores"] == {"accuracy": metrics["score"]}
    assert 0 < sum(epoch["seconds"] for epoch in metrics["epochs"]) < metrics["wall_s"]
    assert (metrics["settings"]["seed"], metrics["settings"]["timesteps"]) == (3, 8)


def test_saved_student_scores_what_the_metrics_say(
    trained: tuple[Path, dict, list[str]],
    tiny_task: TinyTask,
) -> None:
    from tokenizers import Tokenizer

    from spk2loihi.data import TaskSpec, load_held_out
    from spk2loihi.training.evaluation import evaluate
    from spk2loihi.training.sentences import labelled

    out, metrics, _ = trained
    checkpoint = load_checkpoint(out)
    held_out, _ = labelled(
        Tokenizer.from_str(checkpoint.tokenizer),
        load_held_out(TaskSpec.from_dict(checkpoint.task)),
        16,
        TaskSpec.from_dict(checkpoint.task),
    )
    assert evaluate(checkpoint.model, held_out, ["accuracy"], 0) == {"accuracy": metrics["score"]}


@pytest.mark.slow
def test_the_seed_decides_the_weights(
    trained: tuple[Path, dict, list[str]],
    tiny_task: TinyTask,
    tmp_path: Path,
) -> None:
    out, metrics, _ = trained
    settings = replace(SMALL, teacher=str(tiny_task.teacher), epochs=2, seed=3)
    torch.rand(7)  # whatever the generator did before
    again = train(spec_of(tiny_task), settings, tmp_path / "model.pt").metrics
    assert weights(tmp_path / "model.pt") == weights(out)
    assert [e["loss"] for e in again["epochs"]] == [e["loss"] for e in metrics["epochs"]]
    train(spec_of(tiny_task), replace(settings, seed=4), tmp_path / "other.pt")
    assert weights(tmp_path / "other.pt") != weights(out)


class _Interrupted(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("place", ["teacher", "tuned"])
def test_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    place: str,
    tiny_task: TinyTask,
    tmp_path: Path,
) -> None:
    settings = replace(SMALL, teacher=str(getattr(tiny_task, place)), epochs=3)
    spec = spec_of(tiny_task)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = tmp_path / "whole" / "model.pt", tmp_path / "parts" / "model.pt"
    expected = train(spec, settings, whole).metrics

    def interrupt(line: str) -> None:
        if line.startswith("student: epoch 2/3"):  # the state of epoch 1 is on disk, that of epoch 2 is not
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(spec, settings, parts, report=interrupt)
    assert not parts.exists()
    assert not (parts.parent / "metrics.json").exists()
    report: list[str] = []
    resumed = train(spec, settings, parts, resume=True, report=report.append).metrics
    assert "student: resumed after epoch 1" in report
    assert not any(line.startswith("student: epoch 1/3") for line in report)
    assert weights(parts) == weights(whole)
    for key in ("epoch", "loss", "score"):
        assert [e[key] for e in resumed["epochs"]] == [e[key] for e in expected["epochs"]]
    assert names(parts.parent) == names(whole.parent)  # no state file is left


def test_a_state_file_is_not_used_without_resume(tiny_task: TinyTask, tmp_path: Path) -> None:
    (tmp_path / ".model.resume").write_bytes(b"left over")
    report: list[str] = []
    train(spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.tuned)), tmp_path / "model.pt", report=report.append)
    assert not any("resumed" in line for line in report)
    assert names(tmp_path) == {"model.pt", "metrics.json"}


def test_resume_refuses_a_damaged_state_file(tiny_task: TinyTask, tmp_path: Path) -> None:
    (tmp_path / ".model.resume").write_bytes(b"not a state")
    settings = replace(SMALL, teacher=str(tiny_task.tuned))
    with pytest.raises(UserError, match=r"resume file .*\.model\.resume"):
        train(spec_of(tiny_task), settings, tmp_path / "model.pt", resume=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"layers": [0]}, {"epochs": 2}, {"seed": 1}, {"timesteps": 4}, {"learning_rate": 1e-4}]
)
def test_resume_refuses_other_settings(change: dict, tiny_task: TinyTask, tmp_path: Path) -> None:
    """A resumed run promises the weights of an uninterrupted one, which other settings would not give."""
    settings = replace(SMALL, teacher=str(tiny_task.tuned), epochs=3)

    def interrupt(line: str) -> None:
        if line.startswith("student: epoch 2/3"):
            raise _Interrupted

    with pytest.raises(_Interrupted):
        train(spec_of(tiny_task), settings, tmp_path / "model.pt", report=interrupt)
    with pytest.raises(UserError, match="resume"):
        train(spec_of(tiny_task), replace(settings, **change), tmp_path / "model.pt", resume=True)


def test_tuned_teacher_is_used_as_it_is(tiny_task: TinyTask, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in tiny_task.tuned.iterdir()}
    report: list[str] = []
    settings = replace(SMALL, teacher=str(tiny_task.tuned))
    metrics = train(spec_of(tiny_task), settings, tmp_path / "model.pt", report=report.append).metrics
    assert not any(line.startswith("teacher: epoch") for line in report)
    assert names(tmp_path) == {"model.pt", "metrics.json"}
    assert {path.name: path.read_bytes() for path in tiny_task.tuned.iterdir()} == before
    assert metrics["teacher"] == str(tiny_task.tuned)
    assert metrics["score"] > 0.8


def test_fine_tuned_teacher_can_be_named_by_a_later_run(
    trained: tuple[Path, dict, list[str]],
    tiny_task: TinyTask,
    tmp_path: Path,
) -> None:
    out, metrics, _ = trained
    report: list[str] = []
    settings = replace(SMALL, teacher=str(out.parent / "teacher"), epochs=2, seed=3)
    again = train(spec_of(tiny_task), settings, tmp_path / "model.pt", report=report.append).metrics
    assert not any(line.startswith("teacher: epoch") for line in report)
    assert again["teacher_score"] == metrics["teacher_score"]
    assert weights(tmp_path / "model.pt") == weights(out)


def test_a_teacher_of_the_user_is_never_overwritten(tiny_task: TinyTask, tmp_path: Path) -> None:
    """The user's teacher may lie just where the fine-tuned one would be written: beside model.pt, called teacher."""
    mine = tmp_path / "teacher"
    shutil.copytree(tiny_task.teacher, mine)
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    with contextlib.suppress(UserError):  # refusing is as good as writing elsewhere
        train(spec_of(tiny_task), replace(SMALL, teacher=str(mine)), tmp_path / "model.pt")
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


@pytest.mark.parametrize("layers", [[1], [1, 0], [0, 0, 1]])
def test_layers(layers: list[int], tiny_task: TinyTask, tmp_path: Path) -> None:
    settings = replace(SMALL, teacher=str(tiny_task.tuned), layers=layers)
    metrics = train(spec_of(tiny_task), settings, tmp_path / "model.pt").metrics
    assert load_checkpoint(tmp_path / "model.pt").model.config.num_hidden_layers == len(layers)
    assert metrics["settings"]["layers"] == layers
    assert metrics["teacher_shape"]["layers"] == 2


def test_leak_and_feedback(tiny_task: TinyTask, tmp_path: Path) -> None:
    """Trained, kept, gone on from, and exported."""
    settings = replace(SMALL, teacher=str(tiny_task.tuned), leak=0.1, feedback=0.5, solver="broyden")
    assert train(spec_of(tiny_task), settings, tmp_path / "model.pt").score > 0.8
    model = load_checkpoint(tmp_path / "model.pt").model
    assert (model.config.leak, model.config.feedback, model.config.solver) == (0.1, 0.5, "broyden")
    assert all(layer.feedback.free.abs().max() > 0 for layer in model.encoder_layers())
    further = replace(settings, student=str(tmp_path / "model.pt"), solver="anderson")
    train(spec_of(tiny_task), further, tmp_path / "further.pt")
    with pytest.raises(UserError, match=r"feedback 0\.5, but 0\.0"):
        train(spec_of(tiny_task), replace(further, feedback=0.0), tmp_path / "other.pt")
    kept = load_checkpoint(tmp_path / "further.pt")
    network = fold(kept.model, kept.tokenizer, kept.task)
    assert network.decay == 410 and network["layer.1.value"].feedback.weight.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": [2]}, "layer 2 .* 0 to 1"),
        ({"layers": [-1]}, "layer -1"),
        ({"layers": []}, "names 0 teacher layers"),
        ({"hidden": 64}, "`hidden` is 64.* which have 32"),
        ({"leak": 1.0}, "`leak` is 1,"),
        ({"feedback": 1.5}, "`feedback` is 1.5"),
        ({"solver": "newton"}, "`solver` 'newton'.*anderson"),
        ({"teacher_learning_rate": 1.0}, "`teacher_learning_rate` is 1,"),
        ({"timesteps": 0}, "`timesteps` is 0"),
        ({"timesteps": 128}, "`timesteps` is 128"),
        ({"bits": 9}, "`bits` is 9"),
        ({"preset": "nope"}, "`preset` 'nope'.*spikingbert"),
        ({"max_tokens": 65}, "`max_tokens` is 65.* 64 position"),
        ({"max_tokens": 2}, "2 tokens"),
    ],
)
def test_settings_are_refused_before_work_is_done(
    change: dict,
    words: str,
    tiny_task: TinyTask,
    tmp_path: Path,
) -> None:
    """With a teacher that would be fine-tuned first: hours, for a real one."""
    report: list[str] = []
    with pytest.raises(UserError, match=words):
        train(
            spec_of(tiny_task), replace(SMALL, teacher=str(tiny_task.teacher), **change), tmp_path / "model.pt",
            report=report.append,
        )  # fmt: skip
    assert not any(line.startswith("teacher: epoch") for line in report), "refused only after fine-tuning"
    assert names(tmp_path) == set()


def broken_teacher(kind: str, tuned: Path, place: Path) -> Path:
    if kind == "missing":
        return place
    if kind == "empty":
        place.mkdir()
        return place
    if kind == "gpt2":
        place.mkdir()
        (place / "config.json").write_text(json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}))
        return place
    shutil.copytree(tuned, place)
    weights_file, config = place / "model.safetensors", place / "config.json"
    if kind == "no weights":
        weights_file.unlink()
    elif kind == "truncated weights":
        weights_file.write_bytes(weights_file.read_bytes()[:5000])
    elif kind == "junk weights":
        weights_file.write_bytes(b"x" * 100)
    elif kind == "bad config":
        config.write_text("{")
    elif kind == "other shape":
        config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 64}))
    elif kind == "no tokenizer":
        (place / "tokenizer.json").unlink()
        (place / "tokenizer_config.json").unlink()
    elif kind == "bad tokenizer":
        (place / "tokenizer.json").write_text("{")
    elif kind == "tokenizer of another model":
        tokenizer = json.loads((place / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"]["good"] = 500
        (place / "tokenizer.json").write_text(json.dumps(tokenizer))
    else:
        raise AssertionError(kind)
    return place


@pytest.mark.parametrize(
    "kind",
    ["missing", "empty", "gpt2", "no weights", "truncated weights", "junk weights", "bad config", "other shape",
     "no tokenizer", "bad tokenizer", "tokenizer of another model"],
)  # fmt: skip
def test_unusable_teachers_are_refused(kind: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher = broken_teacher(kind, tiny_task.tuned, tmp_path / "bert")
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="teacher") as refused:
        train(spec_of(tiny_task), replace(SMALL, teacher=str(teacher)), tmp_path / "out" / "model.pt")
    assert str(teacher) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert names(tmp_path / "out") == set()


def test_teacher_with_other_labels_is_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    three = write_csv(tmp_path / "three.csv", [("good one", "a"), ("bad film", "b"), ("the plot", "c")] * 10)
    with pytest.raises(UserError, match=r"has 2 labels, but the task has 3 \(a, b, c\)"):
        train(task_spec(train_file=three), replace(SMALL, teacher=str(tiny_task.tuned)), tmp_path / "model.pt")
    assert names(tmp_path) == {"three.csv"}


def test_settings_are_recorded_as_they_were(trained: tuple[Path, dict, list[str]]) -> None:
    _, metrics, _ = trained
    recorded = metrics["settings"]
    assert recorded == asdict(replace(SMALL, teacher=recorded["teacher"], epochs=2, seed=3))
