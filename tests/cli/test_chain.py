"""The command line: the whole chain on a tiny task, its JSON, and every wrong input a user can give."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from spk2loihi.cli.main import cli
from spk2loihi.network.layout import CHECKSUM, EXTENSION
from spk2loihi.network.writer import seal
from support.tiny_task import Outcome, TinyTask, sentences, spk2loihi, write_csv

COMMANDS = cli.list_commands(None)  # type: ignore[arg-type]
SMALL = ["--timesteps", "8", "--max-tokens", "16", "--batch-size", "10", "--lr", "1e-3"]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Chain:
    """The folder the chain ran in, and what each command said."""

    folder: Path
    outcomes: dict[str, Outcome]

    def json(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def chain(tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Every command once, in an empty folder, as a user types them."""
    folder = tmp_path_factory.mktemp("chain")
    both = ["--backend", "emulator", "--backend", "stepped"]
    steps: dict[str, list[str]] = {
        "train": ["train", *tiny_task.data_options, "--teacher", str(tiny_task.teacher), *SMALL],
        "export": ["export", "model.pt"],
        "simulate": ["simulate"],
        "stepped": ["simulate", "--backend", "stepped", "--samples", "20"],
        "graded": ["simulate", "--encoding", "graded"],
        "pipelined": ["simulate", "--schedule", "pipelined", "--timesteps", "32", "--samples", "20"],
        "settling": ["simulate", "--schedule", "settling", "--samples", "20"],
        "text": ["simulate", "--text", "a lovely film", "--text", "it was a dull, boring plot"],
        "verify": ["verify", *both],
        "verify-graded": ["verify", *both, "--encoding", "graded", "--samples", "3"],
        "verify-settling": ["verify", *both, "--schedule", "settling", "--stagger", "1", "--samples", "3"],
        "energy": ["energy", "--samples", "20"],
        "inspect": ["inspect"],
        "doctor": ["doctor"],
    }
    outcomes = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, arguments in steps.items():
            outcomes[name] = spk2loihi(*arguments, "--json", f"{name}.json")
            assert outcomes[name].code == 0, (name, outcomes[name].err)
    return Chain(folder, outcomes)


@pytest.fixture
def place(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user who has model.pt and model.net."""
    for name in ("model.pt", "model.net"):
        shutil.copy(chain.folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder: Path, *arguments: object, words: str = "") -> str:
    """Exit code 2, one sentence on standard error, and the folder as it was."""
    before = contents(folder)
    folders = {p for p in folder.rglob("*") if p.is_dir()}
    outcome = spk2loihi(*arguments)
    assert outcome.code == 2, outcome
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("Error: ")
    assert "Traceback" not in outcome.err
    assert re.search(words, lines[0]), lines[0]
    assert contents(folder) == before
    assert {p for p in folder.rglob("*") if p.is_dir()} == folders
    return lines[0]


# --- the chain


def test_files_of_the_chain(chain: Chain) -> None:
    names = {p.name for p in chain.folder.iterdir()}
    made = {"model.pt", "metrics.json", "teacher", "model.net", "energy.html", "energy.json"}
    assert names == made | {f"{name}.json" for name in chain.outcomes}


@pytest.mark.parametrize("name", ["train", "export", "simulate", "text", "verify", "energy", "inspect", "doctor"])
def test_nothing_on_standard_error(name: str, chain: Chain) -> None:
    """Progress bars are silent when standard error is not a terminal; there is nothing else to say."""
    assert chain.outcomes[name].err == ""
    assert chain.outcomes[name].out.strip()


def test_train_json(chain: Chain) -> None:
    numbers = chain.json("train")
    assert {"task", "metric", "score", "teacher_score", "epochs", "wall_s"} <= set(numbers)
    assert numbers == json.loads((chain.folder / "metrics.json").read_text())
    assert (numbers["task"], numbers["metric"]) == ("train", "accuracy")
    assert numbers["score"] > 0.8
    assert len(numbers["epochs"]) == 1
    assert numbers["wall_s"] > 0


def test_export_json(chain: Chain) -> None:
    numbers = chain.json("export")
    assert numbers["bytes"] == (chain.folder / "model.net").stat().st_size
    assert (numbers["network"], numbers["timesteps"], numbers["stages"]) == ("model.net", 8, 19)
    assert 0 < numbers["largest_drive"]["bound"] < 2**23


SIMULATE_FIELDS = {
    "network", "backend", "schedule", "encoding", "timesteps", "samples", "metric", "score", "latency_steps", "spikes",
    "mean_rate", "synops", "wall_s", "versions",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "schedule", "encoding", "timesteps", "samples"),
    [
        ("simulate", "windowed", "rate", 8, 60),
        ("stepped", "windowed", "rate", 8, 20),
        ("graded", "windowed", "graded", 8, 60),
        ("pipelined", "pipelined", "rate", 32, 20),
        ("text", "windowed", "rate", 8, 2),
    ],
)
def test_simulate_json(name: str, schedule: str, encoding: str, timesteps: int, samples: int, chain: Chain) -> None:
    n = chain.json(name)
    assert set(n) >= SIMULATE_FIELDS
    assert (n["schedule"], n["encoding"], n["timesteps"], n["samples"]) == (schedule, encoding, timesteps, samples)
    assert (n["network"], n["metric"]) == ("model.net", "accuracy")
    synops = n["synops"]
    assert set(synops) >= {"total", "per_sample", "linear", "attention", "dense_equivalent"}
    assert synops["total"] == synops["linear"] + synops["attention"] == pytest.approx(synops["per_sample"] * samples)
    assert min(synops["linear"], synops["attention"], synops["dense_equivalent"], n["spikes"], n["wall_s"]) > 0
    assert 0 < n["mean_rate"] < 1
    assert n["versions"]["spk2loihi"]
    depth = 14  # windows before the readout: 6 a layer, embedding and pooler
    assert n["latency_steps"] == {"pipelined": 32 + depth, "graded": depth + 1}.get(name, 8 * depth + 1)
    if name == "text":
        assert n["score"] is None
    else:
        assert 0.8 < n["score"] <= 1
        assert f"{100 * n['score']:.2f} %" in chain.outcomes[name].out


def test_encodings_agree(chain: Chain) -> None:
    rate, graded = chain.json("simulate"), chain.json("graded")
    assert rate["score"] == graded["score"]
    assert rate["spikes"] == graded["spikes"]
    assert rate["synops"]["dense_equivalent"] == graded["synops"]["dense_equivalent"]
    assert rate["synops"]["total"] > graded["synops"]["total"]


def test_text(chain: Chain) -> None:
    good, bad = chain.json("text")["predictions"]
    assert (good["label"], bad["label"]) == ("pos", "neg")
    assert good["text"] == "a lovely film"
    assert good["logits"]["pos"] > good["logits"]["neg"]
    assert all(isinstance(u, int) for u in good["membrane"])
    assert chain.outcomes["text"].out.startswith("pos  (neg ")


@pytest.mark.parametrize(("name", "samples"), [("verify", 8), ("verify-graded", 3)])
def test_verify_json(name: str, samples: int, chain: Chain) -> None:
    n = chain.json(name)
    assert set(n) >= {"backends", "samples", "spikes_compared", "mismatches", "first_mismatch"}
    assert (n["backends"], n["samples"]) == (["emulator", "stepped"], samples)
    assert (n["mismatches"], n["first_mismatch"]) == (0, None)
    assert n["spikes_compared"] > 1000


def test_verify_reports_a_difference_with_code_1(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spk2loihi.simulators import registry
    from spk2loihi.simulators.emulator.emulator import Emulator

    class Broken(Emulator):
        def run(self, batch, record=False):  # type: ignore[no-untyped-def]
            done = super().run(batch, record)
            done.trains["layer.1.key"][0, 0, 0, 5] += 1
            return done

    monkeypatch.setitem(registry.BACKENDS, "emulator", lambda network, *rest: Broken(network, *rest))
    outcome = spk2loihi("verify", "--backend", "emulator", "--backend", "stepped", "--json", "v.json")
    assert outcome.code == 1
    assert re.search(r"layer layer\.1\.key, step \d+, sample 0, neuron \[0, 5\]", outcome.err)
    numbers = json.loads((place / "v.json").read_text())
    assert numbers["mismatches"] > 0
    assert numbers["first_mismatch"]["layer"] == "layer.1.key"


def test_energy_json(chain: Chain) -> None:
    n = chain.json("energy")
    assert set(n) >= {"per_sample", "t_times_density", "coefficients"}
    assert n["samples"] == 20
    assert n["per_sample"]["synops"] > 0
    assert n["t_times_density"] > 0
    assert {"loihi1-davies2018", "horowitz-45nm-fp32", "horowitz-45nm-int8"} <= set(n["coefficients"])
    for name, table in n["coefficients"].items():
        assert table["values"], name
        for coefficient in table["values"]:
            assert isinstance(coefficient["value"], float)
            assert all(coefficient[key].strip() for key in ("unit", "source", "scope"))
    page = (chain.folder / "energy.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")
    assert not re.search(r"(src|href)=\"https?://[^\"]*\.(js|css)", page)


def test_energy_shows_a_held_out_sentence_or_the_one_given(chain: Chain, place: Path) -> None:
    shown = chain.json("energy")["sentence"]
    assert re.fullmatch(r"held-out sentence \d+", shown["origin"])
    assert shown["label"] in ("neg", "pos")
    assert spk2loihi("energy", "--samples", "2", "--text", "a lovely film").code == 0
    given = json.loads((place / "energy.json").read_text())
    assert (given["sentence"]["text"], given["sentence"]["label"]) == ("a lovely film", None)
    assert given["sentence"]["tokens"] == ["[CLS]", "a", "lovely", "film", "[SEP]"]
    simulated = chain.json("text")["predictions"][0]
    assert given["sentence"]["runs"][0]["prediction"] == simulated["label"]
    assert given["sentence"]["runs"][0]["logits"] == simulated["logits"]
    assert given["samples"] == 2  # counted over held-out data all the same
    refused(place, "energy", "--text", " ", words="is empty")
    refused(place, "energy", "--text", "film " * 40, words=r"42 tokens, more than the limit of 16")


def test_inspect_json(chain: Chain) -> None:
    n = chain.json("inspect")
    assert len(n["layers"]) == 19
    assert [row["name"] for row in n["layers"]][::18] == ["embedding", "classifier"]
    assert all(row["unit"] > 0 and row["threshold"] > 0 and row["max_drive"] > 0 for row in n["layers"])
    assert n["provenance"]["training"]["settings"]["seed"] == 0
    assert all(row["name"] in chain.outcomes["inspect"].out for row in n["layers"])


def test_inspect_shows_its_headings_whole(chain: Chain) -> None:
    for heading in (
        "stage",
        "window",
        "neurons",
        "synapses",
        "weights",
        "soma",
        "threshold",
        "one spike is",
        "bound |U|",
    ):
        assert f" {heading} " in chain.outcomes["inspect"].out, heading


def test_doctor_json(chain: Chain) -> None:
    n = chain.json("doctor")
    assert {check["name"] for check in n["checks"]} == {"cpu backend", "loihi2 backend", "embedded", "gpu"}
    assert all(isinstance(check["ok"], bool) and check["detail"] for check in n["checks"])
    assert n["versions"]["torch"] == torch.__version__.split("+")[0]


def test_a_network_file_needs_nothing_beside_it(place: Path) -> None:
    """No checkpoint, no teacher, another name, other sentences."""
    (place / "model.pt").unlink()
    (place / "model.net").rename("other.net")
    outcome = spk2loihi("simulate", "other.net", "--text", "superb and funny")
    assert (outcome.code, outcome.out[:3]) == (0, "pos")


def test_settling_gives_the_windowed_answers_in_fewer_steps(chain: Chain) -> None:
    n, windowed = chain.json("settling"), chain.json("stepped")  # the same 20 sentences
    assert (n["schedule"], n["encoding"], n["timesteps"]) == ("settling", "rate", 8)
    assert n["score"] == windowed["score"]
    assert n["mean_latency_steps"] <= n["latency_steps"] < windowed["latency_steps"]
    assert n["synops"]["total"] > windowed["synops"]["total"]
    assert chain.json("verify-settling")["mismatches"] == 0


def test_energy_of_a_settling_run(place: Path) -> None:
    numbers = {}
    for schedule in ("windowed", "settling"):
        arguments = ["energy", "--schedule", schedule, "--samples", "4", "-o", f"{schedule}.html"]
        assert spk2loihi(*arguments).code == 0
        numbers[schedule] = json.loads((place / f"{schedule}.json").read_text())
    windowed, settling = numbers["windowed"], numbers["settling"]
    assert settling["network"]["schedule"] == "settling"
    assert settling["accuracy"] == windowed["accuracy"]
    assert settling["network"]["latency_steps"] < windowed["network"]["latency_steps"]
    assert settling["totals"]["host"]["layernorm"] > windowed["totals"]["host"]["layernorm"]
    assert any(line.startswith("Settling: ") for line in settling["caveats"])
    assert settling["neurobench"] is None


def test_own_sentences_get_the_network_s_labels(place: Path) -> None:
    """A file with one class only: the order of labels is the network's."""
    write_csv(place / "own.csv", [row for row in sentences(60, 5) if row[1] == "pos"], ("s", "l"))
    arguments = ["simulate", "--dev-file", "own.csv", "--text-column", "s", "--label-column", "l", "--json", "n.json"]
    assert spk2loihi(*arguments).code == 0
    assert json.loads((place / "n.json").read_text())["score"] > 0.8


@pytest.mark.parametrize("schedule", ["windowed", "pipelined", "settling"])
def test_exported_schedule_is_the_default(schedule: str, place: Path) -> None:
    assert spk2loihi("export", "--schedule", schedule, "-o", "s.net").code == 0
    assert spk2loihi("simulate", "s.net", "--samples", "2", "--json", "s.json").code == 0
    assert json.loads((place / "s.json").read_text())["schedule"] == schedule


def test_one_step(place: Path) -> None:
    outcome = spk2loihi("simulate", "--schedule", "pipelined", "--timesteps", "1", "--samples", "1")
    assert (outcome.code, outcome.err) == (0, "")


# --- wrong input


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


def test_text_that_cannot_be_run(place: Path) -> None:
    for text in ("", "   ", "\n\t"):
        refused(place, "simulate", "--text", text, words="is empty")
    refused(place, "simulate", "--text", "good", "--text", "", words="Text 2 of 2 is empty")
    refused(place, "simulate", "--text", "good " * 5000, words="has 5002 tokens, more than the limit of 16")
    refused(place, "simulate", "--text", "\u200b", words="empty|0 tokens")


def test_no_held_out_data(place: Path, tiny_task: TinyTask) -> None:
    (place / "empty.csv").write_text("")
    (place / "header.csv").write_text("text,label\n")
    train = ["train", "--train-file", tiny_task.train_file, "--teacher", tiny_task.tuned, *SMALL, "-o", "new.pt"]
    for command in (train, ["simulate"], ["energy"], ["verify", "--backend", "emulator", "--backend", "stepped"]):
        refused(place, *command, "--dev-file", "nowhere.csv", words=r"nowhere\.csv cannot be read")
        refused(place, *command, "--dev-file", "empty.csv", words=r"empty\.csv is empty")
        refused(place, *command, "--dev-file", "header.csv", words=r"header\.csv holds no examples")


def test_remembered_data_may_be_gone(place: Path, tmp_path: Path, tiny_task: TinyTask) -> None:
    hidden = tiny_task.dev_file.with_suffix(".hidden")
    tiny_task.dev_file.rename(hidden)
    try:
        refused(place, "simulate", words=r"dev\.csv cannot be read")
        assert spk2loihi("simulate", "--text", "a good film").code == 0
    finally:
        hidden.rename(tiny_task.dev_file)


def test_wrong_data_options(place: Path, tiny_task: TinyTask) -> None:
    files, teacher = tiny_task.data_options, ["--teacher", tiny_task.tuned]
    train = ["train", *teacher, *SMALL, "-o", "new.pt"]
    refused(
        place, *train, *files, "--label-column", "stars", words="no column 'stars', its columns are 'text', 'label'"
    )
    refused(place, *train, *files, "--task", "SST-2", words="only one of them")
    refused(place, *train, "--task", "nope", words="'nope' is not known: choose one of SST-2")
    refused(place, *train, "--task", "SST-2", words="--data-dir")
    refused(place, *train, "--task", "SST-2", "--data-dir", "nowhere", words=r"nowhere.*missing|missing.*nowhere")
    refused(place, *train, "--train-file", "nowhere.csv", words=r"nowhere\.csv cannot be read")
    refused(place, "simulate", "--text-column", "text", words="no file is given")
    write_csv(place / "other.csv", [("good", "5"), ("bad", "1")])
    refused(
        place, "simulate", "--dev-file", "other.csv", words="label '5' .* not one of the task's labels 'neg', 'pos'"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--timesteps", "0"], "timesteps is 0"),
        (["--timesteps", "200"], "timesteps is 200"),
        (["--bits", "1.5"], "bits is 1.5"),
        (["--preset", "nope"], "preset 'nope' is not known"),
        (["--layers", "7"], "layer"),
        (["--layers", "x"], "--layers 'x'"),
        (["--hidden", "7"], "hidden is 7"),
        (["--max-tokens", "1"], "1 tokens"),
        (["--max-tokens", "100"], "--max-tokens is 100"),
    ],
)
@pytest.mark.parametrize("teacher", ["teacher", "tuned"])
def test_wrong_training_options(teacher: str, options: list, words: str, place: Path, tiny_task: TinyTask) -> None:
    """Refused with nothing written, also where the teacher would be fine-tuned first."""
    arguments = ["train", *tiny_task.data_options, "--teacher", getattr(tiny_task, teacher), *SMALL, "-o", "new.pt"]
    refused(place, *arguments, *options, words=words)


@pytest.mark.parametrize("options", [["--lr", "nan"], ["--lr", "-1"], ["--seed", "-1"], ["--epochs", "0"]])
def test_senseless_numbers(options: list, place: Path, tiny_task: TinyTask) -> None:
    """Refused by the option's own range (click's message) or by ours."""
    before = contents(place)
    arguments = ["train", *tiny_task.data_options, "--teacher", tiny_task.tuned, *SMALL, "-o", "new.pt"]
    outcome = spk2loihi(*arguments, *options)
    assert outcome.code == 2
    assert "Error: " in outcome.err
    assert contents(place) == before


def test_wrong_steps(place: Path) -> None:
    refused(place, "simulate", "--timesteps", "0", words="timesteps is 0")
    refused(place, "simulate", "--timesteps", "9", words="windows of 8 steps")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "0", words="at least 1 step")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "-3", words="at least 1 step")
    refused(place, "simulate", "--schedule", "pipelined", "--timesteps", "10000000", words=r"24 bits")
    refused(place, "simulate", "--schedule", "pipelined", "--encoding", "graded", words="windowed schedule only")
    refused(place, "simulate", "--schedule", "settling", "--encoding", "graded", words="windowed schedule only")
    refused(place, "simulate", "--schedule", "settling", "--timesteps", "3", words="not silent after 3 steps")
    refused(place, "simulate", "--schedule", "settling", "--stagger", "9", words="stagger is 9, .* 0 to T = 8")
    refused(place, "simulate", "--stagger", "1", words="the windowed schedule has none")
    refused(place, "export", "--schedule", "settling", "--stagger", "-1", "-o", "new.net", words="stagger is -1")


def test_export_refuses_graded_spikes_in_a_pipeline(place: Path) -> None:
    """No backend could run the file."""
    refused(
        place, "export", "--schedule", "pipelined", "--encoding", "graded", "-o", "new.net", words="windowed schedule"
    )


def test_verify_needs_two_backends(place: Path) -> None:
    refused(place, "verify", "--backend", "emulator", words="2 backends, but 1")


def test_loihi2_without_the_extension(place: Path) -> None:
    """On a machine with a board this passes an empty file list instead."""
    try:
        from lava.utils.loihi import is_installed
    except ImportError:
        refused(place, "simulate", "--backend", "loihi2", words="Lava|lava|Python 3.10")
        return
    if is_installed():
        pytest.skip("lava-loihi is installed")
    refused(place, "simulate", "--backend", "loihi2", words="lava-loihi")


@pytest.mark.parametrize("output", ["model.net/new", "folder", "x" * 300, "/proc/spk2loihi/new"])
@pytest.mark.parametrize("command", ["train", "export", "energy"])
def test_places_that_cannot_be_written(command: str, output: str, place: Path, tiny_task: TinyTask) -> None:
    (place / "folder").mkdir()
    train = [*tiny_task.data_options, "--teacher", tiny_task.teacher, *SMALL] if command == "train" else []
    line = refused(place, command, *train, "-o", output, words="folder|cannot be written")
    assert output in line


def test_special_files_are_not_replaced(place: Path) -> None:
    """-o /dev/null, run as root, would put a regular file in its place."""
    os.mkfifo(place / "pipe")
    refused(place, "export", "-o", "pipe", words="pipe")
    assert (place / "pipe").is_fifo()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(place: Path) -> None:
    (place / "closed").mkdir(mode=0o555)
    refused(place, "export", "-o", "closed/new.net", words="cannot be written")


def test_json_place_is_checked_before_the_work(place: Path) -> None:
    refused(place, "export", "-o", "new.net", "--json", "model.pt/numbers.json", words="cannot be written")
    refused(place, "simulate", "--json", "model.net/numbers.json", words="cannot be written")


def test_energy_page_and_its_json_are_two_files(place: Path) -> None:
    """-o report.json would have the page overwrite its own numbers."""
    outcome = spk2loihi("energy", "-o", "report.json", "--samples", "2")
    if outcome.code == 0:
        json.loads((place / "report.json").read_text(encoding="utf-8"))
    else:
        assert outcome.code == 2
        assert not (place / "report.json").exists()


def test_an_input_is_never_the_output(place: Path) -> None:
    refused(place, "export", "model.pt", "-o", "model.pt", words=r"model\.pt")
    refused(place, "energy", "model.net", "-o", "model.net", "--samples", "2", words=r"model\.net")


def test_missing_folders_are_made(place: Path) -> None:
    assert spk2loihi("export", "-o", "new/folder/model.net", "--json", "other/numbers.json").code == 0
    assert (place / "new" / "folder" / "model.net").is_file()
    assert (place / "other" / "numbers.json").is_file()


def test_coefficient_files(place: Path) -> None:
    refused(place, "energy", "--coefficients", "nowhere.json", words=r"nowhere\.json cannot be read")
    (place / "mine.json").write_text("{")
    refused(place, "energy", "--coefficients", "mine.json", words="is not JSON")
    table = {"synop": {"value": 12.5, "unit": "pJ", "source": "measured"}}
    (place / "mine.json").write_text(
        json.dumps({"name": "mine", "kind": "chip", "scope": "a board", "coefficients": table})
    )
    assert spk2loihi("energy", "--coefficients", "mine.json", "--samples", "2").code == 0
    values = json.loads((place / "energy.json").read_text())["coefficients"]["mine"]["values"]
    assert [(v["value"], v["unit"], v["source"], v["scope"]) for v in values] == [(12.5, "pJ", "measured", "a board")]


# --- help and documentation


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    outcome = spk2loihi(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: spk2loihi {command} ")
    assert "--json" in outcome.out
    assert "--help" in outcome.out


def test_group_help_lists_every_command() -> None:
    outcome = spk2loihi("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command}  +\S", outcome.out, re.MULTILINE), command


def test_version() -> None:
    from spk2loihi import __version__

    assert __version__ in spk2loihi("--version").out


def test_unknown_command() -> None:
    outcome = spk2loihi("tarin")
    assert outcome.code == 2
    assert "tarin" in outcome.err


def test_help_is_quick() -> None:
    """Neither torch nor transformers nor Lava is imported to show what commands there are."""
    code = (
        "import sys\nfrom spk2loihi.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'lava', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def documented_lines() -> list[tuple[str, str]]:
    """(file, command line) of every `spk2loihi ...` in code of README.md and docs."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        for line in [*lines, *inline]:
            if match := re.match(r"\s*(?:\$ )?(?:uv run )?spk2loihi( .*)", line):
                found.append((path.name, match[1].split(" #")[0].strip()))
    return found


@pytest.mark.parametrize(("file", "line"), documented_lines())
def test_documented_commands_exist(file: str, line: str) -> None:
    words = line.split()
    if words[0].startswith("-") or words[0] in ("<command>", "COMMAND", "..."):
        return
    assert words[0] in COMMANDS, f"{file}: spk2loihi {line}"
    command = cli.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    for word in words[1:]:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in known, f"{file}: spk2loihi {line}"
