"""A sweep of two networks over the tiny task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.tiny_task import Outcome, TinyTask, spk2loihi

SMALL = ["--max-tokens", "16", "--batch-size", "10", "--lr", "1e-3", "--steps", "3", "--teacher-epochs", "1"]
POINTS = ["--timesteps", "2,4", "--bits", "8"]


def sweep(task: TinyTask, out: Path, *arguments: object) -> Outcome:
    teacher = ["--teacher", str(task.teacher)]
    return spk2loihi("sweep", *task.data_options, *teacher, *SMALL, *POINTS, "-o", out, *arguments)


def points_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "sweep.json").read_text())["points"]
