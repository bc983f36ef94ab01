"""An average of the weights over the last steps, evaluated and kept in place of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_FIRST, _GROWTH = 1.0, 10.0


class WeightAverage:
    """Exponential moving average of everything a model learns, before rounding.

    Weights, logarithms of thresholds and affines are averaged as floats. An evaluation rounds the average as it rounds
    the weights, so what is scored is the quantised network of the average. Buffers (exponents, moments of the affines'
    fits) are not averaged: they stay those of the model.

    After t steps the average moves by ``1 - min(decay, (1 + t) / (10 + t))`` of the way to the weights, so that the
    first steps, which start far from the end, are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors = {name: p.detach().clone() for name, p in self.learned.items()}
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights after a step."""
        self.steps += 1
        decay = min(self.decay, (_FIRST + self.steps) / (_GROWTH + self.steps))
        for name, parameter in self.learned.items():
            self.tensors[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average for its weights, until the end of the ``with``."""
        own = {name: p.detach().clone() for name, p in self.learned.items()}
        self._set(self.tensors)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, tensors: Mapping[str, Tensor]) -> None:
        for name, parameter in self.learned.items():
            parameter.copy_(tensors[name])

    def state(self) -> dict[str, object]:
        """What `restore` takes."""
        return {"tensors": self.tensors, "steps": self.steps}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from a saved state."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.steps = steps
