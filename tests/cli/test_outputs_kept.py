"""Nothing that a user has is lost: inputs, other outputs, files of the user's own, what another process makes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi import files
from spk2loihi.errors import UserError
from support.command_chain import SMALL, contents, refused
from support.full_disk import small_disk, small_files
from support.netx_files import dense, inputs, write_netx
from support.tiny_task import TinyTask, sentences, spk2loihi, write_csv

TRAIN = ("train", "--train-file", "t.csv", "--dev-file", "d.csv", "--teacher", "tuned", *SMALL)


@pytest.fixture
def user(place: Path, tiny_task: TinyTask) -> Path:
    """The folder of a user who has data, a teacher, a board, prices, a netx file and arrays as well."""
    shutil.copy(tiny_task.train_file, "t.csv")
    write_csv(place / "d.csv", sentences(6, 4))
    shutil.copytree(tiny_task.tuned, "tuned")
    shutil.copytree(tiny_task.teacher, "bert")
    synop = {"value": 12.5, "unit": "pJ", "source": "made up"}
    prices = {"name": "mine", "kind": "chip", "scope": "a test", "coefficients": {"synop": synop}}
    Path("c.json").write_text(json.dumps(prices))
    Path("b.json").write_text(json.dumps({"name": "b", "chips": 1, "limits": {}}))
    write_netx(place / "n.net", inputs(4), dense(np.arange(12).reshape(3, 4)))
    np.save("in.npy", np.ones((4, 5), np.int8))
    Path("notes.json").write_text('{"mine": 1}')
    Path("notes.txt").write_text("mine")
    glue = "sentence\tlabel\n" + "".join(f"{text}\t{int(label == 'pos')}\n" for text, label in sentences(6, 4))
    (place / "GLUE" / "SST-2").mkdir(parents=True)
    for part in ("train", "dev"):
        (place / "GLUE" / "SST-2" / f"{part}.tsv").write_text(glue)
    os.link("d.csv", "hard.csv")
    os.symlink("d.csv", "soft.csv")
    os.symlink(".", "here")
    return place


INPUTS = [
    ("simulate", "--dev-file", "d.csv", "--json", "d.csv"),
    ("simulate", "--dev-file", "d.csv", "--json", "hard.csv"),
    ("simulate", "--dev-file", "d.csv", "--json", "soft.csv"),
    ("simulate", "--dev-file", "soft.csv", "--json", "here/d.csv"),
    ("simulate", "--task", "SST-2", "--data-dir", "GLUE", "--json", "GLUE/SST-2/dev.tsv"),
    ("simulate", "--json", "model.net"),
    ("inspect", "--json", "here/model.net"),
    ("verify", "--dev-file", "d.csv", "--json", "d.csv"),
    ("export", "--json", "model.pt"),
    ("export", "-o", "here/model.pt"),
    ("energy", "--dev-file", "d.csv", "-o", "d.csv"),
    ("energy", "--coefficients", "c.json", "--json", "c.json"),
    ("energy", "--coefficients", "c.json", "-o", "c.html"),  # the numbers beside it
    ("fit", "--board", "b.json", "--json", "b.json"),
    ("run", "n.net", "--input", "in.npy", "-o", "in.npy"),
    ("run", "n.net", "--input", "in.npy", "-o", "n.net"),
    ("run", "n.net", "--input", "in.npy", "-o", "o.npz", "--json", "in.npy"),
    (*TRAIN, "-o", "t.csv"),
    (*TRAIN, "--json", "d.csv"),
    (*TRAIN, "-o", "tuned/config.json"),
    (*TRAIN, "--json", "tuned/model.safetensors"),
    (*TRAIN, "--student", "model.pt", "-o", "model.pt"),
    (*TRAIN, "--stage", "general", "--corpus", "notes.txt", "-o", "notes.txt"),
    ("sweep", "model.net", "--json", "model.net"),
    ("sweep", "model.net", "--dev-file", "d.csv", "--json", "hard.csv"),
    ("sweep", "model.net", "--coefficients", "c.json", "--json", "c.json"),
]


@pytest.mark.parametrize("arguments", INPUTS, ids=" ".join)
def test_an_output_is_never_an_input(arguments: tuple[str, ...], user: Path) -> None:
    refused(user, *arguments, "--force", words="would replace what is read from|would be written twice")
    refused(user, *arguments)


def test_what_a_network_remembers_is_an_input(chain, user: Path, tiny_task: TinyTask) -> None:  # type: ignore[no-untyped-def]
    before = tiny_task.dev_file.read_bytes()
    for command in ("simulate", "verify", "energy"):
        refused(user, command, "--json", tiny_task.dev_file, "--force", words="would replace what is read from")
    assert tiny_task.dev_file.read_bytes() == before


TWICE = [
    ("export", "-o", "F", "--json", "F"),
    ("export", "-o", "F", "--json", "here/F"),
    ("run", "n.net", "--input", "in.npy", "-o", "F", "--json", "F"),
    ("energy", "-o", "F.html", "--json", "F.html"),
    ("energy", "-o", "F.html", "--json", "F.json"),
    (*TRAIN, "-o", "F", "--json", "F"),
    (*TRAIN, "-o", "metrics.json"),
    (*TRAIN, "-o", "F.pt", "--json", "metrics.json"),
    (*TRAIN, "-o", "F.pt", "--json", ".F.resume"),
    ("sweep", "model.net", "-o", "S", "--json", "S/sweep.json"),
    ("sweep", "model.net", "-o", "S", "--json", "S/sweep.html"),
    ("demo", "-o", "S", "--json", "S/model.pt"),
    ("demo", "-o", "S", "--json", "S/energy.json"),
    ("demo", "-o", "S", "--json", "S/teacher/config.json"),
]


@pytest.mark.parametrize("arguments", TWICE, ids=" ".join)
def test_two_outputs_are_two_files(arguments: tuple[str, ...], user: Path) -> None:
    refused(user, *arguments, "--force", words="would be written twice")


FOREIGN = [
    ("simulate", "--samples", "2", "--json", "notes.json"),
    ("simulate", "--samples", "2", "--json", "notes.txt"),
    ("inspect", "--json", "model.pt"),
    ("verify", "--json", "notes.json"),
    ("doctor", "--json", "notes.txt"),
    ("fit", "--json", "notes.json"),
    ("export", "-o", "notes.txt"),
    ("export", "-o", "n.net"),  # a netx file of the user's
    ("energy", "-o", "notes.html"),  # notes.json beside it
    ("run", "n.net", "--input", "in.npy", "-o", "model.pt"),
    ("run", "n.net", "--input", "in.npy", "-o", "notes.txt"),
    (*TRAIN, "-o", "model.net"),
    ("sweep", "model.net", "--json", "notes.json"),
    ("demo", "--json", "notes.json"),
]


@pytest.mark.parametrize("arguments", FOREIGN, ids=" ".join)
def test_a_file_of_the_user_s_own_is_kept(arguments: tuple[str, ...], user: Path) -> None:
    refused(user, *arguments, words="exists, and is no .* that spk2loihi wrote: .* with --force")


def test_folders_of_the_user_s_own_are_kept(user: Path) -> None:
    shutil.copytree("tuned", "teacher")  # another BERT, where a fine-tuned teacher would go
    arguments = ("train", "--train-file", "t.csv", "--teacher", "bert", *SMALL, "-o", "F.pt")
    refused(user, *arguments, words=r"teacher exists, and is no fine-tuned teacher that spk2loihi wrote")
    for name in ("model.net", "energy.html", "simulate.json"):
        (user / "demo").mkdir(exist_ok=True)
        (user / "demo" / name).write_text("mine")
        refused(user, "demo", "-o", "demo", words=f"demo/{name} exists, and is no")
        (user / "demo" / name).unlink()
    (user / "S").mkdir()
    (user / "S" / "sweep.json").write_text("[]")
    refused(user, "sweep", "model.net", "-o", "S", words="S/sweep.json exists, and is no JSON of a sweep")


def test_a_training_inside_the_teacher_s_place(user: Path) -> None:
    """The folder teacher is replaced whole, and with it what is read from it."""
    Path("teacher").mkdir()
    shutil.copy("t.csv", "teacher/t.csv")
    refused(
        user, "train", "--train-file", "teacher/t.csv", "--teacher", "bert", *SMALL, "-o", "F.pt", "--force",
        words="would replace what is read from",
    )  # fmt: skip


@pytest.mark.slow
def test_results_and_empty_files_are_replaced(user: Path) -> None:
    commands = [
        ("export", "--json", "e.json"),
        ("inspect", "--json", "i.json"),
        ("simulate", "--samples", "2", "--json", "s.json"),
        ("simulate", "--text", "a film", "--json", "x.json"),
        ("verify", "--samples", "1", "--backend", "emulator", "--backend", "stepped", "--json", "v.json"),
        ("energy", "--samples", "2", "--json", "n.json"),
        ("fit", "--json", "f.json"),
        ("doctor", "--json", "d.json"),
        ("run", "n.net", "--input", "in.npy", "-o", "o.npz", "--json", "r.json"),
        ("run", "n.net", "--input", "in.npy", "-o", "o.h5"),
        ("sweep", "model.net", "--samples", "2", "--encoding", "rate", "--json", "w.json"),
        ("train", "--train-file", "t.csv", "--dev-file", "d.csv", "--teacher", "bert", *SMALL, "--json", "t.json"),
    ]
    Path("i.json").touch()
    Path("o.h5").touch()
    for arguments in commands * 2:
        outcome = spk2loihi(*arguments)
        assert outcome.code == 0, (arguments, outcome.err)
    assert not [name for name in os.listdir() if name.endswith((".lock", ".tmp"))]


def test_force_replaces(user: Path) -> None:
    assert spk2loihi("inspect", "--json", "notes.json", "--force").code == 0
    assert json.loads(Path("notes.json").read_text())["layers"]
    assert spk2loihi("export", "-o", "notes.txt", "--force").code == 0
    assert spk2loihi("inspect", "notes.txt").code == 0


def test_the_library_keeps_files_too(user: Path) -> None:
    before = contents(user)
    run = s2l.run("n.net", "in.npy")
    for wrong in ("in.npy", "n.net"):
        with pytest.raises(UserError, match=r"would replace what is read from"):
            run.save(wrong, force=True)
    for calls in (
        lambda: run.save("notes.txt"),
        lambda: s2l.export("model.pt", "notes.txt"),
        lambda: s2l.export("model.pt", "model.pt", force=True),
        lambda: s2l.train(train_file="t.csv", teacher="tuned", out="t.csv", force=True),
        lambda: s2l.train(train_file="t.csv", teacher="tuned", out="notes.txt"),
        lambda: s2l.energy("model.net", samples=1).save("notes.html"),
    ):
        with pytest.raises(UserError, match=r"would replace what is read from|exists, and is no"):
            calls()
    assert contents(user) == before


def test_a_student_s_folder_is_no_teacher_s(user: Path) -> None:
    from spk2loihi.training.checkpoint import load_checkpoint
    from spk2loihi.training.pretrained import save_pretrained

    student, before = load_checkpoint(user / "model.pt"), contents(user)
    with pytest.raises(UserError, match="that is no student of spk2loihi"):
        save_pretrained(student, user / "tuned")
    assert contents(user) == before
    for _ in range(2):
        save_pretrained(student, user / "new")
    save_pretrained(student, user / "tuned", force=True)
    assert spk2loihi("export", "tuned", "-o", "o.net").code == 0


# --- two processes

HOLD = """
import sys
from pathlib import Path
from spk2loihi.outputs import Output, claim
with claim([Output(Path(sys.argv[1]), "model", "model")], folder=Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(user: Path):  # type: ignore[no-untyped-def]
    """A process that makes F.pt, and something in the folder S."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, "F.pt", "S"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=user, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.communicate()


def test_two_processes_do_not_make_one_file(user: Path, holder: subprocess.Popen) -> None:
    words = (
        rf"is being written by process {holder.pid} \(-c F\.pt S\): wait until it has ended, or choose another --out"
    )
    refused(user, *TRAIN, "-o", "F.pt", words=words)
    refused(user, *TRAIN, "-o", "here/F.pt", "--force", words=words)
    refused(user, "sweep", "model.net", "-o", "S", words=words)
    refused(user, "demo", "-o", "S", words=words)
    with pytest.raises(UserError, match=f"process {holder.pid}"):
        s2l.export("model.pt", "F.pt")


def test_the_lock_of_a_dead_process_holds_nobody(user: Path, holder: subprocess.Popen) -> None:
    holder.kill()
    holder.wait()
    assert (user / ".F.pt.lock").exists()
    assert spk2loihi("export", "-o", "F.pt").code == 0
    assert not (user / ".F.pt.lock").exists()


# --- no room


@pytest.mark.parametrize("limit", [0, 20_000, 110_000])
def test_no_room_for_any_command(limit: int, user: Path) -> None:
    spk2loihi("simulate", "--samples", "2")  # compiles
    Path("long.npy").unlink(missing_ok=True)
    np.save("long.npy", np.ones((4, 90_000), np.int8))
    commands = [
        ("export", "-o", "o.net"),
        ("energy", "--samples", "2", "-o", "o.html"),
        ("run", "n.net", "--input", "long.npy", "-o", "o.npz"),
        ("run", "n.net", "--input", "long.npy", "-o", "o.h5"),
        (*TRAIN, "-o", "o.pt"),
    ]
    commands += [] if limit else [
        ("simulate", "--samples", "2", "--json", "o.json"), ("inspect", "--json", "o.json"),
        ("doctor", "--json", "o.json"), ("fit", "--json", "o.json"),
    ]  # fmt: skip
    for arguments in commands:
        with small_files(limit):
            refused(
                user, *arguments, words=r"cannot be written .*File too large.*make room there, or choose another --"
            )


def test_a_full_disk(user: Path) -> None:
    np.save("long.npy", np.ones((4, 90_000), np.int8))
    with small_disk(user / "disk", "100k") as mounted:
        if not mounted:
            pytest.skip("cannot mount a tmpfs")
        for arguments in (
            ("export", "-o", "disk/o.net"),
            ("energy", "--samples", "2", "-o", "disk/o.html"),
            ("run", "n.net", "--input", "long.npy", "-o", "disk/o.npz"),
            ("run", "n.net", "--input", "long.npy", "-o", "disk/o.h5"),
            (*TRAIN, "-o", "disk/o.pt"),
            ("train", "--train-file", "t.csv", "--teacher", "bert", *SMALL, "-o", "disk/o.pt"),
        ):
            refused(user, *arguments, words="cannot be written .*No space left on device.*make room there, or choose")


@pytest.mark.parametrize("where", ["is written", "is renamed"])
def test_results_appear_together_with_their_numbers_or_not_at_all(
    where: str, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where --json finds no room, the results of -o are as they were."""
    commands = [
        ("export", "-o", "o.net"),
        ("energy", "--samples", "2", "-o", "o.html"),
        ("run", "n.net", "--input", "in.npy", "-o", "o.npz"),
        ("run", "n.net", "--input", "in.npy", "-o", "o.h5"),
        ("sweep", "model.net", "--samples", "2", "--encoding", "rate", "-o", "s"),
        (*TRAIN, "-o", "o/o.pt"),
    ]
    for arguments in commands:
        outcome = spk2loihi(*arguments, "--json", "good.json")
        assert outcome.code == 0, outcome.err
    before = contents(user)
    real_write, real_replace = files._write, os.replace

    def write(path: Path, write: files.Write) -> None:
        if "n.json" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_write(path, write)

    def replace(source: Path, place: Path) -> None:
        if Path(place).name != "n.json":
            real_replace(source, place)
        elif where == "is renamed":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    if where == "is written":
        monkeypatch.setattr(files, "_write", write)
    monkeypatch.setattr(os, "replace", replace)
    for arguments in commands:
        outcome = spk2loihi(*arguments, "--json", "n.json")
        assert outcome.code == 2 and "n.json cannot be written" in outcome.err, outcome
        assert len(outcome.err.splitlines()) == 1 and not outcome.out.count("n.net: "), outcome
        after = contents(user)
        state = after.pop("o/.o.resume", None)  # from which the same training ends at once
        assert (state is not None) == ("o/o.pt" in arguments)
        assert after == before
    monkeypatch.undo()
    monkeypatch.chdir(user)
    assert spk2loihi(*TRAIN, "-o", "o/o.pt", "--resume", "--json", "n.json").code == 0
    assert sorted(os.listdir("o")) == ["metrics.json", "o.pt", "o.pt.run.yaml"]


def test_a_killed_command_leaves_nothing_for_the_next(user: Path) -> None:
    dead = 2**22 + 1
    for name in ("o.net", "energy.html", "energy.json", "o.npz"):
        (user / f".{name}.{dead}.tmp").write_text("half")
    assert spk2loihi("export", "-o", "o.net").code == 0
    assert spk2loihi("energy", "--samples", "2").code == 0
    assert spk2loihi("run", "n.net", "--input", "in.npy", "-o", "o.npz").code == 0
    assert not [name for name in os.listdir(user) if name.endswith(".tmp")]
