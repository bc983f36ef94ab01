"""The library as a notebook uses it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.network import Network
from spk2loihi.training.checkpoint import load_checkpoint
from support.netx_files import dense, inputs, write_netx
from support.tiny_task import TinyTask, spk2loihi

TEXTS = ["the good film", "this is a dull and boring plot"]


@pytest.fixture(scope="module")
def net(network_file: Path) -> s2l.SpikingNetwork:
    return s2l.load(network_file)


def small(task: TinyTask) -> dict[str, Any]:
    """Options of a training that takes seconds."""
    files = {"train_file": task.train_file, "dev_file": task.dev_file}
    return {**files, "timesteps": 8, "max_tokens": 16, "batch_size": 16, "epochs": 1}


def same_integers(a: Network, b: Network) -> bool:
    weights = ([g.weight for stage in n.stages for g in stage.synapses] for n in (a, b))
    return all(np.array_equal(x, y) for x, y in zip(*weights, strict=True)) and [s.threshold for s in a.stages] == [
        s.threshold for s in b.stages
    ]


def test_the_lines_of_the_readme(tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train_csv, dev_csv = tiny_task.train_file, tiny_task.dev_file

    s2l.train(train_file=train_csv, dev_file=dev_csv, teacher=str(tiny_task.tuned), max_tokens=16, timesteps=8)
    net = s2l.export("model.pt", "model.net")
    net = s2l.load("model.net")
    assert {p.label for p in net.classify(TEXTS)} <= {"pos", "neg"}
    run = net.run(TEXTS)
    samples, steps, tokens, channels = run.spikes["layer.0.query"].shape
    assert (samples, steps, channels) == (2, 8, 32)
    assert tokens == max(len(each) for each in run.tokens)
    run.plot_raster("layer.0.query").savefig("raster.png")
    s2l.energy(net, samples=8).save("energy.html")
    written = {"model.pt", "metrics.json", "model.net", "raster.png", "energy.html", "energy.json"}
    assert {p.name for p in tmp_path.iterdir()} == written


def test_functions_that_share_a_name_with_a_folder_are_both() -> None:
    from spk2loihi.export.fold import fold

    for function in (s2l.energy, s2l.export, s2l.fit, s2l.sweep):
        assert callable(function) and isinstance(function, ModuleType)
    assert callable(fold)
    assert "out" in inspect.signature(s2l.export).parameters
    assert set(s2l.__all__) <= set(dir(s2l))
    with pytest.raises(AttributeError, match="no attribute 'simulator'"):
        s2l.simulator  # noqa: B018


def test_a_run_is_what_the_backend_recorded(net: s2l.SpikingNetwork) -> None:
    stepped, counted = (net.run(TEXTS, backend=name) for name in ("stepped", "emulator"))
    assert net.populations == list(counted.spikes)
    for name, train in counted.spikes.items():
        assert np.array_equal(train, stepped.spikes[name]), name
    lengths = [len(tokens) for tokens in counted.tokens]
    assert not counted.spikes["layer.0.query"][0, :, lengths[0] :].any(), "padding fired"
    assert counted.tokens[0][0] == "[CLS]" and counted.tokens[0][-1] == "[SEP]"
    rates = counted.rates("layer.0.query")
    assert np.abs(rates).max() <= 1 and np.array_equal(rates * 8, np.rint(rates * 8))
    assert counted.predictions == net.classify(TEXTS)
    assert len(counted.plot_raster("layer.0.score", sample=1).axes) == 1
    for wrong in (lambda: counted.plot_raster("layer.9.query"), lambda: counted.plot_raster("pooler", sample=2)):
        with pytest.raises(s2l.UserError):
            wrong()


def test_schedules_and_encodings(net: s2l.SpikingNetwork) -> None:
    windowed = net.classify(TEXTS)
    assert [p.logits for p in net.classify(TEXTS, schedule="settling")] == [p.logits for p in windowed]
    assert [p.logits for p in net.classify(TEXTS, encoding="graded")] == [p.logits for p in windowed]
    pipelined = net.run(TEXTS, schedule="pipelined", timesteps=20)
    assert pipelined.spikes["layer.0.query"].shape[1] == pipelined.window == 20
    with pytest.raises(s2l.UserError, match="`encoding` rate"):
        net.classify(TEXTS, schedule="pipelined", encoding="graded")
    with pytest.raises(s2l.UserError, match="more than the limit of 16"):
        net.classify("good " * 40)


def test_a_student_is_exported_from_a_file_a_folder_or_memory(
    tiny_task: TinyTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = s2l.train(out=None, teacher=str(tiny_task.tuned), **small(tiny_task))
    assert result.path is None and not list(tmp_path.iterdir()), "a training in memory left files"
    assert result.score == result.metrics["score"] > 0.8
    assert len(repr(result)) < 200, "the text holds the tokenizer, or paths"
    result.save_pretrained(tmp_path / "student")
    written = s2l.train(teacher=str(tiny_task.tuned), **small(tiny_task))
    memory, folder, file = (s2l.export(source) for source in (result, tmp_path / "student", written.path))
    assert memory.path is None and same_integers(memory.network, folder.network)
    assert same_integers(memory.network, file.network)
    assert memory.classify(TEXTS) == folder.classify(TEXTS)
    kept = memory.save(tmp_path / "kept.net")
    assert kept.sha256 and s2l.load(kept.path).classify(TEXTS) == memory.classify(TEXTS)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "task.json", "model.safetensors"])
def test_folders_that_hold_no_student(missing: str, model_file: Path, tmp_path: Path) -> None:
    from spk2loihi.training.pretrained import save_pretrained

    save_pretrained(load_checkpoint(model_file), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(s2l.UserError, match=r"has no|cannot be read"):
        s2l.export(tmp_path)


def test_a_folder_of_another_model_is_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    for file in tiny_task.tuned.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "task.json").write_text("{}")
    with pytest.raises(s2l.UserError, match="holds a bert model"):
        s2l.export(tmp_path)


def test_a_teacher_in_memory_is_the_one_on_disk(tiny_task: TinyTask) -> None:
    from transformers import AutoTokenizer, BertForSequenceClassification, BertModel

    model = BertForSequenceClassification.from_pretrained(tiny_task.tuned)
    tokenizer = AutoTokenizer.from_pretrained(tiny_task.tuned)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    memory = s2l.train(out=None, teacher=model, tokenizer=tokenizer, **small(tiny_task))
    disk = s2l.train(out=None, teacher=str(tiny_task.tuned), **small(tiny_task))
    weights = memory.checkpoint.model.state_dict(), disk.checkpoint.model.state_dict()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    assert all((before[name] == tensor).all() for name, tensor in model.state_dict().items()), "the model has changed"
    assert not any(module._forward_hooks for module in model.modules())
    for wrong, words in (
        ({"teacher": BertModel.from_pretrained(tiny_task.tuned), "tokenizer": tokenizer}, "is a BertModel"),
        ({"teacher": model}, "`tokenizer` is a NoneType"),
    ):
        with pytest.raises(s2l.UserError, match=words):
            s2l.train(out=None, **wrong, **small(tiny_task))


def test_wrong_options_of_a_training(tiny_task: TinyTask) -> None:
    with pytest.raises(s2l.UserError, match=r"no option 'timestep': did you mean `timesteps`\?"):
        s2l.train(out=None, teacher=str(tiny_task.tuned), timestep=8)
    with pytest.raises(s2l.UserError, match="`bits` is 9"):
        s2l.train(out=None, teacher=str(tiny_task.tuned), bits=9, train_file=tiny_task.train_file)


def test_functions_and_commands_give_the_same_numbers(
    net: s2l.SpikingNetwork, network_file: Path, tmp_path: Path
) -> None:
    def numbers(*arguments: object) -> Any:
        assert spk2loihi(*arguments, "--json", tmp_path / "numbers.json").code == 0
        return json.loads((tmp_path / "numbers.json").read_text())

    timed = ("wall_s", "compile_s", "versions", "network")

    def plain(record: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps({k: v for k, v in record.items() if k not in timed}))

    assert plain(s2l.simulate(net).to_dict()) == plain(numbers("simulate", network_file))
    texts = [option for text in TEXTS for option in ("--text", text)]
    assert plain(s2l.simulate(net, TEXTS).to_dict()) == plain(numbers("simulate", network_file, *texts))
    both = ("emulator", "stepped")
    backends = [option for name in both for option in ("--backend", name)]
    assert plain(s2l.verify(net, both).to_dict()) == plain(numbers("verify", network_file, *backends))
    assert plain(s2l.fit(net).to_dict()) == plain(numbers("fit", network_file))
    assert plain(s2l.fit(layers=2, hidden=64, heads=4).to_dict()) == plain(
        numbers("fit", "--layers", 2, "--hidden", 64, "--heads", 4)
    )
    assert plain(net.to_dict()) == plain(numbers("inspect", network_file))
    ours = s2l.energy(net, samples=8).to_dict()
    theirs = numbers("energy", network_file, "--samples", 8, "-o", tmp_path / "energy.html")
    assert {**ours, "provenance": None} == {**theirs, "provenance": None}


def test_arrays_through_a_netx_file(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).integers(-60, 60, (3, 4))
    file = write_netx(tmp_path / "dense.net", inputs(4), dense(weight))
    spikes = (np.random.default_rng(1).random((2, 4, 9)) < 0.5).astype(np.int32)
    result = s2l.run(file, spikes, record=["all"])
    assert result.output.shape == (2, 3, 9)
    assert np.array_equal(s2l.run(file, spikes[0]).output, result.output[0])
    result.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as kept:
        assert np.array_equal(kept["out"], result.output)


def test_a_sweep_over_networks(network_file: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    report = s2l.sweep([network_file], out=tmp_path / "sweep", samples=8, report=lines.append)
    assert {point["encoding"] for point in report.points} == {"rate", "graded"}
    assert len(lines) == 2
    assert {p.name for p in (tmp_path / "sweep").iterdir()} == {"networks", "sweep.html", "sweep.json"}


def test_results_show_themselves_in_a_notebook(net: s2l.SpikingNetwork) -> None:
    shown = (
        net, net.run(TEXTS), s2l.simulate(net, samples=4), s2l.fit(net), s2l.energy(net, samples=4),
    )  # fmt: skip
    for result in shown:
        assert result._repr_html_().startswith("<"), type(result)
        json.dumps(result.to_dict())
    assert "synapses per token" in repr(net)
    assert len(repr(s2l.simulate(net, samples=4))) < 400, "a notebook keeps this text beside the table"
    assert "<script>" not in net.run("<script>good</script>")._repr_html_()
