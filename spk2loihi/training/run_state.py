"""The state of a training run on disk: where `--resume` continues, to the same final weights."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from spk2loihi.errors import UserError
from spk2loihi.files import write_atomically
from spk2loihi.ranges import RANGES, shown
from spk2loihi.training.tensor_file import load_tensors


@dataclass(frozen=True)
class Interval:
    """How often to checkpoint within an epoch: every so many steps, or seconds."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Interval:
        """``500`` are steps, ``90s`` seconds, ``10m`` minutes; UserError for anything else."""
        unit = {"s": 1.0, "m": 60.0}.get(text[-1:])
        try:
            interval = cls(steps=int(text)) if unit is None else cls(seconds=float(text[:-1]) * unit)
        except ValueError:
            interval = cls()
        fits = (interval.steps or 0) in RANGES["checkpoint_steps"]
        if not fits and (interval.seconds or 0) not in RANGES["checkpoint_seconds"]:
            raise UserError(
                f"`checkpoint_every` is {shown(text)}, but it is a number of steps above 0, of seconds or of "
                "minutes (at most 10**9 of either): e.g. 500, 90s or 10m"
            )
        return interval

    def due(self, step: int, last: float) -> bool:
        """After ``step`` steps, the last checkpoint written at ``last`` of `time.monotonic`."""
        if self.steps is not None:
            return step % self.steps == 0
        return self.seconds is not None and time.monotonic() - last >= self.seconds


@dataclass
class RunState:
    """One file: the phases that are finished, with their results, and the loop of the one that is not.

    A phase is the fine-tuning of the teacher, or a stage of distillation. The file of a phase that has just ended still
    is the last one of its loop, from which nothing remains to be done; so there is no moment without a valid file.

    Attributes:
        fingerprint: what the weights depend on, by name; a run continues only where every part is the same.
        finished: results of finished phases by name.
        phase, loop: the phase the run continues in, and what its loop had saved; None at the start.
    """

    path: Path
    fingerprint: dict[str, str]
    finished: dict[str, dict[str, Any]] = field(default_factory=dict)
    phase: str | None = None
    loop: dict[str, Any] | None = None

    @classmethod
    def start(cls, path: Path, fingerprint: dict[str, str], resume: bool) -> RunState:
        """A new run, or the one ``path`` holds.

        Raises:
            UserError: the file is damaged, or of a run with other settings, data or teacher.
        """
        state = cls(path, fingerprint)
        if not resume or not path.is_file():
            return state
        content = load_tensors(path, "resume file")
        theirs = content.get("fingerprint")
        known = theirs if isinstance(theirs, dict) else {}
        changed = [name for name in fingerprint if known.get(name) != fingerprint[name]]
        if changed:
            raise UserError(
                f"resume file {path} was made with other settings or data ({', '.join(changed)}): give the same "
                "options as before, or leave `resume` out to start anew"
            )
        finished, phase, loop = (content.get(name) for name in ("finished", "phase", "loop"))
        if not isinstance(finished, dict) or not isinstance(phase, (str, type(None))):
            raise UserError(f"resume file {path} is incomplete: leave `resume` out to start anew")
        state.finished, state.phase, state.loop = finished, phase, loop if isinstance(loop, dict) else None
        return state

    def of(self, phase: str) -> dict[str, Any] | None:
        """What the loop of ``phase`` saved, or None when it has yet to start."""
        return self.loop if self.phase == phase else None

    def save(self, phase: str | None, loop: dict[str, Any] | None) -> None:
        content = {
            "fingerprint": self.fingerprint,
            "finished": self.finished,
            "phase": phase,
            "loop": loop,
        }
        write_atomically(self.path, lambda sink: torch.save(content, cast(Any, sink)))

    def finish(self, phase: str, result: dict[str, Any]) -> None:
        """Note a phase's result; the next `save` writes it."""
        self.finished[phase] = result
        self.phase = self.loop = None
