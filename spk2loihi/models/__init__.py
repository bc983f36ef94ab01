"""Spiking BERT students. Importing this package registers them with the Hugging Face Auto classes."""

from spk2loihi.models.config import SpikingBertConfig
from spk2loihi.models.spiking_bert import Equilibrium, SpikingBertForSequenceClassification

__all__ = ["Equilibrium", "SpikingBertConfig", "SpikingBertForSequenceClassification"]
