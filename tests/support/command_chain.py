"""Every command once on the tiny task, and commands that are refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from support.tiny_task import Outcome, spk2loihi

SMALL = ["--timesteps", "8", "--max-tokens", "16", "--batch-size", "10", "--lr", "1e-3", "--epochs", "1"]


@dataclass(frozen=True)
class Chain:
    """The folder the chain ran in, and what each command said."""

    folder: Path
    outcomes: dict[str, Outcome]

    def json(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())


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


def numbers(folder: Path, *arguments: object) -> dict:
    """What a command that works writes with ``--json``; the file does not stay in the folder."""
    place = folder / "numbers.json"
    done = spk2loihi(*arguments, "--json", place)
    assert done.code == 0, done.err
    found: dict = json.loads(place.read_text())
    place.unlink()
    return found
