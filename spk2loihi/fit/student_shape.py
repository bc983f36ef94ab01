"""The populations of a student that does not exist yet.

A miniature of the student, with its number of layers and heads but few channels, is folded as a trained one would be;
then its widths are replaced. So every preset that can be exported can be sized, and nothing here repeats its stages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from spk2loihi.choices import Schedule
from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.fit.chip_limits import WEIGHT_WIDTH
from spk2loihi.fit.population import Input, Population, populations, resized
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.network.run_config import RunConfig

_TOKENS = 4  # of the miniature


@dataclass(frozen=True)
class StudentShape:
    """Sizes `spk2loihi train` would be given."""

    preset: str = "spikingbert"
    layers: int = 6
    hidden: int = 384
    intermediate: int | None = None  # default: 4 x hidden
    heads: int = 12
    tokens: int = 64
    bits: int = 8
    timesteps: int = 16
    labels: int = 2
    schedule: Schedule = "windowed"


def shape_populations(shape: StudentShape) -> list[Population]:
    """Populations of a student of that shape, all weights non-zero and of full width.

    Raises:
        UserError: a size no student can have.
    """
    for what, value in (("layers", shape.layers), ("heads", shape.heads), ("seq-len", shape.tokens)):
        if value < 1:
            raise UserError(f"--{what} is {value}, but a student has at least 1: raise it")
    intermediate = shape.intermediate or 4 * shape.hidden
    SpikingBertConfig(  # refuses what no student can be
        hidden_size=shape.hidden, num_attention_heads=shape.heads, preset=shape.preset, timesteps=shape.timesteps,
        weight_bits=shape.bits, intermediate_size=intermediate, max_tokens=shape.tokens,
        max_position_embeddings=shape.tokens,
    )  # fmt: skip
    hidden, ffn = 2 * shape.heads, 2 * shape.heads + shape.labels + 1  # told apart from each other and the labels
    config = SpikingBertConfig(
        vocab_size=2, hidden_size=hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        intermediate_size=ffn, max_position_embeddings=_TOKENS, preset=shape.preset, timesteps=shape.timesteps,
        weight_bits=shape.bits, max_tokens=_TOKENS, num_labels=shape.labels,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SpikingBertForSequenceClassification(config)
    labels = [str(label) for label in range(shape.labels)]
    network = replace(fold(model, "", {"labels": labels}), defaults=RunConfig(shape.schedule))
    full = [replace(p, inputs=tuple(_full(p, i, shape.bits) for i in p.inputs)) for p in populations(network)]
    return resized(full, {hidden: shape.hidden, ffn: intermediate}, shape.tokens)


def _full(population: Population, group: Input, bits: int) -> Input:
    """No zero weight, and every bit used; a residual's one weight takes all bits there are."""
    if group.one_to_one:
        return replace(group, bits=WEIGHT_WIDTH.value, existing=group.width)
    return replace(group, bits=bits, existing=group.width * population.channels)
