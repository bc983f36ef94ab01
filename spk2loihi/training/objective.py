"""Losses as modules, the unit that mixed precision and data parallelism wrap."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertForSequenceClassification

from spk2loihi.models import Equilibrium, SpikingBertForSequenceClassification
from spk2loihi.training.distillation import distillation_loss
from spk2loihi.training.rate_penalty import t_times_density
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.teacher import TeacherProbe, TeacherStates


class FineTuning(nn.Module):
    """Cross-entropy of a teacher with the labels, or squared error of its one output with standardised ones.

    Args:
        scale: mean and standard deviation of a regression's labels; None: classification.
    """

    def __init__(self, model: BertForSequenceClassification, scale: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.model = model
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Scalar loss of inputs (B, L) and labels (B,)."""
        logits = self.model(**inputs).logits  # (B, labels)
        if self.scale is None:
            return F.cross_entropy(logits, labels)
        mean, deviation = self.scale
        return F.mse_loss(logits[:, 0], (labels - mean) / deviation)


class Distillation(nn.Module):
    """What of the teacher, and of the labels, a student is drawn to.

    Args:
        layers: teacher layer each student layer stands for.
        variance: of a regression's labels, the unit of its squared errors; None: classification.
    """

    def __init__(
        self,
        model: SpikingBertForSequenceClassification,
        probe: TeacherProbe,
        layers: list[int],
        losses: LossWeights,
        variance: float | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.probe = probe
        self.layers = layers
        self.losses = losses
        self.variance = variance

    def forward(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Scalar loss of inputs (B, L) and labels (B,)."""
        states = self.probe(**inputs)
        result = self.model.equilibrium(**inputs)
        loss = self._distilled(result, states, inputs["attention_mask"], labels)
        if self.losses.rate:
            loss = loss + self.losses.rate * t_times_density(self.model, result, inputs["attention_mask"])
        return loss

    def _distilled(self, result: Equilibrium, states: TeacherStates, mask: Tensor, labels: Tensor) -> Tensor:
        losses = self.losses
        if self.variance is None:
            return distillation_loss(result, states, self.layers, mask, labels, losses)
        internal = distillation_loss(
            result, states, self.layers, mask, torch.zeros_like(labels, dtype=torch.long),
            replace(losses, prediction=0.0, label=0.0),
        )  # fmt: skip
        soft = F.mse_loss(result.logits, states.logits) / self.variance
        hard = F.mse_loss(result.logits[:, 0], labels) / self.variance
        return internal + losses.prediction * soft + losses.label * hard
