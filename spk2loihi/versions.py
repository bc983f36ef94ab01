"""Versions of what makes or reads an artefact, for its provenance."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

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
