"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): no token types, a ReLU before the classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from spk2loihi.models.teacher_parts import LayerParts, TeacherParts
from spk2loihi.training.families.family import Family, TeacherSizes, no_types, register
from spk2loihi.training.families.fields import COMMON, Check, activation, share, whole

_EPSILON = 1e-12  # of its LayerNorms, whatever the configuration says


@register
class DistilBert(Family):
    name = "DistilBERT"
    model_type = "distilbert"
    classifier = "DistilBertForSequenceClassification"
    tagger = "DistilBertForTokenClassification"
    encoder = "distilbert"
    head = "relu"
    fresh = ("pre_classifier.", "classifier.")
    fields: ClassVar[Mapping[str, Check]] = {
        **COMMON,
        "dim": whole(1),
        "n_layers": whole(1),
        "n_heads": whole(1),
        "hidden_dim": whole(1),
        "activation": activation,
        "dropout": share,
        "attention_dropout": share,
        "seq_classif_dropout": share,
    }
    unused = frozenset({"qa_dropout", "sinusoidal_pos_embds", "tie_weights_"})

    def sizes(self, config: Mapping[str, Any]) -> TeacherSizes:
        return TeacherSizes(
            vocabulary=config["vocab_size"],
            hidden=config["dim"],
            layers=config["n_layers"],
            heads=config["n_heads"],
            intermediate=config["hidden_dim"],
            positions=config["max_position_embeddings"],
            types=2,
            padding=config.get("pad_token_id") or 0,
            activation=config["activation"],
            epsilon=_EPSILON,
        )

    def parts(self, model: Any) -> TeacherParts:
        e = model.distilbert.embeddings
        layers = [
            LayerParts(
                layer.attention.q_lin,
                layer.attention.k_lin,
                layer.attention.v_lin,
                layer.attention.out_lin,
                layer.sa_layer_norm,
                layer.ffn.lin1,
                layer.ffn.lin2,
                layer.output_layer_norm,
            )
            for layer in model.distilbert.transformer.layer
        ]
        return TeacherParts(
            e.word_embeddings.weight,
            e.position_embeddings.weight,
            no_types(e.word_embeddings),
            e.LayerNorm,
            layers,
            None if self.tags(model) else model.pre_classifier,
            model.classifier,
        )
