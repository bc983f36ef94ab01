"""Losses at the outputs, by what a task asks: how far predictions are from the teacher's, and from the labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spk2loihi.data import NO_TAG
from spk2loihi.data.metrics import Answer
from spk2loihi.training.processes import Batch


def prediction_loss(
    answer: Answer,
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    batch: Batch,
    temperature: float,
    variance: float | None = None,
) -> Tensor:
    """Divergence of the student's predictions from the teacher's, a scalar.

    Kullback-Leibler at a temperature t, times t * t: of classes; of tags, a mean over tokens; of several labels, of
    whether each is there, a mean over labels. Of values the squared error in units of their variance.

    Args:
        student, teacher: logits (B, labels), or (B, L, labels) of tags.
        mask: 1 at tokens, 0 at padding, (B, L).
        batch: that these rows are of.
    """
    t = temperature
    if answer == "value":
        return F.mse_loss(student, teacher) / (variance or 1.0)
    if answer == "labels":
        p = torch.sigmoid(teacher / t)
        own = F.binary_cross_entropy_with_logits(teacher / t, p)
        return t * t * (F.binary_cross_entropy_with_logits(student / t, p) - own)
    ours, theirs = F.log_softmax(student / t, -1), F.log_softmax(teacher / t, -1)
    if answer == "class":
        return t * t * F.kl_div(ours, theirs, log_target=True, reduction="batchmean")
    kept = mask.to(ours.dtype)
    divergence = F.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)  # (B, L)
    return t * t * (divergence * kept).sum() / batch.mean(batch.mask.to(ours.dtype).sum())


def label_loss(answer: Answer, logits: Tensor, labels: Tensor, batch: Batch, variance: float | None = None) -> Tensor:
    """Distance of predictions from the labels, a scalar: cross-entropy, or squared error in units of the variance.

    Args:
        labels: as `spk2loihi.data.targets` makes them; of tags (B, L).
        batch: that these rows are of.
    """
    if answer == "value":
        return F.mse_loss(logits[:, 0], labels) / (variance or 1.0)
    if answer == "labels":
        return F.binary_cross_entropy_with_logits(logits, labels)
    if answer == "class":
        return F.cross_entropy(logits, labels)
    flat = labels.flatten()
    total = F.cross_entropy(logits.flatten(0, 1), flat, ignore_index=NO_TAG, reduction="sum")
    return total / batch.mean((batch.labels != NO_TAG).sum()).clamp(min=1 / batch.parts)
