"""The shape of the source: folder order, private names, file names, what is imported when, and words of errors."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from spk2loihi import compiled
from spk2loihi.cli.main import _COMMANDS, _LazyGroup

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spk2loihi"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def folder(path: Path) -> str:
    """The folder of the package a file is in; the file itself at its root."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Module and name of every `from spk2loihi... import ...`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("spk2loihi"):
            yield from ((node.module, alias.name) for alias in node.names)


def test_folder_order_is_the_contract_of_pyproject() -> None:
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert "Pipeline order KEPT" in checked.stdout


def test_nothing_private_crosses_folders() -> None:
    for path in SOURCES:
        for module, name in imports(path):
            parts = [*module.split(".")[1:], name]
            if parts[0] != folder(path):
                assert not any(part.startswith("_") and not part.startswith("__") for part in parts), (path, parts)


def test_a_file_name_says_what_is_in_it_and_no_other_file_has_it() -> None:
    """Commands are named after what they do, so the command line may share names with the files behind it."""
    names = Counter(p.name for p in SOURCES if p.name not in ("__init__.py", "__main__.py") and folder(p) != "cli")
    assert [name for name, count in names.items() if count > 1] == []


def test_compiled_loops_are_stamped_with_all_they_are_made_of() -> None:
    """Files of compiled loops import no code or constant of this package from outside `compiled.SOURCES`."""
    stamped = {path for pattern in compiled.SOURCES for path in PACKAGE.glob(pattern)}
    loop = re.compile(r"^@(compiled|inlined)$", re.MULTILINE)
    loops = [path for path in SOURCES if loop.search(path.read_text(encoding="utf-8"))]
    assert len(loops) >= 5
    for path in loops:
        assert path in stamped
        for module, _ in imports(path):
            file = ROOT / (module.replace(".", "/") + ".py")
            assert file in stamped, (path, module)


# What is imported when

HEAVY = ("transformers", "accelerate", "torch", "numba", "lava", "matplotlib", "jinja2", "nir", "rich", "numpy", "h5py")


def loaded(code: str) -> set[str]:
    """Which of `HEAVY` a fresh interpreter has imported after ``code``."""
    report = f"\nimport sys, json; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*arguments: object) -> str:
    given = [str(argument) for argument in arguments]
    return f"from spk2loihi.cli.main import main\ntry: main({given})\nexcept SystemExit as stop: assert not stop.code"


def test_the_package_alone_loads_nothing() -> None:
    assert loaded("import spk2loihi") == set()


@pytest.mark.parametrize("name", ["--version", *_COMMANDS])
def test_help_loads_nothing(name: str) -> None:
    assert loaded(command(*([name] if name == "--version" else [name, "--help"]))) == set()


@pytest.mark.slow
def test_commands_that_read_a_network_load_no_training_library(network_file: Path, tmp_path: Path) -> None:
    training = {"transformers", "accelerate"}
    assert loaded(command("inspect", network_file)) <= {"numpy", "h5py", "rich"}
    assert loaded(command("fit", network_file)) <= {"numpy", "h5py", "rich"}
    assert loaded(command("fit", "--layers", 2)) <= {"numpy", "h5py", "rich"}
    assert not loaded(command("simulate", network_file, "--text", "a good film")) & {*training, "lava", "matplotlib"}
    assert not loaded(command("energy", network_file, "--samples", 4, "-o", tmp_path / "energy.html")) & training


# Words of errors


def options() -> set[str]:
    group = _LazyGroup()
    commands = [group.get_command(click.Context(group), name) for name in group.list_commands(click.Context(group))]
    return {str(p.name) for one in commands if one for p in one.params if isinstance(p, click.Option)}


def messages(path: Path) -> Iterator[str]:
    """The text of every `UserError(...)` in a file, its values left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError":
            parts = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))
            yield "".join(parts)


def test_errors_of_the_library_name_parameters_that_the_command_line_knows() -> None:
    known, named = options(), 0
    for path in SOURCES:
        for message in messages(path):
            assert not re.search(r"(^|[\s(])--[a-z]", message), f"{path}: {message}"
            for parameter in re.findall(r"`([a-z]\w*)`", message):
                named += 1
                assert parameter in known | {"tokenizer", "sample", "folder", "train", "dev"}, f"{path}: {message}"
    assert named > 60
