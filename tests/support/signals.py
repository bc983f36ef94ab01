"""Commands that are hit by signals, and what they leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_GONE_SECONDS = 5.0  # in which every process has ended
_DEFAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SESSION = 3  # field of /proc/PID/stat, after the name


@dataclass
class Outcome:
    """How a command ended after a signal.

    Attributes:
        code: of the exit; None: it hung.
        seconds: from the signal to the end.
        processes: how many there were when it came.
        left: processes alive five seconds after the end.
        shared: names in /dev/shm that were not there before, and that no living process uses.
    """

    code: int | None
    seconds: float
    processes: int
    left: int
    shared: set[str]
    stderr: str


class _Process(Protocol):
    pid: int

    def poll(self) -> int | None: ...


class Command:
    """A program in a session of its own, by which its processes are known."""

    def __init__(self, process: _Process, stderr: Path) -> None:
        self.process = process
        self._stderr = stderr
        self._shared = _shared()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def alive(self) -> list[int]:
        """Processes of the command, itself included."""
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and self._is_mine(name)]

    def wait_until(self, condition: Callable[[Command], bool], seconds: float = 120) -> None:
        """Or until its end."""
        deadline = time.monotonic() + seconds
        while not condition(self) and self.process.poll() is None:
            assert time.monotonic() < deadline, "it never came so far"
            time.sleep(0.01)

    def wait(self, seconds: float) -> int | None:
        """Exit code; None if it is not there in time."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.process.poll()

    def hit(self, number: int, *, all_processes: bool = False, times: int = 1, patience: float = 15) -> Outcome:
        """Send a signal, to the process or, as a terminal does, to all of them, and see what comes."""
        assert self.process.poll() is None, f"it ended before the signal: {self.stderr}"
        processes, started = len(self.alive()), time.monotonic()
        for _ in range(times):
            with contextlib.suppress(ProcessLookupError):  # the first may have been enough
                (os.killpg if all_processes else os.kill)(self.process.pid, number)
            time.sleep(0.02)
        code = self.wait(patience)
        ended = time.monotonic()
        while (self.alive() or self._new_shared()) and time.monotonic() < ended + _GONE_SECONDS:
            time.sleep(0.05)
        left, shared = self.alive(), self._new_shared()
        for process in left:
            os.kill(process, signal.SIGKILL)
        self.wait(10)
        return Outcome(code, ended - started, processes, len(left), shared, self.stderr)

    def _new_shared(self) -> set[str]:
        """But for what programs beside this one have made."""
        return {name for name in _shared() - self._shared if not _in_use(name)}

    def _is_mine(self, pid: str) -> bool:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        return int(fields[_SESSION]) == self.process.pid and fields[0] != "Z"


def start(arguments: Sequence[object], folder: Path) -> Command:
    stderr = folder / f"stderr-{uuid.uuid4().hex}"
    with stderr.open("wb") as file:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            preexec_fn=_default_signals,
        )
    return Command(process, stderr)


def spk2loihi(folder: Path, *arguments: object) -> Command:
    return start([sys.executable, "-m", "spk2loihi", *arguments], folder)


def script(folder: Path, text: str) -> Command:
    return start([sys.executable, "-c", text], folder)


_STABLE = """
import json, os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
import spk2loihi.api, spk2loihi.analysis.spiking_network, spk2loihi.netx, spk2loihi.simulators.run_examples
from spk2loihi.__main__ import main
from spk2loihi.cli import simulate, run, verify, main as _
from spk2loihi.simulators.lava.importing import import_lava
import_lava()
import spk2loihi.simulators.lava.running, lava.proc.io.sink, lava.proc.io.source
for line in sys.stdin:
    folder, stderr, arguments = json.loads(line)
    pid = os.fork()
    if pid == 0:
        break
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    os._exit(0)
os.setsid()
os.chdir(folder)
for file, mode, number in ((os.devnull, os.O_RDONLY, 0), (os.devnull, os.O_WRONLY, 1), (stderr, os.O_WRONLY, 2)):
    os.dup2(os.open(file, mode), number)
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[1:] = arguments
main()
"""


class Stable:
    """Commands that start at once: forks of a process which has imported everything, torch and Lava too."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            [sys.executable, "-c", _STABLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def spk2loihi(self, folder: Path, *arguments: object) -> Command:
        stderr = folder / f"stderr-{uuid.uuid4().hex}"
        stderr.touch()
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        self._keeper.stdin.write(json.dumps([str(folder), str(stderr), [str(a) for a in arguments]]) + "\n")
        self._keeper.stdin.flush()
        command = Command(_Forked(int(self._keeper.stdout.readline()), self._keeper), stderr)
        command.wait_until(lambda c: bool(c.alive()))  # in its own session
        return command

    def close(self) -> None:
        self._keeper.communicate()


class _Forked:
    """A child of the keeper."""

    def __init__(self, pid: int, keeper: subprocess.Popen[str]) -> None:
        self.pid = pid
        self._keeper = keeper
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None and not self._running():
            assert self._keeper.stdout is not None
            self._code = int(self._keeper.stdout.readline())
        return self._code

    def _running(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False


def assert_interrupted(outcome: Outcome, line: str = "interrupted") -> None:
    """Exit code 130 within ten seconds, one line, nothing left."""
    assert outcome.code == 130, outcome
    assert outcome.seconds < 10, outcome
    assert outcome.stderr.splitlines()[-1].startswith(line) and "Traceback" not in outcome.stderr, outcome
    assert_nothing_left(outcome)


def assert_nothing_left(outcome: Outcome) -> None:
    assert outcome.left == 0, outcome
    assert not outcome.shared, outcome


def _default_signals() -> None:
    """Whatever the process that runs the tests does with them."""
    for number in _DEFAULT:
        signal.signal(number, signal.SIG_DFL)


def _shared() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


def _in_use(name: str) -> bool:
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            if f"/dev/shm/{name}" in maps.read_text():
                return True
    return False
