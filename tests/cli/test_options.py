"""Options over all commands: one name, one type and one heading; help in sections; quiet, verbose, JSON on a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest

from spk2loihi.cli.common import say
from spk2loihi.cli.main import cli
from spk2loihi.cli.option_groups import OPTION_GROUPS, heading, option_name
from spk2loihi.cli.option_types import Several
from spk2loihi.cli.tables import print_table
from support.tiny_task import spk2loihi


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    return {name: cli.get_command(context, name) for name in cli.list_commands(context)}  # type: ignore[misc]


def options() -> list[tuple[str, click.Option]]:
    return [(name, p) for name, c in commands().items() for p in c.params if isinstance(p, click.Option)]


def kind(option: click.Option) -> str:
    """Of one value: a list is of values of the type that the option has elsewhere."""
    of: Any = option.type.of if isinstance(option.type, Several) else option.type
    return "flag" if option.is_flag else type(of).__name__.replace("IntRange", "IntParamType")


def test_a_name_has_one_type_and_one_parameter() -> None:
    kinds: dict[str, set[str]] = defaultdict(set)
    parameters: dict[str, set[str]] = defaultdict(set)
    for _, option in options():
        kinds[option_name(option)].add(kind(option))
        parameters[option_name(option)].add(str(option.name).removesuffix("s"))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}
    assert {n: f for n, f in parameters.items() if len(f) > 1} == {"max-tokens": {"token", "max_token"}}


def test_a_parameter_has_one_name_in_a_command_and_one_letter_means_one_thing() -> None:
    letters: dict[str, set[str]] = defaultdict(set)
    for command, option in options():
        assert sum(name.startswith("--") for name in option.opts) == 1, (command, option.opts)
        for letter in (name for name in option.opts if not name.startswith("--")):
            letters[letter].add(option_name(option))
    assert letters == {"-o": {"out"}, "-q": {"quiet"}, "-v": {"verbose"}}


def test_every_option_stands_under_a_heading_and_says_what_it_is() -> None:
    used = {"help"}
    for command, option in options():
        assert heading(option)
        assert (option.help or "").endswith((".", "]")), (command, option.name)
        used.add(option_name(option))
    assert {name for names in OPTION_GROUPS.values() for name in names} == used


def test_choices_are_the_same_ones_everywhere() -> None:
    largest: dict[str, set[str]] = defaultdict(set)
    for _, option in options():
        of = option.type.of if isinstance(option.type, Several) else option.type
        if isinstance(of, click.Choice):
            largest[option_name(option)] |= set(map(str, of.choices))
    assert largest["schedule"] == {"windowed", "pipelined", "settling", "streamed"}
    assert largest["backend"] == {"emulator", "stepped", "cpu", "loihi2"}


@pytest.mark.parametrize("name", [*commands()])
def test_help_is_in_sections_that_fit_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = spk2loihi(name, "-h").out.splitlines()
    assert "Every command:" in lines and "Options:" not in lines
    assert max(map(len, lines)) <= 80


def test_completion_offers_commands_and_options() -> None:
    script = [str(Path(sys.executable).with_name("spk2loihi"))]

    def offered(words: str, at: int) -> set[str]:
        words_of = {"_SPK2LOIHI_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        done = subprocess.run(script, env=words_of, capture_output=True, text=True, check=True)
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert offered("spk2loihi e", 1) == {"export", "energy"}
    assert offered("spk2loihi simulate --backend st", 3) == {"stepped"}


def test_quiet_and_verbose(network_file: Path) -> None:
    usual = spk2loihi("simulate", network_file, "--samples", 4)
    quiet = spk2loihi("simulate", network_file, "--samples", 4, "-q")
    assert (quiet.code, quiet.err) == (0, "")
    assert quiet.out.splitlines()[0] == usual.out.splitlines()[0]
    verbose = spk2loihi("simulate", network_file, "--samples", 4, "-v")
    assert verbose.code == 0
    for part in (f"read {network_file}: ", "held-out data: 4 of ", "emulator: 4 sentences in ", "done in "):
        assert part in verbose.err, part
    assert "read" not in usual.err
    both = spk2loihi("simulate", network_file, "-q", "-v")
    assert (both.code, both.err) == (2, "Error: --quiet and --verbose are opposites: give one of them\n")


def test_json_on_standard_output_is_nothing_but_json(network_file: Path, tmp_path: Path) -> None:
    numbers = spk2loihi("simulate", network_file, "--samples", 4, "--json", "-")
    assert json.loads(numbers.out)["samples"] == 4
    assert "SynOps per sentence" in numbers.err
    assert json.loads(spk2loihi("inspect", network_file, "--json", "-").out)["layers"]
    assert not Path("-").exists()


def test_a_table_folds_where_it_is_too_wide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    rows = [("layer.0.query", "384", "synaptic_memory " * 3), ("layer.0.key", "24", "")]
    for width in (120, 40):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(("layer", "neurons", "binding limit"), rows, left=("layer",))
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= width
        assert ("┃" in text) == (width == 120)
        assert text.count("synaptic_memory") == 3 and "layer.0.key" in text


def test_a_terminal_gets_long_lines_folded_and_a_pipe_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    line = "a sentence that is longer than the line of this terminal"
    say(line)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    say(line)
    assert capsys.readouterr().out == f"{line}\na sentence that is longer than\nthe line of this terminal\n"
