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


def test_no_folder_for_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that cannot be written, or a full disk: loops are compiled, and not kept."""
    from numba.core.caching import CacheImpl, IndexDataCacheFile

    file = tmp_path / "loop.py"
    file.write_text(LOOP)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(IndexDataCacheFile, "_save_data", full)
        assert runpy.run_path(str(file))["hits"] == 0
    with monkeypatch.context() as patch:
        patch.setattr(CacheImpl, "_locator_classes", [])  # numba: "no locator available"
        assert runpy.run_path(str(file))["one_more"](1) == 2
        assert module.cache_folder() is None


def test_a_user_without_a_home_gets_no_folder_named_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "loop.py"
    file.write_text(LOOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(module.os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    assert runpy.run_path(str(file))["one_more"](1) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["loop.py"]
