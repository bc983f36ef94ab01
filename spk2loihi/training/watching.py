"""Who watches a training: callbacks in Python, and the trackers of accelerate (TensorBoard, W&B, MLflow).

Nobody who watches changes what is trained: figures are taken after a step, without gradients.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import nn

from spk2loihi.choices import TRACKERS
from spk2loihi.errors import UserError, first_line
from spk2loihi.ranges import shown
from spk2loihi.training.settings import TrainSettings


class Callback(Protocol):
    """What `spk2loihi.train` calls in ``callbacks``, in the main process alone, with figures by name.

    After every step ``loss``, ``learning_rate`` and, of a student that fires spikes, ``t_times_density`` (SynOps a
    synapse and sentence of this batch); after every evaluation each score on the sentences that choose, by its metric,
    and of a student ``threshold/LAYER``, the mean threshold of the layer's populations, in units of the student's
    activations.

    An exception ends the training as Ctrl-C does: what `--resume` needs has been saved.
    """

    def __call__(self, phase: str, step: int, values: Mapping[str, float]) -> object:
        """
        Args:
            phase: ``teacher``, ``student`` (everything at once), or the stage: ``general``, ``task``, ``prediction``.
            step: steps of the phase that are done, from 1.
        """


def logging_folder(out: Path) -> Path:
    """Where trackers that write files put them: ``model.pt.logs`` beside ``model.pt``."""
    return out.with_name(f"{out.name}.logs")


def check_tracker(name: str | None, out: Path | None) -> None:
    """
    Raises:
        UserError: an unknown tracker, one that is not installed, or no place for it.
    """
    if name is None:
        return
    if name not in TRACKERS:
        raise UserError(f"`log_with` is {shown(name)}: choose one of {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise UserError(
            f"`log_with` is {name}, but that library is not installed: pip install 'spk2loihi[trackers]', or "
            "leave it out"
        )
    if out is None:
        raise UserError(f"`log_with` {name} writes beside the model, but `out` is None: name a file")


def watchers(
    accelerator: Accelerator, log_with: str | None, callbacks: Sequence[Callback], settings: TrainSettings
) -> list[Callback]:
    """Callbacks, and one for the tracker that ``accelerator`` was made with."""
    if log_with is None:
        return list(callbacks)
    record = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name != "losses"}
    record |= {f"loss_{name}": value for name, value in asdict(settings.losses).items()}
    plain = {k: v if isinstance(v, (int, float, str, bool)) else str(v) for k, v in record.items() if v is not None}
    try:
        accelerator.init_trackers("spk2loihi", config=plain)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"`log_with` {log_with} cannot start ({first_line(error)}): set it up as its own pages say, or leave "
            "`log_with` out"
        ) from None

    def track(phase: str, step: int, values: Mapping[str, float]) -> None:
        named = {f"{phase}/{name}": value for name, value in values.items()}
        if log_with == "wandb":  # whose steps never go back, as ours do with each phase
            accelerator.log({**named, f"{phase}/step": step})
        else:
            accelerator.log(named, step=step)

    return [*callbacks, track]


def watched_by(callbacks: Sequence[Callback]) -> Callback | None:
    """One callback for all; None where nobody watches."""
    if not callbacks:
        return None

    def watch(phase: str, step: int, values: Mapping[str, float]) -> None:
        with _same_randomness(), torch.no_grad():
            for call in callbacks:
                call(phase, step, values)

    return watch


def _same_randomness() -> Any:
    """Random numbers that a callback draws are none of the training's."""
    return torch.random.fork_rng()


def threshold_means(model: nn.Module) -> dict[str, float]:
    """Mean threshold of each layer's populations; nothing of a model that has none, as a teacher."""
    layers: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        if name.endswith("log_threshold"):
            parts = name.split(".")
            layer = ".".join(parts[:2]) if parts[0] == "layers" else parts[0].removesuffix("_gate")
            layers.setdefault(f"threshold/{layer}", []).append(float(parameter.detach().exp().mean()))
    return {layer: sum(values) / len(values) for layer, values in layers.items()}
