"""The one exception a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can fix: one sentence naming the thing, its value, the limit and the remedy.

    Parameters stand in backticks under their Python names, as in "choose a smaller `max_tokens`". The command line
    replaces them with its options (`--max-tokens`), prints the sentence without a traceback and exits with code 2.
    """


def first_line(error: BaseException) -> str:
    """What an exception says, short enough for a sentence; its type when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__
