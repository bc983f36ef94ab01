"""A run that is killed, at any moment, and resumed ends with the weights of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spk2loihi.data import TaskSpec, task_spec
from spk2loihi.errors import UserError
from spk2loihi.temporary_files import remove_leftovers
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.run_state import Interval, RunState
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.train import train
from support.signals import assert_interrupted, script
from support.small_training import spec_of
from support.tiny_task import TinyTask

SETTINGS = TrainSettings(
    timesteps=8, max_tokens=16, batch_size=10, learning_rate=1e-3, teacher_epochs=2, epochs=2, checkpoint_every="3",
    evaluate_every=7, seed=5, validation_share=0.0, average=0.9,
)  # fmt: skip
STEPS = 20  # an epoch of 200 sentences


def weights(path: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_checkpoint(path).model.state_dict().items()}


def dropout(folder: Path, tiny_task: TinyTask) -> Path:
    """The tiny teacher with dropout, so that the state of the random generator matters."""
    from transformers import BertModel, BertTokenizerFast

    model = BertModel.from_pretrained(tiny_task.teacher)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.1
    model.save_pretrained(folder / "bert")
    BertTokenizerFast.from_pretrained(tiny_task.teacher).save_pretrained(folder / "bert")
    return folder / "bert"


class _Stopped(Exception):
    pass


def cut_off(monkeypatch: pytest.MonkeyPatch, steps: int, spec: TaskSpec, settings: TrainSettings, out: Path) -> None:
    """Train until so many optimiser steps, of the teacher and the student together, are done."""
    from spk2loihi.training.loop import Loop

    optimise, done = Loop._optimise, [0]

    def counted(self: Loop, *batch: torch.Tensor) -> float:
        if done[0] == steps:
            raise _Stopped
        done[0] += 1
        return optimise(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_optimise", counted)
        with pytest.raises(_Stopped):
            train(spec, settings, out)


@pytest.fixture(scope="module")
def whole(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainSettings, Path, dict]:
    folder = tmp_path_factory.mktemp("whole")
    settings = replace(SETTINGS, teacher=str(dropout(folder, tiny_task)))
    return settings, folder / "model.pt", train(spec_of(tiny_task), settings, folder / "model.pt").metrics


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 8, STEPS, 2 * STEPS, 2 * STEPS + 2, 2 * STEPS + 10, 4 * STEPS - 1])
def test_a_run_cut_off_after_any_step(
    steps: int,
    whole: tuple[TrainSettings, Path, dict],
    tiny_task: TinyTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, expected, metrics = whole
    out = tmp_path / "model.pt"
    cut_off(monkeypatch, steps, spec_of(tiny_task), settings, out)
    assert not out.exists()
    report: list[str] = []
    resumed = train(spec_of(tiny_task), settings, out, resume=True, report=report.append).metrics
    assert any("resumed" in line for line in report) or steps < 3
    assert weights(out) == weights(expected)
    strip = [{k: v for k, v in record.items() if k != "seconds"} for record in resumed["epochs"]]
    assert strip == [{k: v for k, v in record.items() if k != "seconds"} for record in metrics["epochs"]]
    assert resumed["stages"][0]["evaluations"] == metrics["stages"][0]["evaluations"]
    name = "teacher/model.safetensors"
    assert (tmp_path / name).read_bytes() == (expected.parent / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "metrics.json", "teacher"}


@pytest.mark.slow
def test_a_narrower_student_cut_off(tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The projection of its losses is learned, too, and is not in `model.pt`."""
    settings = replace(SETTINGS, teacher=str(tiny_task.tuned), hidden=16, epochs=1)
    train(spec_of(tiny_task), settings, tmp_path / "a" / "model.pt")
    cut_off(monkeypatch, 10, spec_of(tiny_task), settings, tmp_path / "b" / "model.pt")
    train(spec_of(tiny_task), settings, tmp_path / "b" / "model.pt", resume=True)
    assert weights(tmp_path / "a" / "model.pt") == weights(tmp_path / "b" / "model.pt")


@pytest.mark.slow
def test_a_killed_process(whole: tuple[TrainSettings, Path, dict], tiny_task: TinyTask, tmp_path: Path) -> None:
    """`kill -9` at random moments, again and again, until a run gets through."""
    settings, expected, _ = whole
    out = tmp_path / "model.pt"
    command = [
        sys.executable, "-m", "spk2loihi", "train", *tiny_task.data_options, "--teacher", settings.teacher,
        "--timesteps", 8, "--max-tokens", 16, "--batch-size", 10, "--lr", 1e-3, "--teacher-epochs", 2, "--epochs", 2,
        "--checkpoint-every", 3, "--evaluate-every", 7, "--seed", 5, "--validation-share", 0, "--average", 0.9,
        "-o", out, "--resume",
    ]  # fmt: skip
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": threads}
    rng = random.Random(time.time_ns())
    kills, state = 0, tmp_path / ".model.resume"
    while not (tmp_path / "metrics.json").exists():
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=subprocess.DEVNULL)
        begun, before = time.monotonic(), state.stat().st_mtime if state.exists() else 0.0
        while process.poll() is None and time.monotonic() - begun < 300:
            moved = state.exists() and state.stat().st_mtime > before
            if moved and kills < 3:  # some steps further than the last time
                time.sleep(rng.random())
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                break
            time.sleep(0.02)
        assert process.wait() in (0, -signal.SIGKILL)
    assert kills, "the run was too fast to be killed"
    assert weights(out) == weights(expected)
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.pt", "model.pt.run.yaml", "metrics.json", "teacher"
    }  # fmt: skip


SLOW_STEP = """
import sys, time
from spk2loihi.training.loop import Loop
optimise, done = Loop._optimise, []
def slow(self, *batch):
    done.append(1)
    if len(done) == {step}:
        open("ready", "w").close()
        time.sleep(1)
    return optimise(self, *batch)
Loop._optimise = slow
sys.argv[1:] = {arguments!r}
from spk2loihi.__main__ import main
main()
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 4), (signal.SIGINT, 2 * STEPS + 9)])
def test_a_signal_saves_the_state(
    number: int, step: int, whole: tuple[TrainSettings, Path, dict], tiny_task: TinyTask, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In the middle of a step, of the teacher and of the student, long before the next checkpoint is due."""
    settings, expected, _ = whole
    out = tmp_path / "out" / "model.pt"
    arguments = [
        "train", *tiny_task.data_options, "--teacher", settings.teacher, "--timesteps", 8, "--max-tokens", 16,
        "--batch-size", 10, "--lr", 1e-3, "--teacher-epochs", 2, "--epochs", 2, "--checkpoint-every", 10**6,
        "--evaluate-every", 7, "--seed", 5, "--validation-share", 0, "--average", 0.9, "-o", out,
    ]  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    text = SLOW_STEP.format(step=step, arguments=[str(part) for part in arguments])
    command = script(tmp_path, f"from spk2loihi.cli import interrupts; interrupts.install()\n{text}")
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    assert_interrupted(command.hit(number), "interrupted: the same options and --resume go on from the last checkpoint")
    assert {path.name for path in out.parent.iterdir()} - {"teacher"} == {".model.resume"}
    lines: list[str] = []
    again = replace(settings, checkpoint_every="1000000")
    train(spec_of(tiny_task), again, out, resume=True, report=lines.append)
    assert any(f"and {step % STEPS} of {STEPS} steps" in line for line in lines), lines
    assert weights(out) == weights(expected)
    assert {path.name for path in out.parent.iterdir()} == {"model.pt", "metrics.json", "teacher"}


def test_another_teacher_is_noticed(
    whole: tuple[TrainSettings, Path, dict], tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same path, same shape, other weights."""
    from safetensors.torch import load_file, save_file

    settings = replace(whole[0], teacher=str(dropout(tmp_path, tiny_task)))
    out = tmp_path / "model.pt"
    cut_off(monkeypatch, 8, spec_of(tiny_task), settings, out)
    file = tmp_path / "bert" / "model.safetensors"
    tensors = load_file(file)
    tensors["embeddings.word_embeddings.weight"][7, 3] += 1e-4
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"resume file .* \(teacher_sha256\)"):
        train(spec_of(tiny_task), settings, out, resume=True)


def test_a_fine_tuned_teacher_that_was_changed_is_noticed(
    whole: tuple[TrainSettings, Path, dict], tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = whole[0]
    out = tmp_path / "model.pt"
    cut_off(monkeypatch, 2 * STEPS + 10, spec_of(tiny_task), settings, out)
    from safetensors.torch import load_file, save_file

    file = tmp_path / "teacher" / "model.safetensors"
    tensors = load_file(file)
    tensors["classifier.bias"][0] += 1e-4
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"teacher .* is not the one"):
        train(spec_of(tiny_task), settings, out, resume=True)


def test_other_data_in_the_same_file_is_noticed(tiny_task: TinyTask, tmp_path: Path, monkeypatch) -> None:
    text = tiny_task.train_file.read_text()
    mine = tmp_path / "train.csv"
    mine.write_text(text)
    spec = task_spec(train_file=mine, dev_file=tiny_task.dev_file)
    settings = replace(SETTINGS, teacher=str(tiny_task.tuned))
    cut_off(monkeypatch, 8, spec, settings, tmp_path / "out" / "model.pt")
    mine.write_text(text.replace("good", "great", 1))
    with pytest.raises(UserError, match=r"\(data\)"):
        train(spec, settings, tmp_path / "out" / "model.pt", resume=True)


@pytest.mark.parametrize(
    ("text", "interval"),
    [("500", Interval(steps=500)), ("90s", Interval(seconds=90)), ("10m", Interval(seconds=600))],
)
def test_intervals(text: str, interval: Interval) -> None:
    assert Interval.parse(text) == interval


@pytest.mark.parametrize("text", ["", "0", "-1", "0s", "m", "1h", "nans", "infs", "1.5"])
def test_unfit_intervals(text: str) -> None:
    with pytest.raises(UserError, match="`checkpoint_every` is"):
        Interval.parse(text)


def test_leftovers_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    for name in (".model.pt.123.tmp", "..model.resume.9.tmp", ".other.1.tmp", "model.pt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".teacher.7.new.tmp").mkdir()
    remove_leftovers(tmp_path / "model.pt", tmp_path / ".model.resume", tmp_path / "teacher")
    assert {path.name for path in tmp_path.iterdir()} == {".other.1.tmp", "model.pt"}


def test_a_state_is_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = RunState.start(path, {"seed": "1"}, resume=True)
    state.finish("teacher", {"scores": {"accuracy": 0.5}})
    state.save("student", {"step": 3, "model": {"w": torch.arange(3)}})
    again = RunState.start(path, {"seed": "1"}, resume=True)
    assert again.finished == {"teacher": {"scores": {"accuracy": 0.5}}}
    loop = again.of("student")
    assert loop is not None and loop["step"] == 3 and loop["model"]["w"].tolist() == [0, 1, 2]
    assert again.of("teacher") is None
    assert RunState.start(path, {"seed": "1"}, resume=False).of("student") is None
