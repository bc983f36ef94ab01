"""Distillation losses: what of the teacher the student's equilibrium is drawn to (SpikingBERT, section 4; TinyBERT)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from spk2loihi.models import Equilibrium
from spk2loihi.models.topology import hidden_states
from spk2loihi.training.processes import process_mean
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.teacher import TeacherStates


def distillation_loss(
    student: Equilibrium,
    teacher: TeacherStates,
    layers: list[int],
    mask: Tensor,
    labels: Tensor,
    weights: LossWeights,
) -> Tensor:
    """Scalar loss of a batch.

    Args:
        layers: teacher layer each student layer stands for.
        mask: 1 at tokens, 0 at padding, (B, L).
    """
    tokens = mask[..., None].to(student.logits.dtype)  # (B, L, 1)
    embedding, *names = hidden_states(len(layers))
    loss = weights.embedding * _masked_mse(student.hidden(embedding), teacher.hidden[0], tokens)
    for i, (layer, name) in enumerate(zip(layers, names, strict=True)):
        hidden = student.hidden(name)  # (B, L, d), or (B, 1, d) for the last layer
        rows = hidden.shape[1]
        share = 1 / len(layers)
        loss = loss + share * weights.hidden * _masked_mse(
            hidden, teacher.hidden[layer + 1][:, :rows], tokens[:, :rows]
        )
        scores = student.scores[i]  # (B, H, L or 1, L)
        pairs = tokens[:, None, : scores.shape[2]] * tokens[:, None].transpose(-1, -2)
        target = teacher.scores[layer][:, :, : scores.shape[2]]
        if target.shape[1] == scores.shape[1]:
            loss = loss + share * weights.score * _masked_mse(scores, target, pairs)
    t = weights.temperature
    soft = F.kl_div(
        F.log_softmax(student.logits / t, -1), F.log_softmax(teacher.logits / t, -1), log_target=True,
        reduction="batchmean",
    )  # fmt: skip
    return loss + weights.prediction * t * t * soft + weights.label * F.cross_entropy(student.logits, labels)


def _masked_mse(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the entries ``mask`` (broadcastable) keeps, of all processes once they are averaged."""
    kept = mask.expand_as(a)
    return ((a - b).square() * kept).sum() / process_mean(kept.sum())
