"""Two processes that simulate as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spk2loihi.data import Encoded
from spk2loihi.network.network import Network
from spk2loihi.simulators import launched as processes
from spk2loihi.simulators import simulate
from spk2loihi.simulators.emulator.emulator import Emulator
from support.tiny_task import TinyTask, spk2loihi


class State:
    """What `accelerate` says of process `process_index` of `num_processes`."""

    def __init__(self, process_index: int, num_processes: int) -> None:
        self.process_index, self.num_processes = process_index, num_processes


@pytest.mark.parametrize("count", [1, 2, 3, 11, 20])
def test_shares_give_the_whole(network: Network, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process's part in turn, then the gathered whole; with 20, some have nothing to do."""
    rng = np.random.default_rng(0)
    encoded = [Encoded(rng.integers(1, 50, n).astype(np.int32), np.zeros(n, np.uint8)) for n in rng.integers(1, 17, 11)]
    backend = Emulator(network)
    alone = simulate(backend, encoded, 4)
    monkeypatch.setenv("WORLD_SIZE", str(max(count, 2)))
    parts: list[object] = []

    def gather(part: list[object]) -> list[object]:
        parts.extend(part)
        raise StopIteration

    advanced = 0

    def advance(n: int) -> None:
        nonlocal advanced
        advanced += n

    monkeypatch.setattr("accelerate.utils.gather_object", gather)
    for process in range(count):
        monkeypatch.setattr("accelerate.PartialState", lambda cpu, process=process: State(process, count))
        with pytest.raises(StopIteration):
            processes.simulate_together(backend, encoded, 4, advance)
    assert len(parts) == count
    assert advanced >= len(encoded)
    monkeypatch.setattr("accelerate.utils.gather_object", lambda part: parts)
    together = processes.simulate_together(backend, encoded, 4)
    assert np.array_equal(together.logits, alone.logits)
    assert together.stages == alone.stages
    assert together.spikes == alone.spikes


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tiny_task: TinyTask, tmp_path: Path) -> None:
    """`accelerate launch`, two CPU processes joined by gloo, each with half of the sentences."""
    model, network = tmp_path / "model.pt", tmp_path / "model.net"
    train = spk2loihi("train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--epochs", 1, "-o", model)
    assert train.code == 0, train.err
    assert spk2loihi("export", model, "-o", network).code == 0
    launch = [
        "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1,
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0,
    ]  # fmt: skip
    environment = {
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    numbers, printed = {}, {}
    for options, name in (([], "one"), (launch, "two")):
        out = tmp_path / f"{name}.json"
        command = [sys.executable, *options, "-m", "spk2loihi", "simulate", network, "--json", out]
        done = subprocess.run(
            [str(part) for part in command], env=environment, check=True, timeout=600, capture_output=True, text=True
        )
        numbers[name], printed[name] = json.loads(out.read_text()), done.stdout.count(" sentences")
        del numbers[name]["wall_s"]
    assert numbers["one"] == numbers["two"]
    assert numbers["two"]["samples"] == 60
    assert printed["two"] == printed["one"]  # one process prints
