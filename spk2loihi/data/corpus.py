"""Raw text for general distillation: no labels, one sentence or paragraph a line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from spk2loihi.data.batches import Encoded, plain_settings
from spk2loihi.data.tables import read_text
from spk2loihi.errors import UserError

_CORPUS_MAX = 1 << 32  # bytes: an English Wikipedia has 20 GB, of which nobody needs all
_CHUNK = 1024  # lines tokenised at once
_MARKUP = re.compile(r"</?doc\b[^>]*>")  # WikiExtractor's lines around an article


def load_corpus(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, stripped; blank ones and the ``<doc …>`` lines of WikiExtractor are left out.

    Raises UserError for a file that cannot be read or decoded, and for one without text.
    """
    stripped = (line.strip() for line in read_text(path, "check `corpus`", _CORPUS_MAX).split("\n"))
    lines = [line for line in stripped if line and not _MARKUP.fullmatch(line)]
    if not lines:
        raise UserError(f"{path} holds no text: give a file with one sentence or paragraph a line with `corpus`")
    return lines


def tokenise_corpus(tokenizer: Tokenizer, lines: list[str], max_tokens: int) -> list[Encoded]:
    """Token ids of every line, special tokens included; a line of more than ``max_tokens`` becomes several.

    Lines in which the tokenizer finds nothing are left out. The tokenizer's own settings are left as they were. Raises
    UserError for a limit without room for text.
    """
    special = tokenizer.num_special_tokens_to_add(False)
    if max_tokens <= special:
        raise UserError(
            f"The limit of {max_tokens} tokens leaves no room for text beside {special} special tokens: "
            f"allow at least {special + 1}"
        )
    encoded: list[Encoded] = []
    with plain_settings(tokenizer):
        tokenizer.enable_truncation(max_tokens)
        for start in range(0, len(lines), _CHUNK):
            for encoding in tokenizer.encode_batch_fast(lines[start : start + _CHUNK]):
                for piece in (encoding, *encoding.overflowing):
                    if len(piece.ids) > special:
                        encoded.append(Encoded(np.array(piece.ids, np.int32), np.array(piece.type_ids, np.uint8)))
    return encoded
