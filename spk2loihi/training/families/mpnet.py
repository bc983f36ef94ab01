"""MPNet (Song et al. 2020, arXiv 2004.09297): scores depend on the distance of two tokens as well; no token types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from spk2loihi.models.teacher_parts import LayerParts, TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, no_types, register, sizes_as_bert
from spk2loihi.training.families.fields import COMMON, OF_BERT, Check, whole
from spk2loihi.training.families.roberta import first_position, positions_wrong

_BUCKETS = 32  # of distances that transformers tells apart, whatever the configuration says


@register
class MPNet(Family):
    name = "MPNet"
    model_type = "mpnet"
    classifier = "MPNetForSequenceClassification"
    tagger = "MPNetForTokenClassification"
    encoder = "mpnet"
    attention = "eager"
    fields: ClassVar[Mapping[str, Check]] = {
        **COMMON,
        **{name: check for name, check in OF_BERT.items() if name != "type_vocab_size"},
        "relative_attention_num_buckets": whole(_BUCKETS),
    }

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        positions = config["max_position_embeddings"] - first_position(config)
        return sizes_as_bert(config, positions=positions, types=2, relative=True)

    def parts(self, model: Any) -> TeacherParts:
        mpnet, head = model.mpnet, model.classifier
        e, first = mpnet.embeddings, first_position(model.config.to_dict())
        layers = []
        for layer in mpnet.encoder.layer:
            a = layer.attention
            layers.append(
                LayerParts(
                    a.attn.q,
                    a.attn.k,
                    a.attn.v,
                    a.attn.o,
                    a.LayerNorm,
                    layer.intermediate.dense,
                    layer.output.dense,
                    layer.output.LayerNorm,
                )
            )
        position = e.position_embeddings.weight[first:]
        return TeacherParts(
            e.word_embeddings.weight,
            position,
            no_types(e.word_embeddings),
            e.LayerNorm,
            layers,
            None if self.tags(model) else head.dense,
            head if self.tags(model) else head.out_proj,
            relative=_by_distance(mpnet.encoder, len(position)),
        )

    def wrong(self, config: Mapping[str, Any]) -> str | None:
        return positions_wrong(config)


@torch.no_grad()
def _by_distance(encoder: Any, positions: int) -> Tensor:
    """The bias of a score at key - query + positions - 1, (heads, 2 positions - 1)."""
    distance = torch.arange(1 - positions, positions, device=encoder.relative_attention_bias.weight.device)
    bias: Tensor = encoder.relative_attention_bias(encoder.relative_position_bucket(distance, num_buckets=_BUCKETS))
    return bias.T
