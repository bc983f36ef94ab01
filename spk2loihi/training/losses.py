"""Losses: distillation (SpikingBERT, section 4; TinyBERT), the rate penalty, and the modules that compute them.

The modules are the unit that mixed precision and data parallelism wrap.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spk2loihi.data.metrics import Answer
from spk2loihi.models import Equilibrium, SpikingBertForSequenceClassification
from spk2loihi.models.topology import hidden_states
from spk2loihi.training.answer_losses import label_loss, prediction_loss
from spk2loihi.training.evaluation import accepted
from spk2loihi.training.masked_error import masked_error
from spk2loihi.training.processes import Batch
from spk2loihi.training.settings import LossWeights
from spk2loihi.training.teacher import TeacherStates


def distillation_loss(
    student: Equilibrium,
    states: list[str],
    teacher: TeacherStates,
    layers: list[int],
    mask: Tensor,
    batch: Batch,
    weights: LossWeights,
    widen: nn.Linear | None = None,
    heads: list[list[int]] | None = None,
) -> Tensor:
    """Scalar loss of a batch inside the network: embeddings, hidden states and attention scores.

    Args:
        states: stages of the student whose activations are its hidden states, as `hidden_states` gives them.
        layers: teacher layer each student layer stands for.
        mask: 1 at tokens, 0 at padding, (B, L).
        batch: that these rows are of.
        widen: from the width of a narrower student to the teacher's (TinyBERT, section 3).
        heads: of each student layer, the teacher's heads that its own stand for; None: all, in their order.
    """
    tokens, pairs = _present(mask, student.logits.dtype)
    all_tokens, all_pairs = (tokens, pairs) if batch.parts == 1 else _present(batch.mask, student.logits.dtype)
    # tokens, or pairs of them, of so many rows: all, or that of [CLS], which the last layer has alone
    sizes = {mask.shape[1], student.counts[states[-1]].shape[1]}
    kept = {rows: batch.mean(all_tokens[:, :rows].sum()) for rows in sizes}
    kept_pairs = {rows: batch.mean(all_pairs[:, :, :rows].sum()) for rows in sizes}

    def hidden_error(name: str, target: Tensor, weight: float) -> Tensor:
        rows = student.counts[name].shape[1]
        target, present = target[:, :rows], tokens[:, :rows]
        if widen is not None:
            wide = widen(student.hidden(name))
            return masked_error(wide, target, present, kept[rows], weight / wide.shape[-1])
        counts, (value, scale) = student.counts[name], student.values[name]
        return masked_error(counts, target, present, kept[rows], weight / counts.shape[-1], value, scale)

    embedding, *names = states
    terms = [hidden_error(embedding, teacher.hidden[0], weights.embedding)]
    for i, (layer, name) in enumerate(zip(layers, names, strict=True)):
        terms.append(hidden_error(name, teacher.hidden[layer + 1], weights.hidden / len(layers)))
        scores = student.scores[i]  # (B, H, L or 1, L)
        rows = scores.shape[2]
        target = teacher.scores[layer][:, :, :rows]
        if heads is not None:
            target = target[:, heads[i]]
        if target.shape[1] == scores.shape[1]:
            share = weights.score / len(layers) / scores.shape[1]
            terms.append(masked_error(scores, target, pairs[:, :, :rows], kept_pairs[rows], share))
    return torch.stack(terms).sum()


def _present(mask: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """1 where there is a token (B, L, 1), or a pair of them (B, 1, L, L)."""
    tokens = mask[..., None].to(dtype)
    return tokens, tokens[:, None] * tokens[:, None].transpose(-1, -2)


def t_times_density(
    model: SpikingBertForSequenceClassification, result: Equilibrium, mask: Tensor, batch: Batch
) -> Tensor:
    """SynOps for each synapse of the linear layers, a scalar: spikes weighted by the synapses they reach.

    Residuals are left out, and zero weights count as synapses (`simulate` leaves them out). The gradient of a spike
    count is that of its absolute value, straight through its rounding. Averaged over processes it is the figure of all
    their sentences.

    Args:
        mask: 1 at tokens, 0 at padding, (B, L).
        batch: that these rows are of.
    """
    tokens = mask[..., None].to(result.logits.dtype)  # (B, L, 1)
    all_tokens = batch.mask.to(result.logits.dtype)  # (B, L)
    synops = torch.zeros((), dtype=result.logits.dtype, device=result.logits.device)
    synapses = torch.zeros_like(synops)
    for spec in model.specs:
        if spec.kind not in ("linear", "readout"):
            continue
        n, fan_out = result.counts[spec.sources[0]], model.synapses_of(spec).out_features
        rows = 1 if spec.first else n.shape[1]
        synops = synops + fan_out * (n[:, :rows].abs() * tokens[:, :rows]).sum()
        synapses = synapses + fan_out * n.shape[-1] * all_tokens[:, :rows].sum()
    return synops / batch.mean(synapses)


class FineTuning(nn.Module):
    """Distance of a teacher's outputs from the labels.

    Args:
        answer: what the task asks of a sentence.
        scale: mean and standard deviation of a regression's labels, which are standardised.
    """

    def __init__(self, model: PreTrainedModel, answer: Answer, scale: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.model = model
        self.answer = answer
        self.scale = scale

    def forward(self, inputs: dict[str, Tensor], labels: Tensor, batch: Batch | None = None) -> Tensor:
        """Scalar loss of inputs (B, L) and labels as `spk2loihi.data.targets` makes them.

        Args:
            batch: that these are a part of; None: all of it.
        """
        batch = batch or Batch(inputs["attention_mask"], labels)
        logits = self.model(**accepted(self.model, inputs)).logits
        if self.scale is not None:
            mean, deviation = self.scale
            labels = (labels - mean) / deviation
        return label_loss(self.answer, logits, labels, batch)


class Distillation(nn.Module):
    """What of the teacher, and of the labels, a student is drawn to.

    Args:
        probe: what a teacher computes of a batch, a `TeacherProbe`.
        layers: teacher layer each student layer stands for.
        answer: what the task asks of a sentence.
        variance: of a regression's labels, the unit of its squared errors.
        widening: where the projection of a narrower student's hidden states starts, (d, d_s); it is learned.
        heads: teacher heads that those of each layer stand for.
    """

    def __init__(
        self,
        model: SpikingBertForSequenceClassification,
        probe: Callable[..., TeacherStates],
        layers: list[int],
        losses: LossWeights,
        answer: Answer,
        variance: float | None = None,
        widening: Tensor | None = None,
        heads: list[list[int]] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.widen: nn.Linear | None = None
        if widening is not None:
            self.widen = nn.Linear(widening.shape[1], widening.shape[0], bias=False)
            with torch.no_grad():
                self.widen.weight.copy_(widening)
        self.heads = heads
        self.probe = probe
        self.layers = layers
        self.states = hidden_states(model.specs)
        self.losses = losses
        self.answer = answer
        self.variance = variance
        self.watched = False  # keep T x density of the last batch
        self.density: Tensor | None = None

    def forward(self, inputs: dict[str, Tensor], labels: Tensor, batch: Batch | None = None) -> Tensor:
        """Scalar loss of inputs (B, L) and labels as `spk2loihi.data.targets` makes them.

        Args:
            batch: that these are a part of; None: all of it.
        """
        states, losses, mask = self.probe(**inputs), self.losses, inputs["attention_mask"]
        batch = batch or Batch(mask, labels)
        result = self.model.equilibrium(**inputs)
        loss = distillation_loss(result, self.states, states, self.layers, mask, batch, losses, self.widen, self.heads)
        if losses.prediction:
            soft = prediction_loss(
                self.answer, result.logits, states.logits, mask, batch, losses.temperature, self.variance
            )
            loss = loss + losses.prediction * soft
        if losses.label:
            loss = loss + losses.label * label_loss(self.answer, result.logits, labels, batch, self.variance)
        if losses.rate or self.watched:
            density = t_times_density(self.model, result, mask, batch)
            self.density = density.detach()
            if losses.rate:
                loss = loss + losses.rate * density
        return loss
