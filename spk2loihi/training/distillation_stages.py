"""The stages of distillation (SpikingBERT, section 4; TinyBERT, section 3): which losses, on which data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spk2loihi.choices import STAGES
from spk2loihi.errors import UserError
from spk2loihi.training.settings import LossWeights


@dataclass(frozen=True)
class Stage:
    """One run of the optimiser over one set of data.

    Attributes:
        on_corpus: raw text without labels and a teacher that need not know the task; else the task's own sentences.
        outputs: pooler and classifier take part.
    """

    name: str
    losses: LossWeights
    on_corpus: bool = False
    outputs: bool = True


def stages(name: str, losses: LossWeights, hard_labels: bool = False) -> list[Stage]:
    """The stages that ``name``, one of `STAGES`, stands for.

    * ``joint``: every loss at once;
    * ``general``: embeddings, hidden states and attention scores on a raw corpus;
    * ``task``: the same on the task's sentences;
    * ``prediction``: the teacher's softened predictions, or the true labels where ``hard_labels`` says so;
    * ``all``: the last three, in order.

    Raises:
        UserError: unknown name, or hard labels for a stage that has no choice of labels.
    """
    if name not in STAGES:
        raise UserError(f"stage {name!r} is not known: choose one of {', '.join(STAGES)} with `stage`")
    if hard_labels and name not in ("prediction", "all"):
        raise UserError(f"`hard_labels` is a choice of the prediction stage, but the stage is {name}: leave it out")
    internal = replace(losses, prediction=0.0, label=0.0)
    predictions = replace(losses, embedding=0.0, hidden=0.0, score=0.0)
    every = {
        "joint": Stage("joint", losses),
        "general": Stage("general", internal, on_corpus=True, outputs=False),
        "task": Stage("task", internal, outputs=False),
        "prediction": Stage(
            "prediction",
            replace(predictions, prediction=0.0) if hard_labels else replace(predictions, label=0.0),
        ),
    }
    return [every[n] for n in ("general", "task", "prediction")] if name == "all" else [every[name]]
