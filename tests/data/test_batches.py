"""Tokens and batches."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from spk2loihi.data import Encoded, Examples, collate, length_sorted_batches, tokenise
from spk2loihi.errors import UserError
from support.letters import CLS, LETTERS, SEP, A


def test_tokenise_single_sentences(tokenizer: Tokenizer) -> None:
    result = tokenise(tokenizer, Examples(["A b", "c", "a b c d", "a b c"], None, [0] * 4), max_tokens=5)
    assert [one.input_ids.tolist() for one in result.encoded] == [
        [CLS, A, A + 1, SEP],
        [CLS, A + 2, SEP],
        [CLS, A, A + 1, A + 2, SEP],
        [CLS, A, A + 1, A + 2, SEP],
    ]
    assert result.truncated == 1
    assert result.lengths.tolist() == [4, 3, 5, 5]
    assert not any(one.token_type_ids.any() for one in result.encoded)


def test_tokenise_pairs_cuts_the_longer_half_first(tokenizer: Tokenizer) -> None:
    pairs = Examples(["a", "a b c d e f"], ["b c", "x"], [0, 1])
    encoded, truncated = tokenise(tokenizer, pairs, max_tokens=6)
    assert encoded[0].input_ids.tolist() == [CLS, A, SEP, A + 1, A + 2, SEP]
    assert encoded[0].token_type_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert encoded[1].input_ids.tolist() == [CLS, A, A + 1, SEP, A + 23, SEP]
    assert truncated == 1


def test_tokenise_many_keeps_the_order(tokenizer: Tokenizer) -> None:
    texts = [" ".join(LETTERS[: 1 + i % 7]) for i in range(3000)]
    assert tokenise(tokenizer, Examples(texts, None, [0] * 3000), 16).lengths.tolist() == [
        3 + i % 7 for i in range(3000)
    ]


@pytest.mark.parametrize(
    ("texts", "pairs", "max_tokens", "message"),
    [
        (["a b c d"], None, 5, "The text has 6 tokens, more than the limit of 5: shorten it"),
        (["a", "a b c d"], None, 5, "Text 2 of 2 has 6 tokens, more than the limit of 5"),
        ([" \t"], None, 5, "The text is empty, and at least 1 token is needed"),
        (["a", "b"], ["c", ""], 9, "Text 2 of 2 is empty"),
        (["\u0000"], None, 5, "The text, '\\x00', has 0 tokens where at least 1 is needed"),
        (["a"], None, 2, "The limit of 2 tokens leaves no room for text beside 2 special tokens: allow at least 3"),
        (["a"], ["b"], 4, "allow at least 5"),
    ],
)
def test_refused_texts(
    tokenizer: Tokenizer, texts: list[str], pairs: list[str] | None, max_tokens: int, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        tokenise(tokenizer, Examples(texts, pairs, [0] * len(texts)), max_tokens, on_long="refuse")
    assert message in str(caught.value)


# --- batches


def encoded(*ids: int) -> Encoded:
    return Encoded(np.array(ids, np.int32), np.array([i % 2 for i in ids], np.uint8))


def test_collate_pads_to_the_longest_or_to_a_fixed_width() -> None:
    batch = collate([encoded(5, 6, 7), encoded(9)], pad_id=1)
    assert batch.input_ids.tolist() == [[5, 6, 7], [9, 1, 1]]
    assert batch.token_type_ids.tolist() == [[1, 0, 1], [1, 0, 0]]
    assert batch.lengths.tolist() == [3, 1]
    assert batch.mask.tolist() == [[True, True, True], [True, False, False]]
    assert {a.dtype for a in (batch.input_ids, batch.token_type_ids, batch.lengths)} == {np.dtype(np.int64)}
    assert collate([encoded(9)], pad_id=0, max_tokens=3).input_ids.tolist() == [[9, 0, 0]]
    with pytest.raises(ValueError):
        collate([encoded(5, 6, 7)], pad_id=0, max_tokens=2)
    with pytest.raises(ValueError):
        collate([], pad_id=0)


def test_evaluation_batches_are_sorted_by_length() -> None:
    lengths = [3, 9, 3, 1, 7]
    assert [batch.tolist() for batch in length_sorted_batches(lengths, 2)] == [[3, 0], [2, 4], [1]]
    assert length_sorted_batches([], 4) == []
    with pytest.raises(ValueError):
        length_sorted_batches(lengths, 0)


def test_training_batches_are_shuffled_yet_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 64, size=1003)
    first, again, other = (length_sorted_batches(lengths, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert sorted(np.concatenate(first).tolist()) == list(range(1003))
    assert [b.tolist() for b in first] == [b.tolist() for b in again] != [b.tolist() for b in other]
    assert sorted(map(len, first)) == [3] + [8] * 125
    padded = sum(int(lengths[b].max()) * len(b) for b in first)
    assert padded < 1.15 * lengths.sum()
    assert np.mean(np.diff([lengths[b].mean() for b in first]) > 0) == pytest.approx(0.5, abs=0.15)
