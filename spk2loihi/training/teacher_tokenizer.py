"""Whether a tokenizer is one that a teacher can have been trained with."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from spk2loihi.data import Examples, tokenise
from spk2loihi.errors import UserError, first_line
from spk2loihi.training.families import TeacherSizes

_PROBE = "A film, of 2 actors: naïve & fresh 電影 🙂"  # words, punctuation, and what may be in no vocabulary


def check_tokenizer(tokenizer: Any, sizes: TeacherSizes, teacher: str) -> str:
    """Contents of the `tokenizer.json` of a fast tokenizer, of transformers or of tokenizers.

    Raises:
        UserError: it has another vocabulary than there are embeddings for, or does not mark sentences as encoders
            read them.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    remedy = "give the tokenizer the model was trained with"
    if not isinstance(backend, Tokenizer):
        raise UserError(
            f"teacher {teacher} has a {type(tokenizer).__name__}, which has no fast form in transformers, but a "
            "student keeps a fast tokenizer: save a tokenizer.json of the same tokens beside the teacher"
        )
    size, largest = backend.get_vocab_size(), max(backend.get_vocab().values(), default=0)
    special = sum(token.special for token in backend.get_added_tokens_decoder().values())
    if largest >= sizes.vocabulary or size < 2 * special:
        raise UserError(
            f"teacher {teacher} has a tokenizer of {size} tokens (largest id {largest}), but "
            f"{sizes.vocabulary} word embeddings: {remedy}"
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
            f"but an encoder classifies by the first of them: {remedy}"
        )
    if max(encoding.type_ids) >= sizes.types:
        raise UserError(
            f"teacher {teacher} has a tokenizer that numbers the parts of a sentence up to "
            f"{max(encoding.type_ids)}, but "
            f"{sizes.types} token type embedding: {remedy}"
        )
    return text
