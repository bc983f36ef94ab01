"""RoBERTa (Liu et al. 2019, arXiv 1907.11692), and XLM-RoBERTa and CamemBERT, which are built alike.

Positions are numbered from after the padding token's id, so the first rows of the table are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spk2loihi.models.teacher_parts import TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, layers_as_bert, register, sizes_as_bert


@register
class Roberta(Family):
    name = "RoBERTa"
    model_type = "roberta"
    classifier = "RobertaForSequenceClassification"
    tagger = "RobertaForTokenClassification"
    encoder = "roberta"

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        return sizes_as_bert(config, positions=config["max_position_embeddings"] - first_position(config))

    def parts(self, model: Any) -> TeacherParts:
        roberta, head = model.roberta, model.classifier
        e = roberta.embeddings
        return TeacherParts(
            e.word_embeddings.weight,
            e.position_embeddings.weight[first_position(model.config.to_dict()) :],
            e.token_type_embeddings.weight,
            e.LayerNorm,
            layers_as_bert(roberta.encoder),
            None if self.tags(model) else head.dense,
            head if self.tags(model) else head.out_proj,
        )

    def wrong(self, config: Mapping[str, Any]) -> str | None:
        return positions_wrong(config)


def first_position(config: Mapping[str, Any]) -> int:
    """Row of the first token in the table of positions."""
    return int(config["pad_token_id"]) + 1


def positions_wrong(config: Mapping[str, Any]) -> str | None:
    if config.get("pad_token_id") is None:
        return "its positions are numbered from its pad_token_id, and it has none"
    if config["max_position_embeddings"] <= first_position(config):
        return "its positions begin after its pad_token_id, and none are left"
    return None


@register
class XLMRoberta(Roberta):
    name = "XLM-RoBERTa"
    model_type = "xlm-roberta"
    classifier = "XLMRobertaForSequenceClassification"
    tagger = "XLMRobertaForTokenClassification"


@register
class Camembert(Roberta):
    name = "CamemBERT"
    model_type = "camembert"
    classifier = "CamembertForSequenceClassification"
    tagger = "CamembertForTokenClassification"
