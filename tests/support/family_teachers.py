"""Tiny teachers of every family, with tokenizers of their kinds, trained for a second on the tiny task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, PreTrainedTokenizerFast

from spk2loihi.training.families import FAMILIES
from support.tiny_task import LETTERS, NEGATIVE, NEUTRAL, POSITIVE, VOCABULARY, sentences

POSITIONS = 24
_SIZES = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": POSITIONS, "initializer_range": 0.3, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
_DISTIL = {
    "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3, "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A teacher of a family as they are met: fields of its configuration, kind of its tokenizer."""

    name: str
    family: str
    tokenizer: str
    fields: dict[str, Any]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bert", "bert", "wordpiece", _SIZES),
        Kind("bert, gelu_new", "bert", "wordpiece", {**_SIZES, "hidden_act": "gelu_new"}),
        Kind("bert, relu", "bert", "wordpiece", {**_SIZES, "hidden_act": "relu"}),
        Kind("distilbert", "distilbert", "wordpiece", _DISTIL),
        Kind("roberta", "roberta", "bpe", {**_SIZES, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
        Kind("xlm-roberta", "xlm-roberta", "unigram", {**_SIZES, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
        Kind("camembert", "camembert", "unigram", {**_SIZES, "type_vocab_size": 1}),
        Kind("electra", "electra", "wordpiece", {**_SIZES, "embedding_size": 8}),
        Kind("electra, one width", "electra", "wordpiece", {**_SIZES, "embedding_size": 16}),
        Kind("albert", "albert", "unigram", {**_SIZES, "embedding_size": 8, "classifier_dropout_prob": 0.0}),
        Kind("mpnet", "mpnet", "bpe", _SIZES),
    )
}  # fmt: skip


def make_model(kind: Kind, words: int, seed: int = 0, **changes: Any) -> Any:
    """A classifier of random weights, none of which is 0 or 1."""
    family = FAMILIES[kind.family]
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind.family, **{**kind.fields, "vocab_size": words, **changes})
    model = getattr(transformers, family.classifier)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.set_attn_implementation(family.attention)
    return model


def make_tokenizer(kind: Kind) -> PreTrainedTokenizerFast:
    """WordPiece with [CLS] and [SEP], or byte pairs or a unigram model with <s> and </s>."""
    bert = kind.tokenizer == "wordpiece" or kind.family == "albert"
    begin, end, pad = ("[CLS]", "[SEP]", "[PAD]") if bert else ("<s>", "</s>", "<pad>")
    unknown = "[UNK]" if kind.tokenizer == "wordpiece" else "<unk>"
    special = [begin, pad, end, unknown] if not bert else [pad, unknown, begin, end]
    if kind.tokenizer == "wordpiece":
        words = dict.fromkeys([*special, *VOCABULARY, *(f"##{c}" for c in LETTERS)])
        tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token=unknown))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind.tokenizer == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        texts = [text for text, _ in sentences(200, 1)]
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=330, special_tokens=special))
    else:
        pieces = [(token, 0.0) for token in special]
        pieces += [(f"▁{word}", -3.0) for word in (*POSITIVE, *NEGATIVE, *NEUTRAL)]
        pieces += [(letter, -9.0) for letter in ("▁", *LETTERS)]
        tokenizer = Tokenizer(models.Unigram(pieces, special.index(unknown)))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ids = {token: tokenizer.token_to_id(token) for token in (begin, end)}
    second = f"{end} $B:1 {end}:1" if not bert else f"$B:1 {end}:1"
    types = 1 if kind.fields.get("type_vocab_size") == 1 else 2
    pair = f"{begin} $A {end} {second}" if types == 2 else f"{begin} $A {end} {end} $B {end}"
    tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", pair, list(ids.items()))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown)


def make_teacher(kind: Kind, folder: Path) -> Path:
    """A folder with a classifier that knows the tiny task."""
    tokenizer = make_tokenizer(kind)
    model = make_model(kind, len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    train = sentences(200, 1)
    labels = torch.tensor([int(label == "pos") for _, label in train])
    inputs = tokenizer([text for text, _ in train], padding=True, return_tensors="pt", return_token_type_ids=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model(**inputs, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.config.id2label, model.config.label2id = {0: "neg", 1: "pos"}, {"neg": 0, "pos": 1}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
