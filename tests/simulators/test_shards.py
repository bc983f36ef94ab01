"""Shards of sentences on a cluster: the numbers of one process, and none is simulated twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi.errors import UserError
from spk2loihi.simulators import shards
from support.in_process_cluster import in_process_cluster
from support.tiny_task import spk2loihi

SECONDS = ("wall_s", "compile_s")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with in_process_cluster() as address:
        yield address


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sentences of every shard that is simulated from now on, seven a shard."""
    real, seen = shards.simulate, []

    def simulate(backend: Any, encoded: list[Any], *rest: Any) -> Any:
        seen.append(len(encoded))
        return real(backend, encoded, *rest)

    monkeypatch.setattr(shards, "simulate", simulate)
    monkeypatch.setattr(shards, "SENTENCES", 7)
    return seen


@pytest.mark.parametrize("schedule", ["windowed", "settling"])
def test_shards_give_the_numbers_of_one_process(
    schedule: Any, network_file: Path, scheduler: str, ran: list[int]
) -> None:
    whole = s2l.simulate(network_file, schedule=schedule)
    spread = s2l.simulate(network_file, schedule=schedule, scheduler=scheduler)
    assert ran == [7] * 8 + [4]
    numbers = [{k: v for k, v in run.to_dict().items() if k not in SECONDS} for run in (whole, spread)]
    assert json.dumps(numbers[0]) == json.dumps(numbers[1])
    assert np.array_equal(whole.logits, spread.logits)
    assert whole.stages == spread.stages


def test_a_network_in_memory_is_sent_whole(network_file: Path, scheduler: str, ran: list[int]) -> None:
    net = s2l.load(network_file)
    memory = type(net)(net.network)
    assert np.array_equal(
        s2l.simulate(memory, scheduler=scheduler, samples=10).logits, s2l.simulate(net, samples=10).logits
    )


def test_finished_shards_are_not_simulated_again(
    network_file: Path, scheduler: str, ran: list[int], tmp_path: Path
) -> None:
    kept, said = tmp_path / "kept", []
    before = s2l.simulate(network_file, scheduler=scheduler, kept=kept)
    files = sorted(kept.iterdir())
    assert len(files) == len(ran) == 9
    files[0].unlink()
    files[1].write_text(files[1].read_text().replace('"latency_total":', '"latency_total": 1, "x":'))
    ran.clear()
    after = s2l.simulate(network_file, scheduler=scheduler, kept=kept, report=said.append)
    assert len(ran) == 2
    assert said == [f"7 of 9 shards are in {kept} already"]
    assert {**before.to_dict(), "wall_s": 0, "compile_s": 0} == {**after.to_dict(), "wall_s": 0, "compile_s": 0}
    ran.clear()
    s2l.simulate(network_file, scheduler=scheduler, kept=kept, encoding="graded")  # another run, other shards
    assert len(ran) == 9


def test_the_command_keeps_shards_until_its_numbers_are_written(
    network_file: Path, scheduler: str, ran: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "simulate.json"
    with monkeypatch.context() as patch:
        patch.setattr(shards.Simulation, "joined", _stop)
        with pytest.raises(KeyError):
            spk2loihi("simulate", network_file, "--scheduler", scheduler, "--json", out)
    assert not out.exists() and len(list((tmp_path / "simulate.json.shards").iterdir())) == 9
    ran.clear()
    outcome = spk2loihi("simulate", network_file, "--scheduler", scheduler, "--json", out)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"9 of 9 shards are in {out}.shards already\n")
    assert ran == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["simulate.json", "simulate.json.run.yaml"]
    alone = spk2loihi("simulate", network_file, "--json", tmp_path / "alone.json")
    assert alone.code == 0, alone.err
    one, many = (json.loads((tmp_path / name).read_text()) for name in ("alone.json", "simulate.json"))
    assert {**one, "wall_s": 0, "compile_s": 0} == {**many, "wall_s": 0, "compile_s": 0}


def _stop(*_: Any) -> None:
    raise KeyError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"texts": ["good"]}, "`scheduler` is for held-out data, but 1 texts are given"),
        ({"backend": "cpu", "samples": 2}, "`backend` cpu has processes of its own"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    options: dict[str, Any], words: str, network_file: Path, scheduler: str
) -> None:
    if options.get("backend") == "cpu":
        pytest.importorskip("lava.magma")
    with pytest.raises(UserError, match=words):
        s2l.simulate(network_file, scheduler=scheduler, **options)


def test_a_shard_of_tags_is_kept_whole(tmp_path: Path) -> None:
    """Readouts of three axes, and a spike count beyond 53 bits."""
    part = shards.Simulation(
        "emulator", "windowed", "rate", 8, np.arange(24).reshape(2, 3, 4), [], {"a": 2**53 + 1}, 9, 18, 0.5
    )
    shards._keep(tmp_path, {"a": 1}, part)
    kept = shards._kept(tmp_path, {"a": 1})
    assert kept is not None and np.array_equal(kept.logits, part.logits)
    assert {**vars(kept), "logits": 0} == {**vars(part), "logits": 0}
    assert shards._kept(tmp_path, {"a": 2}) is None


@pytest.mark.slow
@pytest.mark.alone
def test_a_killed_worker_changes_nothing(network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two processes, with SIGKILL, when the first shard is done; another takes over its shards."""
    whole = s2l.simulate(network_file)
    monkeypatch.setattr(shards, "SENTENCES", 2)
    keep, killed = shards._keep, []

    def kill(*arguments: Any) -> None:
        keep(*arguments)
        workers = multiprocessing.active_children()
        if not killed:
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "_keep", kill)
    spread = s2l.simulate(network_file, workers=2, kept=tmp_path / "kept")
    assert killed
    assert {**whole.to_dict(), "wall_s": 0, "compile_s": 0} == {**spread.to_dict(), "wall_s": 0, "compile_s": 0}
    assert np.array_equal(whole.logits, spread.logits)
    shutil.rmtree(tmp_path / "kept")
    assert multiprocessing.active_children() == []
