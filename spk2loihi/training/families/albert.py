"""ALBERT (Lan et al. 2020, arXiv 1909.11942): layers that share their weights, and a factorised embedding.

A chip has synapses of its own for every layer, so the student has, too: layers share their start and nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from spk2loihi.models.teacher_parts import LayerParts, TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, register, sizes_as_bert
from spk2loihi.training.families.fields import COMMON, OF_BERT, Check, one_of, share, whole


@register
class Albert(Family):
    name = "ALBERT"
    model_type = "albert"
    classifier = "AlbertForSequenceClassification"
    tagger = "AlbertForTokenClassification"
    encoder = "albert"
    fields: ClassVar[Mapping[str, Check]] = {
        **COMMON,
        **OF_BERT,
        "embedding_size": whole(1),
        "num_hidden_groups": whole(1),
        "inner_group_num": one_of(1),
        "classifier_dropout_prob": share,
    }
    unused = frozenset({"net_structure_type", "num_memory_blocks", "gap_size", "down_scale_factor"})

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        return sizes_as_bert(config, embedding=config["embedding_size"])

    def parts(self, model: Any) -> TeacherParts:
        albert, config = model.albert, model.config
        e, shared = albert.embeddings, albert.encoder.albert_layer_groups
        layers = []
        for i in range(config.num_hidden_layers):
            layer = shared[int(i / (config.num_hidden_layers / config.num_hidden_groups))].albert_layers[0]
            a = layer.attention
            norm = layer.full_layer_layer_norm
            layers.append(LayerParts(a.query, a.key, a.value, a.dense, a.LayerNorm, layer.ffn, layer.ffn_output, norm))
        return TeacherParts(
            e.word_embeddings.weight,
            e.position_embeddings.weight,
            e.token_type_embeddings.weight,
            e.LayerNorm,
            layers,
            None if self.tags(model) else albert.pooler,
            model.classifier,
            projection=albert.encoder.embedding_hidden_mapping_in,
        )
