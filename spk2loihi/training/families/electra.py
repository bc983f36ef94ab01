"""ELECTRA (Clark et al. 2020, arXiv 2003.10555): an embedding of a width of its own, a GELU before the classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from spk2loihi.models.teacher_parts import TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, layers_as_bert, register, sizes_as_bert
from spk2loihi.training.families.fields import COMMON, OF_BERT, Check, whole


@register
class Electra(Family):
    name = "ELECTRA"
    model_type = "electra"
    classifier = "ElectraForSequenceClassification"
    tagger = "ElectraForTokenClassification"
    encoder = "electra"
    head = "gelu"
    fields: ClassVar[Mapping[str, Check]] = {**COMMON, **OF_BERT, "embedding_size": whole(1)}
    unused = frozenset({"summary_type", "summary_use_proj", "summary_activation", "summary_last_dropout"})

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        own = config["embedding_size"] != config["hidden_size"]  # it projects nothing where they are equal
        return sizes_as_bert(config, embedding=config["embedding_size"] if own else None)

    def parts(self, model: Any) -> TeacherParts:
        electra, head = model.electra, model.classifier
        e = electra.embeddings
        return TeacherParts(
            e.word_embeddings.weight,
            e.position_embeddings.weight,
            e.token_type_embeddings.weight,
            e.LayerNorm,
            layers_as_bert(electra.encoder),
            None if self.tags(model) else head.dense,
            head if self.tags(model) else head.out_proj,
            projection=getattr(electra, "embeddings_project", None),
        )
