"""The scripts in benchmarks/ keep up with the library: what they import is there. `mypy` checks how they call it."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
COMMANDS = [path for path in SCRIPTS if "ArgumentParser(" in path.read_text(encoding="utf-8")]


def source(module: str) -> Path | None:
    """The file of a module of this project; None if there is none."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those that may run when a module is imported: not what only a type checker sees, nor what is in functions."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from statements(statement.orelse)
            continue
        yield statement
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(statement, part, []))


def declared(tree: ast.Module) -> set[str]:
    """The names in ``__all__``."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return set(ast.literal_eval(statement.value))
    return set()


@cache
def names(module: str) -> frozenset[str]:
    """What a module of this project holds once imported, read from its source without importing it."""
    path = source(module)
    if path is None:
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for statement in statements(tree.body):
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            found.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            found |= {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
    if "__getattr__" in found:  # loads what it declares on first use
        found |= declared(tree)
    return frozenset(found)


def missing(script: Path) -> list[str]:
    """Names of this project that a script imports, at its top or in a function, and that do not exist."""
    gone = []
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spk2loihi":
            module = node.module or ""
            gone += [
                f"{module}.{alias.name}"
                for alias in node.names
                if alias.name not in names(module) and source(f"{module}.{alias.name}") is None
            ]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.split(".")[0] == "spk2loihi"]
            gone += [module for module in modules if source(module) is None]
    return gone


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(script: Path) -> None:
    assert missing(script) == []


def test_a_name_that_is_gone_is_found(tmp_path: Path) -> None:
    script = tmp_path / "old.py"
    script.write_text(
        "from spk2loihi.network import Network, staggered\n"
        "from spk2loihi.network import network\n"
        "from spk2loihi.network.network import Schedule, Encodings\n"
        "import spk2loihi.export.network\n"
        "def later():\n"
        "    from spk2loihi.cli.common import held_out\n"
        "    from spk2loihi.gone import anything\n"
        "    from spk2loihi.api import BackendName, CoefficientSet, train\n"
        "    from spk2loihi.models import SpikingBertConfig, SpikingBert\n"
    )
    assert sorted(missing(script)) == [
        "spk2loihi.api.CoefficientSet",  # for type checkers only
        "spk2loihi.cli.common.held_out",
        "spk2loihi.export.network",
        "spk2loihi.gone.anything",
        "spk2loihi.models.SpikingBert",
        "spk2loihi.network.network.Encodings",
        "spk2loihi.network.staggered",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: path.stem)
def test_a_script_starts_and_parses_its_arguments(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    if "\nimport lava" in text and importlib.util.find_spec("lava") is None:
        pytest.skip("lava-nc and lava-dl need Python 3.10")
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"usage: {script.name}" in done.stdout  # after what Lava prints
