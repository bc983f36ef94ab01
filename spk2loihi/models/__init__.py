"""Spiking BERT students. Importing a class registers it with the Hugging Face Auto classes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spk2loihi.models.config import SpikingBertConfig
    from spk2loihi.models.spiking_bert import Equilibrium, SpikingBertForSequenceClassification

__all__ = ["Equilibrium", "SpikingBertConfig", "SpikingBertForSequenceClassification"]


def __getattr__(name: str) -> Any:
    """Loaded on first use: the topology of a student needs neither torch nor transformers."""
    if name in __all__:
        return getattr(import_module("spk2loihi.models.spiking_bert"), name)
    raise AttributeError(f"module 'spk2loihi.models' has no attribute {name!r}")
