"""A teacher as a student sees it: the parts of an encoder, whatever its family calls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class LayerParts:
    """One encoder layer with LayerNorms after its residuals."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    attention_norm: nn.LayerNorm
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    ffn_norm: nn.LayerNorm

    def pairs(self) -> Iterator[tuple[str, nn.Module]]:
        """Its modules, by the names of those of the student."""
        yield from vars(self).items()


@dataclass(frozen=True)
class TeacherParts:
    """The encoder and its head.

    Attributes:
        word: (vocabulary, e), e the width of the embedding.
        position: (positions, e), of the first token on.
        token_type: (types, e); zeros where the teacher has none.
        norm: of the embedding.
        layers: in their order; one that is shared stands in several places.
        pooler: from the first token's last state to what the classifier reads; None: every token's state itself.
        projection: from the embedding to the layers, where they differ in width.
        relative: what the distance from query i to key j adds to a score, at j - i + positions - 1: (heads, 2
            positions - 1).
    """

    word: Tensor
    position: Tensor
    token_type: Tensor
    norm: nn.LayerNorm
    layers: list[LayerParts]
    pooler: nn.Linear | None
    classifier: nn.Linear
    projection: nn.Linear | None = None
    relative: Tensor | None = None


def relative_bias(relative: Tensor, rows: int, keys: int) -> Tensor:
    """Of the first ``rows`` queries and ``keys`` keys, (heads, rows, keys), from a table (heads, 2 positions - 1)."""
    import torch

    middle = relative.shape[1] // 2
    distance = torch.arange(keys, device=relative.device) - torch.arange(rows, device=relative.device)[:, None]
    return relative[:, middle + distance]
