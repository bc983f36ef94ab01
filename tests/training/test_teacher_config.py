"""Every field of a teacher's configuration: followed, without effect, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

import spk2loihi as s2l
from spk2loihi.training.teacher import load_teacher, teacher_in_memory
from support.edited_teachers import LABELS, accuracy, edited, refusal
from support.tiny_task import TinyTask


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hidden_act", "silu", "only 'gelu'"),
        ("position_embedding_type", "relative_key", "only 'absolute'"),
        ("layer_norm_eps", 1e-3, "LayerNorm"),
        ("layer_norm_eps", "x", "LayerNorm"),
        ("is_decoder", True, "causal attention"),
        ("add_cross_attention", True, "cross-attention"),
        ("is_encoder_decoder", True, "decoder"),
        ("pruned_heads", {"0": [1]}, "fewer heads"),
        ("quantization_config", {"quant_method": "bitsandbytes"}, "quantised"),
        ("auto_map", {"AutoModel": "own.Model"}, "never run"),
        ("dtype", "float8_e4m3fn", "float32"),
        ("torch_dtype", "int8", "float32"),
        ("hidden_dropout_prob", 1.0, "from 0 up to 1"),
        ("classifier_dropout", "no", "from 0 up to 1"),
        ("vocab_size", 0, "whole number"),
        ("vocab_size", 10**13, "parameters"),
        ("hidden_size", "32", "whole number"),
        ("hidden_size", 33, "heads do not divide"),
        ("num_hidden_layers", 0, "whole number"),
        ("num_hidden_layers", 3, "lacks 16"),
        ("intermediate_size", 65, "shape"),
        ("max_position_embeddings", 63, "shape"),
        ("type_vocab_size", 0, "whole number"),
        ("embedding_size", 16, "of one width"),
        ("pad_token_id", -1, "pad_token_id"),
        ("pad_token_id", 61, "pad_token_id"),
        ("num_labels", 5, "5 labels"),
        ("problem_type", "multi_label_classification", "problem_type"),
        ("model_type", "nonsense", "a nonsense model, but only encoders of the families"),
        ("model_type", ["bert"], "only encoders of the families"),
        ("architectures", "x", "lacks|cannot"),
    ],
)
def test_what_a_student_does_not_have_is_refused(
    field: str, value: Any, words: str, tiny_task: TinyTask, tmp_path: Path
) -> None:
    place = edited(tiny_task, tmp_path / "t", **{field: value})
    if field == "architectures":
        load_teacher(str(place), LABELS)  # says nothing of a classifier: fine-tuned first
    else:
        refusal(place, words)


@pytest.mark.parametrize(
    ("field", "value"),
    [("return_dict", False), ("output_attentions", True), ("output_hidden_states", True), ("torch_dtype", "float16"),
     ("chunk_size_feed_forward", 7), ("tie_word_embeddings", False), ("use_cache", False), ("pad_token_id", None),
     ("position_embedding_type", "absolute"), ("layer_norm_eps", 1e-5), ("pruned_heads", {}),
     ("directionality", "bidi")],
)  # fmt: skip
def test_what_makes_no_difference_is_accepted(field: str, value: Any, tiny_task: TinyTask, tmp_path: Path) -> None:
    teacher, _ = load_teacher(str(edited(tiny_task, tmp_path / "t", **{field: value})), LABELS)
    assert teacher.notes == []
    assert accuracy(teacher, tiny_task) > 0.9
    assert teacher.model.dtype == torch.float32


def test_unknown_fields_are_said(tiny_task: TinyTask, tmp_path: Path) -> None:
    notes = load_teacher(str(edited(tiny_task, tmp_path / "t", rotary=True)), LABELS)[0].notes
    assert len(notes) == 1 and "rotary" in notes[0]


def test_adapters_are_refused(tiny_task: TinyTask, tmp_path: Path) -> None:
    place = edited(tiny_task, tmp_path / "t")
    (place / "adapter_config.json").write_text("{}")
    refusal(place, "merge")


def test_models_in_memory_that_were_changed_are_refused(tiny_task: TinyTask) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_task.tuned)

    def changed(change: Callable[[Any], Any], words: str) -> None:
        model = BertForSequenceClassification.from_pretrained(tiny_task.tuned)
        change(model)
        with pytest.raises(s2l.UserError, match=words):
            teacher_in_memory(model, tokenizer, LABELS)

    changed(lambda m: m.bert.encoder.layer.pop(1), "not the model of its configuration")
    changed(lambda m: setattr(m, "classifier", torch.nn.Sequential(m.classifier)), "classifier.weight")
    changed(lambda m: setattr(m, "classifier", torch.nn.Linear(32, 3)), "classifier.weight")
    changed(lambda m: m.classifier.bias.data.fill_(float("nan")), "not finite")
    changed(lambda m: setattr(m.config, "hidden_act", "silu"), "hidden_act")
    changed(lambda m: m.to("meta"), "not numbers in memory")
