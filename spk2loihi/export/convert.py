"""From `model.pt` to `model.net`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spk2loihi.export.fold import fold
from spk2loihi.files import sha256
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import Encoding, Schedule
from spk2loihi.network.writer import write_network
from spk2loihi.training.checkpoint import load_checkpoint
from spk2loihi.versions import versions


def export_checkpoint(
    model_file: Path,
    out: Path,
    schedule: Schedule = "windowed",
    encoding: Encoding = "rate",
    stagger: int | None = None,
) -> Network:
    """Fold the student of ``model_file``, write it to ``out`` and return it; UserError where it cannot be deployed."""
    checkpoint = load_checkpoint(model_file)
    provenance = {
        "model_file": model_file.name,
        "model_sha256": sha256(model_file),
        "training": checkpoint.training,
        "versions": versions(),
    }
    network = fold(checkpoint.model, checkpoint.tokenizer, checkpoint.task, provenance)
    network = check_limits(replace(network, defaults=network.run_config(schedule, encoding, stagger=stagger)))
    write_network(network, out)
    return network
