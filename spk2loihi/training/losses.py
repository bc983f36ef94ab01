"""Losses: distillation (SpikingBERT, section 4; TinyBERT), the rate penalty, and the modules that compute them.

The modules are the unit that mixed precision and data parallelism wrap.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from spk2loihi.models import Equilibrium, SpikingBertForSequenceClassification
from spk2loihi.models.topology import hidden_states
from spk2loihi.training.evaluation import accepted
from spk2loihi.training.processes import process_mean
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.teacher import TeacherProbe, TeacherStates


def distillation_loss(
    student: Equilibrium,
    states: list[str],
    teacher: TeacherStates,
    layers: list[int],
    mask: Tensor,
    labels: Tensor,
    weights: LossWeights,
) -> Tensor:
    """Scalar loss of a batch.

    Args:
        states: stages of the student whose activations are its hidden states, as `hidden_states` gives them.
        layers: teacher layer each student layer stands for.
        mask: 1 at tokens, 0 at padding, (B, L).
    """
    tokens = mask[..., None].to(student.logits.dtype)  # (B, L, 1)
    embedding, *names = states
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


def t_times_density(model: SpikingBertForSequenceClassification, result: Equilibrium, mask: Tensor) -> Tensor:
    """SynOps for each synapse of the linear layers, a scalar: spikes weighted by the synapses they reach.

    Residuals are left out, and zero weights count as synapses (`simulate` leaves them out). The gradient of a spike
    count is that of its absolute value, straight through its rounding. Averaged over processes it is the figure of all
    their sentences.

    Args:
        mask: 1 at tokens, 0 at padding, (B, L).
    """
    tokens = mask[..., None].to(result.logits.dtype)  # (B, L, 1)
    synops = torch.zeros((), dtype=result.logits.dtype, device=result.logits.device)
    synapses = torch.zeros_like(synops)
    for spec in model.specs:
        if spec.kind not in ("linear", "readout"):
            continue
        n, fan_out = result.counts[spec.sources[0]], model.synapses_of(spec).out_features
        rows = 1 if spec.first else n.shape[1]
        kept = tokens[:, :rows]
        synops = synops + fan_out * (n[:, :rows].abs() * kept).sum()
        synapses = synapses + fan_out * n.shape[-1] * kept.sum()
    return synops / process_mean(synapses)


class FineTuning(nn.Module):
    """Cross-entropy of a teacher with the labels, or squared error of its one output with standardised ones.

    Args:
        scale: mean and standard deviation of a regression's labels; None: classification.
    """

    def __init__(self, model: PreTrainedModel, scale: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.model = model
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor], labels: Tensor) -> Tensor:
        """Scalar loss of inputs (B, L) and labels (B,)."""
        logits = self.model(**accepted(self.model, inputs)).logits  # (B, labels)
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
        self.states = hidden_states(model.specs)
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
            return distillation_loss(result, self.states, states, self.layers, mask, labels, losses)
        internal = distillation_loss(
            result, self.states, states, self.layers, mask, torch.zeros_like(labels, dtype=torch.long),
            replace(losses, prediction=0.0, label=0.0),
        )  # fmt: skip
        soft = F.mse_loss(result.logits, states.logits) / self.variance
        hard = F.mse_loss(result.logits[:, 0], labels) / self.variance
        return internal + losses.prediction * soft + losses.label * hard
