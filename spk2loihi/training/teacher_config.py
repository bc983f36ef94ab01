"""What a BERT's `config.json` may ask for: every field, and whether a student has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from spk2loihi.errors import UserError

_MAX_PARAMETERS = 4_000_000_000  # a dozen times BERT-large: more is a slip of the pen, and fills the memory
_LARGEST_EPSILON = 1e-5  # a LayerNorm in integers has none; so small a one changes nothing
_FLOATS = ("float32", "float16", "bfloat16", "float64")

_REMEDY = "choose a BERT without it"


def _whole(least: int) -> Callable[[Any], str | None]:
    return lambda x: None if _is_whole(x) and x >= least else f"it is a whole number from {least}"


def _share(x: Any) -> str | None:
    return None if _is_number(x) and 0 <= x < 1 else "it is a number from 0 up to 1"


def _one_of(*values: Any) -> Callable[[Any], str | None]:
    shown = " or ".join(repr(value) for value in values)
    return lambda x: None if any(type(x) is type(v) and x == v for v in values) else f"a student knows only {shown}"


def _absent(what: str) -> Callable[[Any], str | None]:
    return lambda x: f"a student has no {what}" if x else None


def _optional(check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    return lambda x: None if x is None else check(x)


def _epsilon(x: Any) -> str | None:
    fits = _is_number(x) and 0 <= x <= _LARGEST_EPSILON
    return None if fits else f"a student's integer LayerNorm stands for one from 0 to {_LARGEST_EPSILON:g}"


def _precision(x: Any) -> str | None:
    name = str(x).removeprefix("torch.")
    return None if name in _FLOATS else f"weights are {', '.join(_FLOATS[:-1])} or {_FLOATS[-1]}"


#: Fields that decide what a teacher computes, or how it is read: what is wrong with a value, or None if a student has
#: it. A field that is left out has BERT's default, which a student has.
_CHECKED: dict[str, Callable[[Any], str | None]] = {
    # sizes: the student takes them over
    "vocab_size": _whole(1),
    "hidden_size": _whole(1),
    "num_hidden_layers": _whole(1),
    "num_attention_heads": _whole(1),
    "intermediate_size": _whole(1),
    "max_position_embeddings": _whole(1),
    "type_vocab_size": _whole(1),
    # functions
    "hidden_act": _one_of("gelu"),
    "position_embedding_type": _optional(_one_of("absolute")),
    "layer_norm_eps": _epsilon,
    # other networks
    "is_decoder": _absent("causal attention"),
    "add_cross_attention": _absent("cross-attention"),
    "is_encoder_decoder": _absent("decoder"),
    "cross_attention_hidden_size": _absent("cross-attention"),
    "pruned_heads": _absent("layers with fewer heads than the others"),
    # other files
    "quantization_config": _absent("quantised teacher: save the weights as floats"),
    "compression_config": _absent("quantised teacher: save the weights as floats"),
    "auto_map": _absent("code of its own, and a teacher's is never run"),
    "dtype": _optional(_precision),  # whatever it is, weights are read as float32
    "torch_dtype": _optional(_precision),
    # fine-tuning only: a student has no dropout, and a fresh classifier is drawn once
    "hidden_dropout_prob": _share,
    "attention_probs_dropout_prob": _share,
    "classifier_dropout": _optional(_share),
    "initializer_range": _share,
}

#: Fields that do not decide what a classifier computes; those with a value here are set to it.
_OVERRULED: dict[str, Any] = {
    "return_dict": True,
    "output_hidden_states": False,
    "output_attentions": False,
    "chunk_size_feed_forward": 0,  # the same function, in parts
}
_WITHOUT_EFFECT = frozenset({
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


def check_config(config: Mapping[str, Any], teacher: str) -> list[str]:
    """What to say about a configuration, as lines; nothing, for most.

    Args:
        config: contents of `config.json`.
        teacher: its name in messages.

    Raises:
        UserError: it asks for something that a student does not have, or that makes no sense.
    """
    kind = config.get("model_type")
    if kind is not None and kind != "bert":
        raise UserError(
            f"teacher {teacher} is a {kind} model, but only BERT encoders can be distilled: choose "
            "a BERT directory or id"
        )
    for name, check in _CHECKED.items():
        wrong = check(config[name]) if name in config else None
        if wrong is not None:
            raise UserError(
                f"teacher {teacher} has {name} {_shown(config[name])} in its configuration, but {wrong}: {_REMEDY}"
            )
    _check_sizes(config, teacher)
    unknown = [name for name in config if name not in _CHECKED.keys() | _OVERRULED.keys() | _WITHOUT_EFFECT]
    if unknown:
        return [f"teacher {teacher}: BERT knows nothing of {some(unknown)} in its configuration, and ignores it"]
    return []


def plain_config(config: Any) -> Any:
    """The `BertConfig` ``config``, with the fields that say how results are handed out set to what training needs."""
    for name, value in _OVERRULED.items():
        setattr(config, name, value)
    return config


def some(names: list[str], most: int = 3) -> str:
    """A few names, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_sizes(config: Mapping[str, Any], teacher: str) -> None:
    d, heads = config.get("hidden_size", 768), config.get("num_attention_heads", 12)
    if d % heads:
        raise UserError(
            f"teacher {teacher} has hidden_size {d} in its configuration, which its {heads} attention heads do not "
            "divide: give the configuration the model was trained with"
        )
    if config.get("embedding_size", d) != d:
        raise UserError(
            f"teacher {teacher} has embeddings of width {_shown(config['embedding_size'])} and layers of width "
            f"{d}, but "
            "a student's are of one width: choose a BERT"
        )
    vocabulary, pad = config.get("vocab_size", 30522), config.get("pad_token_id", 0)
    if pad is not None and not (_is_whole(pad) and 0 <= pad < vocabulary):
        raise UserError(
            f"teacher {teacher} has pad_token_id {_shown(pad)} in its configuration, but tokens are numbered from 0 to "
            f"{vocabulary - 1}: give the configuration the model was trained with"
        )
    rows = vocabulary + config.get("max_position_embeddings", 512) + config.get("type_vocab_size", 2)
    layer = 4 * d + 2 * config.get("intermediate_size", 3072)
    parameters = d * (rows + config.get("num_hidden_layers", 12) * layer)
    if parameters > _MAX_PARAMETERS:
        raise UserError(
            f"teacher {teacher} would have {parameters:.2g} parameters by its configuration, but at most "
            f"{_MAX_PARAMETERS:.0g} are read: give the configuration the model was trained with"
        )


def _is_whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
