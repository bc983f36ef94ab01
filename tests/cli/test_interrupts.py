"""Signals end the program in good order, wherever they come."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.signals import assert_interrupted, script, spk2loihi

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
pytestmark = [needs_proc, pytest.mark.alone]

READY = """
import os, signal, sys, threading, time
from spk2loihi.cli import interrupts
interrupts.install()
def ready(): open("ready", "w").close()
"""


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize(
    "work",
    [
        pytest.param("ready(); time.sleep(60)", id="waiting"),
        pytest.param("ready()\nwhile True: pass", id="computing"),
        pytest.param("ready(); threading.Event().wait()", id="waiting for a thread"),
        pytest.param("ready()\ntry: time.sleep(60)\nfinally: time.sleep(1)", id="cleaning up"),
        pytest.param(
            "class Lost:\n def __del__(self): ready(); time.sleep(2)\nLost()\ntime.sleep(60)", id="in a destructor"
        ),
        pytest.param(
            "interrupts._GRACE_SECONDS = 1; ready()\ntry: time.sleep(60)\nexcept BaseException: time.sleep(60)",
            id="swallowed",
        ),
        pytest.param("ready()\ntry: time.sleep(60)\nexcept BaseException: raise ValueError", id="another error"),
        pytest.param("ready()\ntry: time.sleep(60)\nfinally: sys.exit(0)", id="exit code 0"),
        pytest.param("threading.Thread(target=time.sleep, args=(60,)).start(); ready()", id="at the end"),
    ],
)
def test_a_signal_is_never_lost(number: int, work: str, tmp_path: Path) -> None:
    command = script(tmp_path, READY + work)
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    outcome = command.hit(number, times=random.choice((1, 2)))
    assert_interrupted(outcome)
    assert outcome.stderr == "interrupted\n"


def test_a_library_that_does_not_return_is_left(tmp_path: Path) -> None:
    """The main thread, which waits for a lock of C's, never sees the signal."""
    deadlock = "lock = ctypes.create_string_buffer(64); libc.pthread_mutex_lock(lock); libc.pthread_mutex_lock(lock)"
    command = script(tmp_path, f"{READY}import ctypes; libc = ctypes.CDLL(None); ready(); {deadlock}")
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    assert_interrupted(command.hit(signal.SIGTERM))


def test_remedy_is_told(tmp_path: Path) -> None:
    command = script(tmp_path, READY + "interrupts.to_go_on(lambda: 'eat'); ready(); time.sleep(60)")
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    assert command.hit(signal.SIGINT).stderr == "interrupted: eat\n"


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    """As nohup has it."""
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    command = script(tmp_path, f"{ignored}\n{READY}interrupts.ends_with(7); ready(); time.sleep(1); sys.exit(7)")
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    assert command.hit(signal.SIGHUP).code == 7


def test_a_process_follows_its_launcher(tmp_path: Path) -> None:
    """accelerate launch sets LOCAL_RANK; it may be killed without a word to the processes it started."""
    inner = READY + "ready(); time.sleep(60)"
    launch = f"subprocess.run([sys.executable, '-c', {inner!r}], env={{**os.environ, 'LOCAL_RANK': '0'}})"
    command = script(tmp_path, f"import os, subprocess, sys; {launch}")
    command.wait_until(lambda _: (tmp_path / "ready").exists())
    outcome = command.hit(signal.SIGKILL)
    assert outcome.processes == 2 and outcome.left == 0


def test_the_library_keeps_the_handlers_of_its_user(network_file: Path) -> None:
    import spk2loihi as s2l
    from spk2loihi.cli.main import main

    before = [signal.getsignal(number) for number in ENDING], sys.excepthook, sys.unraisablehook
    with pytest.raises(SystemExit):
        main(["inspect", str(network_file)])
    s2l.simulate(s2l.load(network_file), ["good"])
    assert ([signal.getsignal(number) for number in ENDING], sys.excepthook, sys.unraisablehook) == before


def test_commands_run_in_other_threads(network_file: Path) -> None:
    """Where no handler can be set."""
    text = (
        "import sys, threading\nfrom spk2loihi.__main__ import main\n"
        f"sys.argv[1:] = ['inspect', {str(network_file)!r}]\n"
        "thread = threading.Thread(target=main); thread.start(); thread.join()"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "layer" in done.stdout


@pytest.mark.slow
def test_at_any_moment_of_a_command(network_file: Path, tmp_path: Path) -> None:
    """Imports, parsing, reading, computing, the end."""
    whole = spk2loihi(tmp_path, "simulate", network_file)
    began = time.monotonic()
    assert whole.wait(120) == 0
    length = time.monotonic() - began
    moments = random.Random(0)
    for _ in range(12):
        command = spk2loihi(tmp_path, "simulate", network_file)
        time.sleep(moments.uniform(0.15, length))
        if command.process.poll() is None:
            number = moments.choice(ENDING)
            outcome = command.hit(number, all_processes=moments.random() < 0.5)
            if outcome.processes:  # it had not ended by itself in the meantime
                assert_interrupted(outcome)
