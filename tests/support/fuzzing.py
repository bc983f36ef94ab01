"""Commands on damaged input, in a process of their own: no traceback, no hang, no flood of memory."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10  # of processor time that a command may take
MIB = 1024
_WALL_SECONDS = 120  # tests share their core with others


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    error: str
    problem: str  # empty, or what must not happen
    seconds: float = 0.0  # of processor time
    mib: int = 0  # the most memory that its process has ever taken, beyond what it takes when idle

    @property
    def refused(self) -> bool:
        return self.code == 2


class Worker:
    """Runs commands; starts again after a crash or a hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._idle_mib = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, arguments: Sequence[object]) -> Ending:
        """Exit code, standard error, and what went wrong if anything did."""
        if self._process is None:
            script = Path(__file__).with_name("fuzz_worker.py")
            log = (self.folder / "worker.log").open("a")
            self._process = subprocess.Popen(
                [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                cwd=self.folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            self._idle_mib = int(self._ask(["--version"], 10 * _WALL_SECONDS)["mib"])  # and time for its imports
        answer = self._ask([str(each) for each in arguments])
        if answer.get("seconds", 0) > SECONDS:  # perhaps it compiled, which it does once
            answer = self._ask([str(each) for each in arguments])
        if "problem" in answer:
            self.stop()
            return Ending(-1, "", answer["problem"])
        problem, mib, seconds = answer["traceback"], answer["mib"] - self._idle_mib, answer["seconds"]
        if mib > MIB:
            problem = f"{mib} MiB of memory"
            self.stop()
        if seconds > SECONDS:
            problem = f"{seconds:.1f} s of processor time"
        if answer["code"] not in (0, 1, 2):
            problem = f"exit code {answer['code']}"
        if "Traceback" in answer["error"]:
            problem = answer["error"]
        if answer["code"] == 2 and "\x1b" in answer["error"]:
            problem = f"an escape sequence reaches the terminal: {answer['error']!r}"
        return Ending(answer["code"], answer["error"], problem, seconds, mib)

    def _ask(self, arguments: list[str], patience: float = _WALL_SECONDS) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], patience)
        if not ready:
            return {"problem": f"no answer after {patience} s"}
        line = process.stdout.readline()
        return json.loads(line) if line else {"problem": f"the process died ({process.wait()})"}
