"""Ctrl-C, SIGTERM and SIGHUP end a command in good order: clean-up, one line, exit code 130, within seconds.

Only `spk2loihi` as a program does this. Who uses the library, or calls a command from Python, keeps their own handlers.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

EXIT_CODE = 130

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECONDS = 5.0  # for the clean-up; then the process ends, and its children with it
_AGAIN_SECONDS = 0.1
_WRITE_SECONDS = 0.5
_PARENT_SECONDS = 0.5  # between two looks whether the launcher is alive


class Interrupted(BaseException):
    """A signal ends the command. Not a `KeyboardInterrupt`, of which click makes exit code 1."""


class _State:
    """How this process ends.

    Attributes:
        signal: the first that came.
        lost: it was raised where Python drops exceptions, as in a destructor.
        code: exit code if no signal comes.
        remedy: what to do to go on, if there is something.
        saving: seconds that the clean-up may take beyond `_GRACE_SECONDS`.
    """

    installed = False
    signal: int | None = None
    lost = False
    told = False
    code = 1
    remedy: Callable[[], str | None] | None = None
    saving = 0.0


_state = _State()


def install() -> None:
    """Handle signals from here to the end of the process; a second one changes nothing."""
    if _state.installed:
        return
    _state.installed = True
    atexit.register(_leave)  # the first, and so the last to be called
    sys.excepthook = _quiet(sys.excepthook)
    threading.excepthook = _quiet(threading.excepthook)
    sys.unraisablehook = _unraisable
    if "LOCAL_RANK" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ:
        threading.Thread(target=_follow_launcher, args=(os.getppid(),), daemon=True).start()
    if threading.current_thread() is not threading.main_thread():
        return  # no handler can be set here
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_end_anyway, args=(read,), daemon=True).start()
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does
            signal.signal(number, _handle)


def ends_with(code: Any) -> None:
    """Note the exit code of this process, as `sys.exit` takes it."""
    _state.code = code if isinstance(code, int) else int(code is not None)


def to_go_on(remedy: Callable[[], str | None], saving: float = 0.0) -> None:
    """What a user can do to go on after an interruption, if there is something by then.

    Args:
        saving: seconds that it may take to save what makes that possible.
    """
    _state.remedy, _state.saving = remedy, saving


def interrupted() -> bool:
    """Whether a signal ends this process, so that no other error is news."""
    return _state.signal is not None


def _handle(number: int, _: Any) -> None:
    if _state.signal is None or _state.lost:
        _state.signal, _state.lost = number, False
        raise Interrupted


def _quiet(hook: Callable[..., Any]) -> Callable[..., Any]:
    """What fails after a signal fails because of it."""
    return lambda *what: None if interrupted() else hook(*what)


def _unraisable(what: Any) -> None:
    if what.exc_type is Interrupted:
        _state.lost = True
    elif not interrupted():
        sys.__unraisablehook__(what)


def _end_anyway(pipe: int) -> None:
    """After a signal: raise it again where it was lost, and end the process when the clean-up takes too long.

    Python writes to the pipe at once, also while the main thread is in a library that does not return.
    """
    while (number := os.read(pipe, 1)[0]) not in _ENDING:
        pass
    deadline = time.monotonic() + _GRACE_SECONDS + _state.saving
    while time.monotonic() < deadline:
        time.sleep(_AGAIN_SECONDS)
        if _state.lost:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
    _tell()
    os._exit(EXIT_CODE)


def _follow_launcher(launcher: int) -> None:
    """`accelerate launch` may be killed without a word to the processes it started."""
    while os.getppid() == launcher:
        time.sleep(_PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _tell() -> None:
    if _state.told or os.environ.get("RANK", "0") != "0":  # of the processes of a launch, one speaks
        return
    _state.told = True
    with contextlib.suppress(Exception):
        remedy = _state.remedy() if _state.remedy is not None else None
        line = f"interrupted: {remedy}\n" if remedy else "interrupted\n"
        if select.select([], [2], [], _WRITE_SECONDS)[1]:
            os.write(2, line.encode())


def _leave() -> None:
    """End without taking Python apart, which takes a while, and in which a signal is a traceback or nothing."""
    with contextlib.suppress(Interrupted):
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            if not interrupted():
                return  # Python itself finds the same and says so
    if interrupted():
        _tell()
        os._exit(EXIT_CODE)
    os._exit(_state.code)
