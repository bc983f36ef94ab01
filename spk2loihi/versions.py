"""Versions of what makes or reads an artefact, for its provenance."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

#: Adds Lava to an environment that pip made, on Python 3.10. lava-dl 0.6.0 asks for torch < 2.4 and numpy < 2, without
#: needing them; asked for with its dependencies, it would take torch back to a release that executes code in files.
INSTALL_LAVA = (
    "pip install scipy 'asteval<0.10' opencv-python-headless torchvision && "
    "pip install --no-deps lava-nc==0.10.0 lava-dl==0.6.0"
)

_PACKAGES = ("spk2loihi", "torch", "numpy", "h5py", "transformers", "tokenizers", "lava-nc", "lava-dl")


def versions() -> dict[str, str]:
    """Installed versions by package, Python included; packages that are missing are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def made(command: str | None) -> dict[str, Any]:
    """When, how and with which versions a report was made."""
    return {"date": datetime.now(timezone.utc).date().isoformat(), "command": command, "versions": versions()}
