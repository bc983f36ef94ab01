"""Fields of a teacher's `config.json`: what a student has of them, and what does not matter.

A check takes a value and returns what is wrong with it, or None if a student has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spk2loihi.models.config import ACTIVATIONS

Check = Callable[[Any], str | None]

_LARGEST_EPSILON = 1e-5  # a LayerNorm in integers has none; so small a one changes nothing
_FLOATS = ("float32", "float16", "bfloat16", "float64")


def is_whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def whole(least: int) -> Check:
    return lambda x: None if is_whole(x) and x >= least else f"it is a whole number from {least}"


def share(x: Any) -> str | None:
    return None if is_number(x) and 0 <= x < 1 else "it is a number from 0 up to 1"


def one_of(*values: Any) -> Check:
    shown = " or ".join(repr(value) for value in values)
    return lambda x: None if any(type(x) is type(v) and x == v for v in values) else f"a student knows only {shown}"


def absent(what: str) -> Check:
    return lambda x: f"a student has no {what}" if x else None


def optional(check: Check) -> Check:
    return lambda x: None if x is None else check(x)


def epsilon(x: Any) -> str | None:
    fits = is_number(x) and 0 <= x <= _LARGEST_EPSILON
    return None if fits else f"a student's integer LayerNorm stands for one from 0 to {_LARGEST_EPSILON:g}"


def precision(x: Any) -> str | None:
    name = str(x).removeprefix("torch.")
    return None if name in _FLOATS else f"weights are {', '.join(_FLOATS[:-1])} or {_FLOATS[-1]}"


activation: Check = one_of(*ACTIVATIONS)

#: Of every family.
COMMON: dict[str, Check] = {
    "vocab_size": whole(1),
    "max_position_embeddings": whole(1),
    # other networks
    "is_decoder": absent("causal attention"),
    "add_cross_attention": absent("cross-attention"),
    "is_encoder_decoder": absent("decoder"),
    "cross_attention_hidden_size": absent("cross-attention"),
    "pruned_heads": absent("layers with fewer heads than the others"),
    # other files
    "quantization_config": absent("quantised teacher: save the weights as floats"),
    "compression_config": absent("quantised teacher: save the weights as floats"),
    "auto_map": absent("code of its own, and a teacher's is never run"),
    "dtype": optional(precision),  # whatever it is, weights are read as float32
    "torch_dtype": optional(precision),
    # fine-tuning only: a fresh classifier is drawn once
    "initializer_range": share,
}

#: Of the families that name their sizes as BERT does.
OF_BERT: dict[str, Check] = {
    "hidden_size": whole(1),
    "num_hidden_layers": whole(1),
    "num_attention_heads": whole(1),
    "intermediate_size": whole(1),
    "type_vocab_size": whole(1),
    "hidden_act": activation,
    "position_embedding_type": optional(one_of("absolute")),
    "layer_norm_eps": epsilon,
    # fine-tuning only: a student has no dropout
    "hidden_dropout_prob": share,
    "attention_probs_dropout_prob": share,
    "classifier_dropout": optional(share),
}

#: Fields that do not decide what a classifier computes; they are set to these values.
OVERRULED: dict[str, Any] = {
    "return_dict": True,
    "output_hidden_states": False,
    "output_attentions": False,
    "chunk_size_feed_forward": 0,  # the same function, in parts
}

WITHOUT_EFFECT = frozenset({
    # of a language model's head, of generation, and of memory
    "tie_word_embeddings", "use_cache", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id",
    "unk_token_id", "decoder_start_token_id", "gradient_checkpointing", "torchscript", "use_bfloat16",
    "use_return_dict",
    # records
    "model_type", "architectures", "transformers_version", "_name_or_path", "name_or_path", "finetuning_task",
    "task_specific_params", "tokenizer_class", "prefix", "attn_implementation", "_attn_implementation", "_commit_hash",
    "_attn_implementation_autoset", "_attn_implementation_internal", "_experts_implementation", "adapters",
    # of Google's Chinese and multilingual checkpoints, which no BERT reads
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
    "pooler_size_per_head", "pooler_type", "model_max_length", "output_past", "language",
    # looked at elsewhere: with the labels, the tokenizer and the sizes
    "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "pad_token_id", "embedding_size",
})  # fmt: skip
