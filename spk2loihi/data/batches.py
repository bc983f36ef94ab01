"""Sentences as token ids, and token ids as padded batches.

B is the number of sentences in a batch and L the number of tokens of its longest sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Encoding, Tokenizer

from spk2loihi.data.examples import Examples
from spk2loihi.errors import UserError, first_line

_CHUNK = 1024
"""Texts tokenised at once: the tokenizer's own records are some 10 kB a text, too much for a large set as a whole."""

_WORD = re.compile(r"\S+")

_POOL = 16
"""Training batches whose sentences are sorted by length together: little padding, and batches still vary by epoch."""


@dataclass(frozen=True)
class Encoded:
    """One sentence or pair with its special tokens: ``input_ids`` (L,) int32 and ``token_type_ids`` (L,) uint8.

    Attributes:
        first: of a tagged sentence, the first token of each word (parted by white space), -1 for a word without any;
            (words,), empty for others.
    """

    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.uint8]
    first: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.input_ids)


class Tokenised(NamedTuple):
    """Tokenised examples in their order, and how many of them were cut to the limit."""

    encoded: list[Encoded]
    truncated: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, special tokens included: (N,)."""
        return np.array([len(one) for one in self.encoded], dtype=np.int64)


@dataclass(frozen=True)
class TokenBatch:
    """B sentences padded to L tokens: ``input_ids`` and ``token_type_ids`` (B, L), ``lengths`` (B,), all int64."""

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True at tokens, False at padding: (B, L)."""
        mask: NDArray[np.bool_] = np.arange(self.input_ids.shape[1])[None, :] < self.lengths[:, None]
        return mask


def tokenise(
    tokenizer: Tokenizer,
    examples: Examples,
    max_tokens: int,
    on_long: Literal["truncate", "refuse"] = "truncate",
    words: bool = False,
) -> Tokenised:
    """Tokenise sentences or pairs, special tokens included, without padding.

    A text of more than ``max_tokens`` tokens is cut as BERT does (from the right, the longer half of a pair first) and
    counted, or refused when ``on_long`` is "refuse". The tokenizer's own truncation and padding settings are left as
    they were. Raises UserError for an empty text, a refused one, and a limit that leaves no room for text.

    Args:
        words: find the first token of every word as well.
    """
    pair = examples.text_b is not None
    special = tokenizer.num_special_tokens_to_add(pair)
    least = special + (2 if pair else 1)
    if max_tokens < least:
        raise UserError(
            f"The limit of {max_tokens} tokens leaves no room for text beside {special} special tokens: "
            f"allow at least {least}"
        )
    texts: list[Any] = examples.text_a
    if examples.text_b is not None:
        texts = list(zip(examples.text_a, examples.text_b, strict=True))
    _refuse_halves(examples)
    encoded: list[Encoded] = []
    truncated = 0
    with plain_settings(tokenizer):
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            for offset, (text, encoding) in enumerate(zip(chunk, _encode(tokenizer, chunk, None, words), strict=True)):
                where = "The text" if len(texts) == 1 else f"Text {start + offset + 1} of {len(texts)}"
                _refuse_empty(where, text, len(encoding.ids) - special)
                if len(encoding.ids) > max_tokens:
                    if on_long == "refuse":
                        raise UserError(
                            f"{where} has {len(encoding.ids)} tokens, more than the limit of {max_tokens}: "
                            "shorten it, or train a network for longer texts"
                        )
                    encoding = _encode(tokenizer, [text], max_tokens, words)[0]
                    truncated += 1
                types = np.minimum(encoding.type_ids, 255).astype(np.uint8)
                first = {"first": _first_tokens(text, encoding.offsets)} if words else {}
                encoded.append(Encoded(np.array(encoding.ids, np.int32), types, **first))
    return Tokenised(encoded, truncated)


def _first_tokens(text: str, offsets: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Index of the first token that shares a character with each word of ``text``, -1 where none does: (words,)."""
    spans = [match.span() for match in _WORD.finditer(text)]
    first = np.full(len(spans), -1, dtype=np.int64)
    for token in range(len(offsets) - 1, -1, -1):
        start, end = offsets[token]
        for word in range(bisect_right(spans, start, key=lambda span: span[1]), len(spans)):
            if spans[word][0] >= end:
                break
            first[word] = token
    return first


def collate(encoded: Sequence[Encoded], pad_id: int, max_tokens: int | None = None) -> TokenBatch:
    """Pad B examples to the longest of them, or to exactly ``max_tokens`` where a network has a fixed number of tokens.

    Raises ValueError for no examples and for one longer than ``max_tokens``.
    """
    if not encoded:
        raise ValueError("a batch needs at least one example")
    lengths = np.array([len(one) for one in encoded], dtype=np.int64)
    width = int(lengths.max()) if max_tokens is None else max_tokens
    if lengths.max() > width:
        raise ValueError(f"an example of {lengths.max()} tokens does not fit a batch of {width}")
    input_ids = np.full((len(encoded), width), pad_id, dtype=np.int64)
    token_type_ids = np.zeros((len(encoded), width), dtype=np.int64)
    for row, one in enumerate(encoded):
        input_ids[row, : len(one)] = one.input_ids
        token_type_ids[row, : len(one)] = one.token_type_ids
    return TokenBatch(input_ids, token_type_ids, lengths)


def length_sorted_batches(
    lengths: ArrayLike, batch_size: int, rng: np.random.Generator | None = None
) -> list[NDArray[np.int64]]:
    """Part the examples with these token ``lengths`` (N,) into index batches of similar length, the last maybe smaller.

    With ``rng`` (training) examples are shuffled, sorted by length inside pools of 16 batches, and the batches
    shuffled. Without (evaluation) examples are sorted by length as a whole, equal lengths in their order; the caller
    puts results back in order with the indices. Every index occurs exactly once. Raises ValueError for ``batch_size``
    below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} is below 1")
    sizes = np.asarray(lengths)
    if rng is None:
        return _cut(np.argsort(sizes, kind="stable"), batch_size)
    batches: list[NDArray[np.int64]] = []
    for pool in _cut(rng.permutation(sizes.size), _POOL * batch_size):
        batches += _cut(pool[np.argsort(sizes[pool], kind="stable")], batch_size)
    return [batches[i] for i in rng.permutation(len(batches))]


def _cut(indices: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _refuse_empty(where: str, text: str | tuple[str, str], tokens: int) -> None:
    if not all(part.strip() for part in ((text,) if isinstance(text, str) else text)):
        raise UserError(f"{where} is empty, and at least 1 token is needed: give a sentence")
    if tokens < 1:
        raise UserError(f"{where}, {text!r}, has 0 tokens where at least 1 is needed: give a sentence with words")


def _refuse_halves(examples: Examples) -> None:
    """No tokenizer takes halves of surrogate pairs, which stand for bytes that are no UTF-8."""
    for texts in (examples.text_a, examples.text_b or []):
        for i, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise UserError(f"Text {i} of {len(texts)} is {text!r:.40}, not a string: give strings")
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise UserError(
                    f"Text {i} of {len(texts)}, {text[:40]!r}, is not UTF-8 at character {error.start + 1}: correct it "
                    "there"
                ) from None


@contextmanager
def plain_settings(tokenizer: Tokenizer) -> Iterator[None]:
    # A tokenizer carries truncation and padding as state; it belongs to the caller, so both are put back.
    truncation, padding = tokenizer.truncation, tokenizer.padding
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        yield
    finally:
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)
        if padding is not None:
            tokenizer.enable_padding(**padding)


def _encode(tokenizer: Tokenizer, texts: list[Any], max_tokens: int | None, offsets: bool = False) -> list[Encoding]:
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens, strategy="longest_first", direction="right")
    try:
        return list(tokenizer.encode_batch(texts) if offsets else tokenizer.encode_batch_fast(texts))
    except BaseException as error:
        raise UserError(f"The tokenizer cannot read the text ({_fault(error)}): use another one") from None
    finally:
        tokenizer.no_truncation()


def read_tokenizer(text: str) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`; raises `ValueError` where there is none in ``text``."""
    try:
        tokenizer = Tokenizer.from_str(text)
        tokenizer.get_vocab_size(with_added_tokens=True)
    except BaseException as error:
        raise ValueError(f"tokenizer: {_fault(error)}") from None
    return tokenizer


def _fault(error: BaseException) -> str:
    """What the tokenizers library raised: bare exceptions, and panics of Rust, which are not even that."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    return first_line(error)
