"""A tokenizer of letters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from support.letters import CLS, LETTERS, SEP


@pytest.fixture
def tokenizer() -> Iterator[Tokenizer]:
    """A BERT tokenizer whose words are single letters, with the state that saved tokenizers come with."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    before = (tokenizer.truncation, tokenizer.padding)
    yield tokenizer
    assert (tokenizer.truncation, tokenizer.padding) == before
