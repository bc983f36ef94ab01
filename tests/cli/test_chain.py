"""The command line: the whole chain on a tiny task, and its JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from support.command_chain import Chain, refused
from support.tiny_task import sentences, spk2loihi, write_csv


def test_files_of_the_chain(chain: Chain) -> None:
    names = {p.name for p in chain.folder.iterdir()}
    made = {"model.pt", "metrics.json", "teacher", "model.net", "energy.html", "energy.json"}
    numbers = {f"{name}.json" for name in chain.outcomes}
    simulated = {"simulate", "stepped", "graded", "pipelined", "settling", "text"}
    to_repeat = {"model.pt", "model.net", "energy.html", *(f"{name}.json" for name in simulated)}
    assert names == made | numbers | {f"{name}.run.yaml" for name in to_repeat}


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
    assert (n["fit"]["board"], n["time"]["steps"]) == ("kapoho-point", n["network"]["latency_steps"])
    page = (chain.folder / "energy.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html")
    assert not re.search(r"(src|href)=\"https?://[^\"]*\.(js|css)", page)


def test_energy_counts_both_encodings_as_simulate_does(chain: Chain, place: Path) -> None:
    n = chain.json("energy")
    assert spk2loihi("simulate", "--encoding", "graded", "--samples", "20", "--json", "graded.json").code == 0
    graded = json.loads((place / "graded.json").read_text())
    by_name = {run["encoding"]: run for run in n["encodings"]["runs"]}
    assert by_name["rate"]["synops"] == n["per_sample"]["synops"]
    assert by_name["graded"]["synops"] == graded["synops"]["per_sample"]
    assert by_name["graded"]["latency_steps"] == graded["latency_steps"]
    assert by_name["graded"]["energy_nJ"].keys() == {"loihi2-pilotnet-bound", "loihi1-davies2018"}


def test_energy_derives_a_price_without_a_network(place: Path) -> None:
    outcome = spk2loihi("energy", "no.net", "--derive", "loihi2-pilotnet-bound", "--json", "price.json")
    if sys.version_info >= (3, 11):  # where lava-dl, which has the network, does not install
        assert outcome.code == 2
        return
    assert "at most 30.1 pJ, and 45.7 with static power" in outcome.out
    assert json.loads((place / "price.json").read_text())["synops_per_step"] == 36_315_366 / 16


def test_energy_takes_the_time_of_a_step(chain: Chain, place: Path) -> None:
    assert spk2loihi("energy", "--samples", "2", "--step-us", "10", "--board", "oheo-gulch").code == 0
    n = json.loads((place / "energy.json").read_text())
    assert n["time"]["seconds"] == pytest.approx(n["network"]["latency_steps"] * 1e-5)
    assert n["fit"]["board"] == "oheo-gulch"
    refused(place, "energy", "--step-us", "0", words="`step_us`|step-us")


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
        "window",
        "neurons",
        "synapses",
        "weights",
        "soma",
        "threshold",
        "one spike is",
        "bound |U|",
    ):
        assert f" {heading} " in chain.outcomes["inspect"].out, heading  # folded: a block for each stage


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
