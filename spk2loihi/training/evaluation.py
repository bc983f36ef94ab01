"""Scores of a model on held-out sentences."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.data import (
    NO_TAG,
    Encoded,
    TokenBatch,
    answer_of,
    collate,
    length_sorted_batches,
    predictions,
    score,
)
from spk2loihi.training.processes import process_sum

_BATCH = 64


@dataclass
class LabelledData:
    """Tokenised sentences with labels as `spk2loihi.data.targets` makes them, or zeros (N,) where there are none.

    Attributes:
        metric: main one of the task, which says what the labels are.
        names: of the labels.
    """

    encoded: list[Encoded]
    labels: NDArray[Any]
    metric: str = "accuracy"
    names: tuple[str, ...] = ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(e) for e in self.encoded], dtype=np.int64)

    def spread_by_tokens(self, count: int) -> list[Encoded]:
        """The sentences that hold ``count`` tokens at equal distances in the data: fewer, where one holds several.

        So a sentence is drawn by its share of the tokens, as a neuron meets it. Most of SST-2's are short phrases.
        """
        ends = np.cumsum(self.lengths)
        tokens = np.linspace(0, ends[-1], count, endpoint=False)
        return [self.encoded[i] for i in np.unique(np.searchsorted(ends, tokens, side="right"))]

    def batch_labels(self, index: NDArray[np.int64], tokens: int) -> NDArray[Any]:
        """Labels of a batch whose longest sentence has so many tokens: of tags (B, tokens)."""
        labels = self.labels[index]
        if labels.ndim == 1 or answer_of(self.metric) != "tags":
            return labels
        missing = max(0, tokens - labels.shape[1])
        return np.pad(labels[:, :tokens], [(0, 0), (0, missing)], constant_values=NO_TAG)


def model_inputs(batch: TokenBatch, on: torch.device) -> dict[str, Tensor]:
    """Arguments of a Hugging Face forward pass, (B, L) each."""
    return {
        "input_ids": torch.from_numpy(batch.input_ids).to(on),
        "attention_mask": torch.from_numpy(batch.mask.astype(np.int64)).to(on),
        "token_type_ids": torch.from_numpy(batch.token_type_ids).to(on),
    }


def accepted(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of ``inputs`` that a model has a use for: some have no token types."""
    known = inspect.signature(model.forward).parameters
    return {name: x for name, x in inputs.items() if name in known}


@torch.no_grad()
def predict(
    model: nn.Module, data: list[Encoded], pad_id: int, batch_size: int = _BATCH, process: int = 0, processes: int = 1
) -> NDArray[np.float32]:
    """Logits (N, labels), or (N, L, labels) of tags, in the order of ``data``.

    Several processes share the batches and all get every row.
    """
    model.eval()
    on = next(model.parameters()).device
    batches = length_sorted_batches(np.array([len(e) for e in data]), batch_size)
    shared = processes > 1 and len(batches) >= processes
    rows, longest = np.empty((0, 0), dtype=np.float32), max(len(e) for e in data)
    for index in batches[process::processes] if shared else batches:
        inputs = model_inputs(collate([data[i] for i in index], pad_id), on)
        logits = model(**accepted(model, inputs)).logits.float().cpu().numpy()
        if not rows.size:
            shape = logits.shape[1:] if logits.ndim == 2 else (longest, logits.shape[2])
            rows = np.zeros((len(data), *shape), dtype=np.float32)
        if logits.ndim == 2:
            rows[index] = logits
        else:
            rows[index, : logits.shape[1]] = logits
    if shared:  # a row is zero but in one process, so that the sum is exact
        rows = process_sum(torch.from_numpy(rows).to(on)).cpu().numpy()
    return rows


def evaluate(
    model: nn.Module, data: LabelledData, metrics: Sequence[str], pad_id: int, process: int = 0, processes: int = 1
) -> dict[str, float]:
    """Score of the model by metric."""
    predicted = predictions(predict(model, data.encoded, pad_id, process=process, processes=processes), data.metric)
    return {metric: score(metric, predicted, data.labels, data.names) for metric in metrics}


@torch.no_grad()
def mean_loss(objective: nn.Module, model: nn.Module, data: LabelledData, pad_id: int) -> float:
    """Mean of an objective over the sentences of ``data``, batch by batch."""
    model.eval()
    on = next(model.parameters()).device
    total = 0.0
    for index in length_sorted_batches(data.lengths, _BATCH):
        batch = collate([data.encoded[i] for i in index], pad_id)
        labels = torch.from_numpy(data.batch_labels(index, batch.input_ids.shape[1])).to(on)
        total += len(index) * float(objective(model_inputs(batch, on), labels))
    return total / len(data.encoded)
