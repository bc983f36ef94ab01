"""Holding out part of a set of sentences, so that no held-out sentence is also trained on."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

_IGNORED = str.maketrans("", "", string.punctuation + string.whitespace)


def sentence_key(text_a: str, text_b: str | None = None) -> str:
    """What two copies of a sentence (or pair) share: the text without case, white space and ASCII punctuation.

    A sentence of nothing but punctuation is its own key, so that ":)" and ":(" stay apart.
    """
    key = text_a.casefold().translate(_IGNORED) or text_a
    return key if text_b is None else f"{key}\t{text_b.casefold().translate(_IGNORED) or text_b}"


def plain_words(text: str) -> tuple[str, ...]:
    """Its words, without case and ASCII punctuation."""
    return tuple(word for each in text.casefold().split() if (word := each.translate(_IGNORED)))


def hold_out(keys: Sequence[str], count: int, seed: int) -> tuple[list[int], list[int]]:
    """Shuffle N sentences, given by their keys, and part them: (training indices, held-out indices), both shuffled.

    The held-out part is the first ``count`` sentences of the shuffle with distinct keys; the training part is the rest,
    less the sentences whose key is held out. So the parts share no key, the held-out part has no duplicates, and
    further copies of a held-out sentence are in neither part. Raises ValueError when there are fewer than ``count``
    distinct keys.
    """
    order = np.random.default_rng(seed).permutation(len(keys)).tolist()
    held_out: dict[str, int] = {}
    for index in order:
        if len(held_out) == count:
            break
        held_out.setdefault(keys[index], index)
    if len(held_out) < count:
        raise ValueError(f"cannot hold out {count} of {len(held_out)} distinct sentences")
    return [index for index in order if keys[index] not in held_out], list(held_out.values())
