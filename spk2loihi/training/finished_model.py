"""Whether a model is there already, made with the settings, data and teacher that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spk2loihi.errors import UserError
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.training.manifest import fingerprint
from spk2loihi.training.settings import LossWeights, TrainSettings


def other_settings(training: Mapping[str, Any], wanted: Mapping[str, str]) -> list[str]:
    """Names of the settings and data in which a training differs from the fingerprint ``wanted``.

    Args:
        training: record of it (`Checkpoint.training`).
    """
    try:
        settings = TrainSettings(**{**training["settings"], "losses": LossWeights(**training["settings"]["losses"])})
        theirs = fingerprint(settings, training["manifest"])
    except (KeyError, TypeError):  # of another version
        theirs = {}
    return [name for name in wanted if theirs.get(name) != wanted[name]]


def is_finished(model: Path, wanted: Mapping[str, str], tuned: Mapping[str, Any] | None = None) -> bool:
    """Whether ``model`` is of the fingerprint ``wanted``.

    Args:
        tuned: record of the teacher that it must have had; None: any with that fingerprint.
    """
    if not model.is_file():
        return False
    try:
        training = load_checkpoint(model).training
    except UserError:  # damaged, or none of ours: it is made anew
        return False
    theirs = training.get("teacher_tuning", {})
    return not other_settings(training, wanted) and (tuned is None or theirs.get("sha256") == tuned["sha256"])
