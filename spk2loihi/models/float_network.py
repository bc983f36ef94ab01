"""The student without spikes: what its rates and integers approximate, for comparison with its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from spk2loihi.models.spiking_bert import SpikingBertForSequenceClassification


@contextmanager
def float_network(model: SpikingBertForSequenceClassification) -> Iterator[None]:
    """Within this context nothing is rounded or clipped, and GELU, softmax, LayerNorm and tanh are the teacher's own.

    A student of the ``spikingbert`` preset that has just been built from its teacher then has the teacher's outputs but
    for float rounding; any other preset, too, as long as nothing of it is trained.
    """
    rounding = [module for module in model.modules() if getattr(module, "quantised", False)]
    with model.unclipped():
        _switch(model, rounding, exact=True)
        try:
            yield
        finally:
            _switch(model, rounding, exact=False)


def _switch(model: SpikingBertForSequenceClassification, rounding: list[nn.Module], exact: bool) -> None:
    model.exact = exact
    for module in rounding:
        module.quantised = not exact  # type: ignore[assignment]
