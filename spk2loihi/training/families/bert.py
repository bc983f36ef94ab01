"""BERT (Devlin et al. 2019, arXiv 1810.04805)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spk2loihi.models.teacher_parts import TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, layers_as_bert, register, sizes_as_bert


@register
class Bert(Family):
    name = "BERT"
    model_type = "bert"
    classifier = "BertForSequenceClassification"
    tagger = "BertForTokenClassification"
    encoder = "bert"

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        return sizes_as_bert(config)

    def parts(self, model: Any) -> TeacherParts:
        bert = model.bert
        e = bert.embeddings
        return TeacherParts(
            e.word_embeddings.weight,
            e.position_embeddings.weight,
            e.token_type_embeddings.weight,
            e.LayerNorm,
            layers_as_bert(bert.encoder),
            None if self.tags(model) else bert.pooler.dense,
            model.classifier,
        )
