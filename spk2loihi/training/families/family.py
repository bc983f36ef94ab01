"""What every family of teachers says of itself, and the list of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from spk2loihi.data.metrics import Answer
from spk2loihi.models.teacher_parts import LayerParts, TeacherParts
from spk2loihi.training.families.fields import COMMON, OF_BERT, Check


@dataclass(frozen=True)
class TeacherSizes:
    """Of a teacher, as its student has them.

    Attributes:
        positions: tokens of the longest sentence.
        types: token types; 2 where the teacher has none and does not look at them.
        embedding: width of the embedding, where it is projected to the layers'; None: theirs.
        activation: of the feed-forward parts, one of `spk2loihi.models.config.ACTIVATIONS`.
        relative: scores have a constant part, by the distance of two tokens.
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    types: int
    padding: int
    activation: str
    epsilon: float
    embedding: int | None = None
    relative: bool = False

    @property
    def parameters(self) -> float:
        """About how many there are."""
        tables = (self.embedding or self.hidden) * (self.vocabulary + self.positions + self.types)
        return tables + self.layers * self.hidden * (4 * self.hidden + 2 * self.intermediate)


class Family(ABC):
    """Encoders of one kind, with the head of their sentence classifier.

    Attributes:
        name: as people write it.
        model_type: in `config.json`.
        classifier: class of transformers for sentences.
        tagger: the same for words.
        encoder: first part of the names of the encoder's weights.
        head: activation between the first token's last state and the classifier, one of
            `spk2loihi.models.config.HEADS`.
        fresh: beginnings of the names of weights that fine-tuning makes.
        attention: implementation that transformers has for it.
        fields: of the configuration, each with its check; what is here and in no student is refused by name.
        unused: fields that do not matter to a student.
    """

    name: ClassVar[str]
    model_type: ClassVar[str]
    classifier: ClassVar[str]
    tagger: ClassVar[str]
    encoder: ClassVar[str]
    head: ClassVar[str] = "tanh"
    fresh: ClassVar[tuple[str, ...]] = ("classifier.",)
    attention: ClassVar[str] = "sdpa"
    fields: ClassVar[Mapping[str, Check]] = {**COMMON, **OF_BERT}
    unused: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        """
        Args:
            config: all fields of a checked configuration.
        """

    @abstractmethod
    def parts(self, model: Any) -> TeacherParts:
        """The modules of a ``classifier``, or of a ``tagger``, which has no pooler."""

    def class_for(self, answer: Answer) -> str:
        """Class of transformers whose outputs are such answers."""
        return self.tagger if answer == "tags" else self.classifier

    def tags(self, model: Any) -> bool:
        return type(model).__name__ == self.tagger

    def wrong(self, config: Mapping[str, Any]) -> str | None:
        """What no student has, and no single field says; a sentence that goes on after "but"."""
        return None


FAMILIES: dict[str, Family] = {}
"""By model type."""

_F = TypeVar("_F", bound=type[Family])


def register(family: _F) -> _F:
    """Make a family known."""
    FAMILIES[family.model_type] = family()
    return family


def family_names() -> str:
    *first, last = sorted((family.name for family in FAMILIES.values()), key=str.casefold)
    return f"{', '.join(first)} and {last}"


def sizes_as_bert(config: Mapping[str, Any], **changes: Any) -> TeacherSizes:
    """Of a configuration that names them as BERT's does."""
    known: dict[str, Any] = {
        "vocabulary": config["vocab_size"],
        "hidden": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "intermediate": config["intermediate_size"],
        "positions": config["max_position_embeddings"],
        "types": config.get("type_vocab_size", 2),
        "padding": config.get("pad_token_id") or 0,
        "activation": config["hidden_act"],
        "epsilon": config["layer_norm_eps"],
    }
    return TeacherSizes(**{**known, **changes})


def layers_as_bert(encoder: Any) -> list[LayerParts]:
    """Of an encoder that is built as BERT's."""
    return [
        LayerParts(
            layer.attention.self.query,
            layer.attention.self.key,
            layer.attention.self.value,
            layer.attention.output.dense,
            layer.attention.output.LayerNorm,
            layer.intermediate.dense,
            layer.output.dense,
            layer.output.LayerNorm,
        )
        for layer in encoder.layer
    ]


def no_types(word: nn.Embedding) -> Tensor:
    """Token type embeddings of a teacher without them."""
    return torch.zeros(2, word.embedding_dim)
