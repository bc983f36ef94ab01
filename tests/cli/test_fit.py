"""`spk2loihi fit`: on a file, before training, on a user's board."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from spk2loihi.data import TaskSpec
from spk2loihi.network import write_network
from spk2loihi.network.network import Network
from support.tiny_task import spk2loihi


@pytest.fixture
def folder(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    task = TaskSpec(kind="files", name="tiny", train_file="/data/train.csv", labels=["no", "yes"])
    whole = replace(network, task=task.to_dict(), tokenizer=Tokenizer(WordLevel()).to_str())
    write_network(whole, tmp_path / "model.net")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_on_a_file(folder: Path) -> None:
    outcome = spk2loihi("fit", "--json", "fit.json")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    numbers = json.loads((folder / "fit.json").read_text())
    assert {"board", "fits", "chips", "cores", "layers", "remedies"} <= set(numbers)
    for layer in numbers["layers"]:
        assert {"name", "neurons", "synapses", "cores", "binding_limit", "utilisation"} <= set(layer)
        assert layer["name"] in outcome.out
    assert numbers["fits"] and numbers["remedies"] == []
    assert numbers["cores"] == sum(layer["cores"] for layer in numbers["layers"]) == len(numbers["layers"])
    assert "model.net fits on kapoho-point: 19 of 1,024 cores, 1 of 8 chips" in outcome.out


def test_a_users_board_and_strict(folder: Path) -> None:
    limits = {"cores": {"value": 18, "source": "a thought"}}
    (folder / "mine.json").write_text(json.dumps({"name": "mine", "chips": 1, "limits": limits}))
    outcome = spk2loihi("fit", "--board", "mine.json", "--json", "fit.json")
    assert outcome.code == 0  # a result, not an error
    assert "does not fit on mine: 19 of 18 cores" in outcome.out
    numbers = json.loads((folder / "fit.json").read_text())
    assert not numbers["fits"]
    assert [limit["source"] for limit in numbers["limits"] if limit["name"] == "cores"] == ["a thought"]
    assert spk2loihi("fit", "--board", "mine.json", "--strict").code == 1
    assert spk2loihi("fit", "--strict").code == 0


def test_the_command_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--preset",
        "spikingbert",
        "--layers",
        2,
        "--hidden",
        48,
        "--heads",
        4,
        "--max-tokens",
        16,
        "--bits",
        4,
    ]
    outcome = spk2loihi("fit", *arguments, "--json", "fit.json")
    assert outcome.code == 0, outcome.err
    numbers = json.loads((tmp_path / "fit.json").read_text())
    assert numbers["network"] is None
    assert {layer["weight_bits"] for layer in numbers["layers"] if layer["name"] == "layer.0.query"} == {4}
    assert "this student fits on kapoho-point" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.net", "--layers", "2"], "--layers.*model.net"),
        (["--board", "nahuku"], "nahuku"),
        (["--preset", "bert"], "bert"),
        (["--hidden", "50"], "50.*12"),
        (["--layers", "0"], "--layers is 0"),
        (["--bits", "9"], "9"),
        (["missing.net"], "missing.net does not exist"),
    ],
)
def test_errors_of_the_command(folder: Path, arguments: list[str], words: str) -> None:
    outcome = spk2loihi("fit", *arguments)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert re.search(words, outcome.err), outcome.err
