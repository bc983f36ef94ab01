"""Records that stand for work that need not be done again: known by a key, and sealed by a digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spk2loihi.errors import UserError
from spk2loihi.files import write_json
from spk2loihi.json_file import read_json

_DIGEST = "digest"  # of all else in a record


def keep_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record, in which ``key`` has all that decides the rest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**record, _DIGEST: json_digest(record)})


def kept_record(path: Path, key: dict[str, Any], what: str, size_max: int) -> dict[str, Any] | None:
    """The record that ``path`` holds; None where there is none of ``key``, or it is not as it was written."""
    try:
        record = read_json(path, what, "remove it", size_max, size_max)
    except UserError:
        return None
    if not isinstance(record, dict) or record.get("key") != key:
        return None
    digest = record.pop(_DIGEST, None)
    return record if digest == json_digest(record) else None


def json_digest(record: dict[str, Any]) -> str:
    """SHA-256 of what JSON says of a record."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
