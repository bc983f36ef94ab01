"""Help, and the command lines of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from spk2loihi.cli.main import cli
from support.tiny_task import spk2loihi

COMMANDS = cli.list_commands(None)  # type: ignore[arg-type]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    outcome = spk2loihi(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: spk2loihi {command} ")
    assert "--json" in outcome.out
    assert "--help" in outcome.out


def test_group_help_lists_every_command() -> None:
    outcome = spk2loihi("--help")
    assert outcome.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command}  +\S", outcome.out, re.MULTILINE), command


def test_version() -> None:
    from spk2loihi import __version__

    assert __version__ in spk2loihi("--version").out


def test_unknown_command() -> None:
    outcome = spk2loihi("tarin")
    assert outcome.code == 2
    assert "tarin" in outcome.err


def test_help_is_quick() -> None:
    """Neither torch nor transformers nor Lava is imported to show what commands there are."""
    code = (
        "import sys\nfrom spk2loihi.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'lava', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def documented_lines() -> list[tuple[str, str]]:
    """(file, command line) of every `spk2loihi ...` in code of README.md and docs."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        for line in [*lines, *inline]:
            if match := re.match(r"\s*(?:\$ )?(?:uv run )?spk2loihi( .*)", line):
                found.append((path.name, match[1].split(" #")[0].strip()))
    return found


@pytest.mark.parametrize(("file", "line"), documented_lines())
def test_documented_commands_exist(file: str, line: str) -> None:
    words = line.split()
    if words[0].startswith("-") or words[0] in ("<command>", "COMMAND", "..."):
        return
    assert words[0] in COMMANDS, f"{file}: spk2loihi {line}"
    command = cli.get_command(None, words[0])  # type: ignore[arg-type]
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    for word in words[1:]:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in known, f"{file}: spk2loihi {line}"
