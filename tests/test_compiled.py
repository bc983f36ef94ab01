"""What numba keeps on disk of compiled loops."""

from __future__ import annotations

import runpy
from pathlib import Path

import numba
import pytest

from spk2loihi import compiled as module

LOOP = """
from spk2loihi.compiled import compiled

@compiled
def one_more(n):
    return n + 1

one_more(1)
hits = len(one_more.stats.cache_hits)
"""


def test_code_is_compiled_again_when_any_source_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the file of the function itself: its constants and the functions it calls come from others."""
    file = tmp_path / "loop.py"
    file.write_text(LOOP)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def hits(sources: str) -> int:
        monkeypatch.setattr(module, "_sources", lambda: sources)
        found: int = runpy.run_path(str(file))["hits"]
        return found

    assert [hits("old"), hits("old"), hits("new"), hits("new")] == [0, 1, 0, 1]


def test_sources_are_those_of_this_package() -> None:
    assert len(module._sources()) == 64
    assert module._sources() == module._sources.__wrapped__()
