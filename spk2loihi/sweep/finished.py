"""Whether a network of a sweep is there already, made with the settings, data and teacher that are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spk2loihi.errors import UserError
from spk2loihi.network import read_network
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.finished_model import other_settings


def is_exported(network: Path, wanted: dict[str, str]) -> bool:
    """Whether there is a network file of the fingerprint ``wanted``; UserError where there is another one."""
    return network.is_file() and _is_of(network, read_network(network).provenance.get("training", {}), wanted)


def is_trained(model: Path, wanted: dict[str, str]) -> bool:
    """Whether there is a checkpoint of the fingerprint ``wanted``; UserError where there is another one."""
    return model.is_file() and _is_of(model, load_checkpoint(model).training, wanted)


def _is_of(path: Path, training: dict[str, Any], wanted: dict[str, str]) -> bool:
    """True; UserError where the file at ``path`` was made with other settings or data than those wanted."""
    changed = other_settings(training, wanted)
    if changed:
        raise UserError(
            f"{path} was made with other settings or data ({', '.join(changed)}): give the same options as before, or "
            "choose another folder with -o"
        )
    return True
