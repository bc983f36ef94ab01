"""Raw text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from spk2loihi.data import load_corpus, tokenise_corpus
from spk2loihi.errors import UserError
from support.data_files import write
from support.letters import CLS, SEP, A


def test_corpus(tmp_path: Path) -> None:
    text = '\ufeff<doc id="1" title="a > b">\nTitle\n\n  One line.\u2028Still. \r\n<doc>\nA <doc> inside.\n</doc>\n'
    path = write(tmp_path / "wiki.txt", text.replace("a > b", "a"))
    assert load_corpus(path) == ["Title", "One line.\u2028Still.", "A <doc> inside."]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "holds no text"), ("\n<doc>\n\n</doc>", "holds no text"), (b"a\n\xff", "line 2: byte 0xff is not UTF-8")],
)
def test_unfit_corpora(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_corpus(write(tmp_path / "a.txt", content))
    with pytest.raises(UserError, match=r"none\.txt does not exist: check `corpus`"):
        load_corpus(tmp_path / "none.txt")


def test_long_lines_of_a_corpus_become_several_texts(tokenizer: Tokenizer) -> None:
    encoded = tokenise_corpus(tokenizer, ["a b c d e f g", "\x00", "h"], max_tokens=5)
    ids = [one.input_ids.tolist() for one in encoded]
    pieces = ([A, A + 1, A + 2], [A + 3, A + 4, A + 5], [A + 6], [A + 7])
    assert ids == [[CLS, *piece, SEP] for piece in pieces]
    with pytest.raises(UserError, match="leaves no room"):
        tokenise_corpus(tokenizer, ["a"], 2)
