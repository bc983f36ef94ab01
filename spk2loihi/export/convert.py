"""From a trained student, in a file, a folder or memory, to its integer network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.errors import UserError, first_line
from spk2loihi.export.fold import fold
from spk2loihi.files import exists, sha256
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.network import Network
from spk2loihi.network.network_checks import check_network
from spk2loihi.network.writer import write_network
from spk2loihi.training.checkpoint import Checkpoint
from spk2loihi.training.pretrained import load_student
from spk2loihi.versions import versions


def export_model(
    source: Path | Checkpoint,
    out: Path | None = None,
    schedule: Schedule | None = None,
    encoding: Encoding | None = None,
    stagger: int | None = None,
) -> Network:
    """Fold a student, and write its network to ``out`` if that is given.

    Args:
        source: a `model.pt`, a folder of `save_pretrained`, a repository of the hub (``owner/name``), or a
            checkpoint in memory.
        schedule, encoding, stagger: how the network runs unless told otherwise; windowed, rate and T // 4 if not given.

    Raises:
        UserError: the source cannot be read, or the student cannot be deployed.
    """
    origin: dict[str, Any] = {}
    if isinstance(source, Checkpoint):
        checkpoint = source
    else:
        checkpoint, origin = load_student(source), {"model_file": source.name}
        if exists(source) and not source.is_dir():
            origin["model_sha256"] = sha256(source)
    provenance = {**origin, "training": checkpoint.training, "versions": versions()}
    try:
        network = fold(checkpoint.model, checkpoint.tokenizer, checkpoint.task, provenance)
    except (ArithmeticError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"{_name(source)} cannot be folded into integers ({first_line(error)}): its weights are out of any range, "
            "train it again"
        ) from None
    check_network(network, _name(source))
    network = check_limits(replace(network, defaults=network.run_config(schedule, encoding, stagger=stagger)))
    if out is not None:
        write_network(network, out)
    return network


def _name(source: Path | Checkpoint) -> str:
    return "the student" if isinstance(source, Checkpoint) else f"model file {source}"
