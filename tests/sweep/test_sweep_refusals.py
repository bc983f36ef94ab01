"""Wrong options of a sweep: one sentence, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from support.tiny_sweep import sweep
from support.tiny_task import TinyTask, spk2loihi


def times(folder: Path) -> dict[Path, int]:
    """When each file was last written."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timesteps", "4,x"], r"--timesteps is '4,x', but it is whole numbers separated by commas"),
        (["--bits", "8,nan"], r"--bits is '8,nan', but it is numbers"),
        (["--timesteps", "4,200"], r"timesteps is 200, but it is a whole number from 1 to 127"),
        (["--bits", "8,9"], r"bits is 9, but a weight has one of 1, 1\.58, 2"),
        (["--rate-penalty", "0,-1"], r"--rate-penalty is -1"),
        (["--encoding", "rate,morse"], r"encoding 'morse' is not known: choose rate or graded"),
        (["--schedule", "pipelined"], r"schedule 'pipelined' is not known: choose windowed or settling"),
        (["--schedule", "windowed,settling", "--encoding", "graded"], r"never graded .*: add rate to --encoding"),
        (["--lr", "7"], r"lr is 7"),
        pytest.param(
            ["--precision", "fp16"],
            r"precision is fp16, but there is no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
        (["--checkpoint-every", "soon"], r"checkpoint-every is 'soon'"),
        (["--preset", "neuro"], r"preset 'neuro' is not known"),
        (["--from-networks"], r"--from-networks needs networks, and 0 are named"),
        (["absent.net"], r"--timesteps is for training"),
        (["--seed", "1"], r"teacher .* was made with other settings or data \(seed\)"),
        (["--temperature", "3"], r"T2-8bit-penalty0/model\.net was made with other settings or data \(losses\)"),
        (["--json", "sweep/sweep.json"], r"sweep/sweep\.json would be written twice"),
    ],
)
def test_wrong_input_is_one_sentence(
    arguments: list[str], words: str, place: Path, tiny_task: TinyTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    before = times(place.parent)
    outcome = sweep(tiny_task, Path("sweep"), *arguments)
    assert outcome.code == 2, outcome
    assert len(outcome.err.splitlines()) == 1
    assert re.search(words, outcome.err), outcome.err
    assert times(place.parent) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.net"], r"network file absent\.net does not exist"),
        (["absent.net", "--lr", "1e-4"], r"--lr is for training, but networks are named"),
        (["a.net", "b.net", "a.net"], r"network a\.net is named twice"),
    ],
)
def test_wrong_networks(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = spk2loihi("sweep", *arguments)
    assert outcome.code == 2 and re.search(words, outcome.err), outcome
    assert list(tmp_path.iterdir()) == []
