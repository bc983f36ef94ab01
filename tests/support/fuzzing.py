"""Commands on damaged input, in a process of their own: no traceback, no hang, no flood of memory."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10
MIB = 1024
_SLOW_MACHINE = 6  # the limit is of an idle core; tests may share theirs


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    error: str
    problem: str  # empty, or what must not happen

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
                cwd=self.folder,
            )  # fmt: skip
            self._idle_mib = int(self._ask(["--version"])["mib"])
        answer = self._ask([str(each) for each in arguments])
        if "problem" in answer:
            self.stop()
            return Ending(-1, "", answer["problem"])
        problem = answer["traceback"]
        if answer["mib"] > self._idle_mib + MIB:
            problem = f"{answer['mib']} MiB of memory"
            self.stop()
        if answer["code"] not in (0, 1, 2):
            problem = f"exit code {answer['code']}"
        if "Traceback" in answer["error"]:
            problem = answer["error"]
        if answer["code"] == 2 and "\x1b" in answer["error"]:
            problem = f"an escape sequence reaches the terminal: {answer['error']!r}"
        return Ending(answer["code"], answer["error"], problem)

    def _ask(self, arguments: list[str]) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS * _SLOW_MACHINE)
        if not ready:
            return {"problem": f"no answer after {SECONDS * _SLOW_MACHINE} s"}
        line = process.stdout.readline()
        return json.loads(line) if line else {"problem": f"the process died ({process.wait()})"}
