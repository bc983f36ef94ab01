"""Whether a tokenizer is one that a BERT can have been trained with."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from spk2loihi.data import Examples, tokenise
from spk2loihi.errors import UserError, first_line

_PROBE = "A film, of 2 actors: naïve & fresh 電影 🙂"  # words, punctuation, and what may be in no vocabulary


def check_tokenizer(tokenizer: Any, config: Any, teacher: str) -> str:
    """Contents of the `tokenizer.json` of a fast tokenizer, of transformers or of tokenizers.

    Raises:
        UserError: it has another vocabulary than the `BertConfig` ``config`` has embeddings for, or does not mark
            sentences as BERT reads them.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    remedy = "give the tokenizer the model was trained with"
    if not isinstance(backend, Tokenizer):
        raise UserError(
            f"teacher {teacher} has a {type(tokenizer).__name__}, which has no fast form, but only fast tokenizers are "
            "kept in a student: save its tokenizer.json beside it"
        )
    size, largest = backend.get_vocab_size(), max(backend.get_vocab().values(), default=0)
    special = sum(token.special for token in backend.get_added_tokens_decoder().values())
    if largest >= config.vocab_size or size < 2 * special:
        raise UserError(
            f"teacher {teacher} has a tokenizer of {size} tokens (largest id {largest}), but "
            f"{config.vocab_size} word embeddings: {remedy}"
        )
    try:
        text = backend.to_str()
        marks = Tokenizer.from_str(text)
        marks.no_truncation()
        encoding = marks.encode(_PROBE)
        tokenise(marks, Examples([_PROBE], ["A second one."], [0]), max_tokens=10**6)
    except Exception as error:
        raise UserError(
            f"teacher {teacher} has a tokenizer that does not work ({first_line(error)}): {remedy}"
        ) from None
    if len(encoding.ids) < 3 or not (encoding.special_tokens_mask[0] and encoding.special_tokens_mask[-1]):
        raise UserError(
            f"teacher {teacher} has a tokenizer that does not put special tokens ([CLS] and [SEP]) around a sentence, "
            f"but BERT classifies by the first of them: {remedy}"
        )
    if max(encoding.type_ids) >= config.type_vocab_size:
        raise UserError(
            f"teacher {teacher} has a tokenizer that numbers the parts of a sentence up to "
            f"{max(encoding.type_ids)}, but "
            f"{config.type_vocab_size} token type embedding: {remedy}"
        )
    return text
