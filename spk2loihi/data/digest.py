"""A fingerprint of the data a run saw, for its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from spk2loihi.data.examples import Examples


def examples_digest(examples: Examples) -> dict[str, Any]:
    """How many examples there are, and the SHA-256 of them as JSON lines ``[text, second text or null, label]``."""
    seconds = examples.text_b if examples.text_b is not None else [None] * len(examples)
    return lines_digest(
        json.dumps(row, ensure_ascii=False) for row in zip(examples.text_a, seconds, examples.labels, strict=True)
    )


def lines_digest(lines: Iterable[str]) -> dict[str, Any]:
    """How many lines there are, and the SHA-256 of them in UTF-8, each with a line feed."""
    digest, count = hashlib.sha256(), 0
    for line in lines:
        digest.update(line.encode() + b"\n")
        count += 1
    return {"examples": count, "sha256": digest.hexdigest()}
