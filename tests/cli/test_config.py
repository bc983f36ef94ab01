"""`--config`, and the files of options beside results: a run can be repeated, and a wrong file is one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from spk2loihi.results import is_run
from spk2loihi.training.checkpoint import load_checkpoint
from support.command_chain import refused
from support.tiny_sweep import SMALL
from support.tiny_task import TinyTask, spk2loihi


@pytest.fixture(scope="module")
def made(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and their run files."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(model_file, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (["export", "model.pt"], ["simulate", "--json", "simulate.json"], ["energy", "--samples", "4"]):
            outcome = spk2loihi(*command)
            assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def again(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody who has these."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_training_is_repeated(tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = [*SMALL, "--teacher", tiny_task.teacher]
    found = []
    for command in (["train", *tiny_task.data_options, *options], ["train", "--config", "model.pt.run.yaml"]):
        outcome = spk2loihi(*command)
        assert outcome.code == 0, outcome.err
        found.append((load_checkpoint(Path("model.pt")).model.state_dict(), Path("model.pt.run.yaml").read_bytes()))
        Path("model.pt").unlink()
        shutil.rmtree("teacher")
    (before, file), (after, same) = found
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert file == same


def test_export_and_energy_are_repeated_to_the_byte(again: Path) -> None:
    for command, name, others in (
        ("export", "model.net", ()),
        ("energy", "energy.html", ("energy.json",)),
    ):
        files = [Path(name), *map(Path, others), Path(f"{name}.run.yaml")]
        before = [file.read_bytes() for file in files]
        Path(name).unlink()
        outcome = spk2loihi(command, "--config", f"{name}.run.yaml")
        assert outcome.code == 0, outcome.err
        assert [file.read_bytes() for file in files] == before


def test_the_command_line_goes_first(again: Path) -> None:
    outcome = spk2loihi("simulate", "--config", "simulate.json.run.yaml", "--samples", 3, "--json", "three.json")
    assert outcome.code == 0, outcome.err
    assert " on 3 sentences" in outcome.out
    assert "samples: 3" in Path("three.json.run.yaml").read_text()
    assert "samples" not in Path("simulate.json.run.yaml").read_text()


def test_a_file_that_somebody_has_edited_is_theirs(again: Path) -> None:
    file = Path("energy.html.run.yaml")
    assert is_run(file)
    edited = file.read_text() + "\n# mine\n"
    file.write_text(edited)
    assert not is_run(file)
    refused(again, "energy", words=r"energy\.html\.run\.yaml exists, and is no run file that spk2loihi wrote")
    refused(again, "energy", "--config", file, words="would replace what is read from energy.html.run.yaml")
    assert spk2loihi("energy", "--config", file, "-o", "b.html").code == 0
    assert file.read_text() == edited


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 1", "train has no option 'epoch': did you mean epochs"),
        ("zzz: 1", "train has no option 'zzz': leave it out"),
        ("force: true", "no option 'force'"),
        ("epochs: two", "--epochs is 'two', but it is a whole number"),
        ("epochs: 1.5", "--epochs is 1.5, but it is a whole number"),
        ("epochs: true", "--epochs is True, but it is a whole number"),
        ("epochs: 0", "--epochs.*0 is not in the range"),
        ("lr: fast", "--lr is 'fast', but it is a number"),
        ("hard-labels: yes", "--hard-labels is 'yes', but it is true or false"),
        ("precision: half", "--precision.*'half' is not one of"),
        ("out: 3", "--out is 3, but it is a path"),
        ("layers: [a]", r"--layers is \['a'\]"),
        ("command: export", "is of the command 'export', but this is train"),
        ("epochs: 1\nepochs: 2", "not YAML that can be used .*twice.*line 2"),
        ("a: &x 1\nb: *x", "not YAML that can be used .*alias"),
        ("epochs: !!python/object/apply:os.system [ls]", "not YAML that can be used"),
        ("epochs: [1", "not YAML that can be used"),
        ("[1, 2]", "holds no options"),
        ("epochs: " + "9" * 99, "too many digits"),
        ("lr: 1e999", "not finite"),
        ("x: " + "[" * 1200, "nested too deep|not YAML"),
        ("# " + "x" * 70_000, "longer than 65,536 bytes"),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(text)
    refused(tmp_path, "train", "--config", "run.yaml", words=words)


def test_a_missing_file_and_one_that_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, "fit", "--config", "run.yaml", words=r"options file run\.yaml does not exist")
    Path("run.yaml").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path, "fit", "--config", "run.yaml", words="not UTF-8")


def test_yaml_means_what_a_reader_takes_it_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`no` is the precision, not false; 1e-3 is a number; underscores and lists are taken."""
    monkeypatch.chdir(tmp_path)
    text = "precision: no\nlr: 1e-3\nmax_tokens: 16\nlayers: [0, 2]\ntrain_file: absent.csv\ntemperature: 3\n"
    Path("run.yaml").write_text(text)
    refused(tmp_path, "train", "--config", "run.yaml", words=r"absent\.csv does not exist")
    Path("sweep.yaml").write_text("timesteps: [4, 8]\nbits: 1.58\nencoding: [rate]\ntrain-file: absent.csv\n")
    refused(tmp_path, "sweep", "--config", "sweep.yaml", words=r"absent\.csv does not exist")
    Path("networks.yaml").write_text("networks: [a.net]\ntimesteps: 4\n")
    refused(tmp_path, "sweep", "--config", "networks.yaml", words="--timesteps is for training")


def test_a_share_of_zero_is_repeated(tiny_task: TinyTask, tmp_path: Path) -> None:
    """Zero is a value like any other, and here not the default: held-out data choose."""
    ran = spk2loihi(
        "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--timesteps", 4, "--max-tokens", 16,
        "--batch-size", 50, "--epochs", 1, "--validation-share", 0, "-o", tmp_path / "model.pt",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "validation-share: 0.0" in (tmp_path / "model.pt.run.yaml").read_text()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["chosen_on"] == "held-out" and set(metrics["manifest"]["data"]) == {"train", "held_out"}
    assert metrics["score"] == metrics["best"]["accuracy"]
    assert "held-out accuracy" in ran.out and "validation" not in ran.out
