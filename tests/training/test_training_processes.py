"""Two processes that train as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.processes import share
from support.tiny_task import TinyTask

#: Largest difference of a weight after 4 steps; float sums in another order gave 1e-7 or less. Over more steps they can
#: move a spike count across a rounding edge, and two trainings go apart (seen after 6 steps, by 3.5e-5).
TOLERANCE = 1e-5


@pytest.mark.parametrize(("rows", "processes"), [(12, 2), (9, 2), (5, 4), (1, 3), (8, 8), (6, 4)])
def test_shares_are_equal_and_means_stay(rows: int, processes: int) -> None:
    index = np.arange(100, 100 + rows)
    shares = [share(index, process, processes) for process in range(processes)]
    assert len({len(one) for one in shares}) == 1
    counts = np.unique(np.concatenate(shares), return_counts=True)
    assert counts[0].tolist() == index.tolist()
    assert len(set(counts[1].tolist())) == 1
    if rows % processes == 0:
        assert counts[1].tolist() == [1] * rows


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["spikingbert", "neurocore"])
def test_two_processes_give_the_weights_of_one(preset: str, tiny_task: TinyTask, tmp_path: Path) -> None:
    """`accelerate launch`, two CPU processes joined by gloo, each with half of every batch."""
    train = [
        "-m", "spk2loihi", "train", *tiny_task.data_options, "--teacher", tiny_task.tuned, "--timesteps", 8,
        "--max-tokens", 16, "--batch-size", 12, "--lr", 1e-3, "--steps", 4, "--seed", 3, "--precision", "no",
        "--preset", preset, "-o",
    ]  # fmt: skip
    launch = [
        "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1,
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0,
    ]  # fmt: skip
    environment = {
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    for options, name in (([], "one"), (launch, "two")):
        command = [sys.executable, *options, *train, tmp_path / name / "model.pt"]
        subprocess.run([str(part) for part in command], env=environment, check=True, timeout=600)
    one, two = (load_checkpoint(tmp_path / name / "model.pt") for name in ("one", "two"))
    assert (one.training["manifest"]["processes"], two.training["manifest"]["processes"]) == (1, 2)
    theirs = two.model.state_dict()
    differences = [(w - theirs[n]).abs().max() for n, w in one.model.state_dict().items() if w.numel()]
    print(f"largest difference {max(differences):.2e}")
    assert max(differences) < TOLERANCE
    for a, b in zip(one.training["epochs"], two.training["epochs"], strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-6)
        assert b["score"] == a["score"]
    moved = (one.model.classifier.weight - load_start(tiny_task)).abs().max()
    assert moved > 100 * TOLERANCE  # training did something


def load_start(task: TinyTask) -> torch.Tensor:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification.from_pretrained(task.tuned).classifier.weight.detach()
