"""Options of a command in a YAML file: read for `--config`, and written beside results, to repeat a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import click

from spk2loihi.cli.option_groups import option_name
from spk2loihi.cli.option_types import STANDARD_OUTPUT, Several
from spk2loihi.errors import UserError, first_line
from spk2loihi.ranges import shown

SIZE_MAX = 1 << 16  # bytes
_DIGITS_MAX = 18
_REMEDY = "name a YAML file of options as `config`"

#: Parameters that say nothing of what a run makes.
_OF_A_CALL = ("config", "quiet", "verbose", "force", "resume", "help")


def key_of(parameter: click.Parameter) -> str:
    """Of a parameter, in a file: the name of the option without dashes, or of the argument in lower case."""
    if isinstance(parameter, click.Option):
        return option_name(parameter)
    return str(parameter.name).replace("_", "-")


def read_config(path: Path, context: click.Context) -> dict[str, Any]:
    """Values of parameters by their names, as click takes them for defaults.

    Raises:
        UserError: the file cannot be read, is no plain YAML, is of another command, or has an option that the command
            has not, or a value that is none of it.
    """
    command = str(context.command.name)
    known = {key_of(p): p for p in context.command.params if p.name not in _OF_A_CALL}
    values: dict[str, Any] = {}
    for key, value in _mapping(path).items():
        if key == "command":
            if value != command:
                raise UserError(
                    f"{path} is of the command {shown(value)}, but this is {command}: name another `config`"
                )
            continue
        parameter = known.get(key.replace("_", "-")) if isinstance(key, str) else None
        if parameter is None:
            close = get_close_matches(str(key), known, 1)
            raise UserError(
                f"{path}: {command} has no option {shown(key)}: "
                + (f"did you mean {close[0]}?" if close else "leave it out")
            )
        if value is not None:
            values[str(parameter.name)] = _value(path, key, value, parameter, context)
    return values


def _value(path: Path, key: str, value: Any, parameter: click.Parameter, context: click.Context) -> Any:
    kind, parts = parameter.type, value
    if isinstance(kind, Several) and isinstance(value, list):
        fits = all(_fits(each, kind.of) for each in value)
    elif isinstance(kind, Several):
        parts, fits = value if isinstance(value, str) else [value], isinstance(value, str) or _fits(value, kind.of)
    elif (isinstance(parameter, click.Option) and parameter.multiple) or parameter.nargs == -1:
        parts = value if isinstance(value, list) else [value]
        fits = all(_fits(each, kind) for each in parts)
    elif key == "layers" and isinstance(value, list):
        parts, fits = ",".join(map(str, value)), all(_fits(each, click.INT) for each in value)
    else:
        fits = _fits(value, kind)
    if not fits:
        raise UserError(f"{path}: `{parameter.name}` is {shown(value)}, but it is {_wanted(parameter)}: change it")
    try:
        parameter.type_cast_value(context, parts)
    except click.BadParameter as error:
        raise UserError(f"{path}: `{parameter.name}`: {error.message}") from None
    return parts


def _fits(value: Any, kind: click.ParamType[Any]) -> bool:
    if isinstance(kind, click.types.BoolParamType):
        return isinstance(value, bool)
    if isinstance(kind, click.types.IntParamType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, click.types.FloatParamType):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(kind, (click.Path, click.Choice)):
        return isinstance(value, str)
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _wanted(parameter: click.Parameter) -> str:
    kind = parameter.type.of if isinstance(parameter.type, Several) else parameter.type
    if isinstance(kind, click.types.BoolParamType):
        return "true or false"
    if isinstance(kind, click.types.IntParamType):
        what = "a whole number"
    elif isinstance(kind, click.types.FloatParamType):
        what = "a number"
    else:
        what = "a path" if isinstance(kind, click.Path) else "a text"
    several = isinstance(parameter.type, Several) or (isinstance(parameter, click.Option) and parameter.multiple)
    return f"{what}, or a list of them" if several else what


# --- YAML


def _mapping(path: Path) -> dict[Any, Any]:
    import yaml

    from spk2loihi.files import read_limited

    content = read_limited(path, "options file", _REMEDY, SIZE_MAX)
    try:
        found = yaml.load(content.decode("utf-8-sig"), Loader=_loader())  # a SafeLoader, and less
    except UnicodeDecodeError:
        raise UserError(f"options file {path} is not UTF-8: save it in UTF-8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else _reason(error)
        raise UserError(f"options file {path} is not YAML that can be used ({reason}): mend it at that place") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"options file {path} holds no options, a line each such as `epochs: 1`: {_REMEDY}")
    return found


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or first_line(error)
    return problem if mark is None else f"{problem}, line {mark.line + 1}"


def _loader() -> Any:
    """Of plain YAML 1.2: no aliases, no tags, every key once; `no` is a text, and 1e-3 a number."""
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                raise yaml.MarkedYAMLError(problem="an alias", problem_mark=event.start_mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, (str, int, float)) or key in made:
                    problem = (
                        f"the key {shown(key)} is there twice" if isinstance(key, str) else "a key that is no name"
                    )
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
                made[key] = self.construct_object(value_node, deep=True)
            return made

        def construct_number(self, node: Any) -> int | float:
            text = str(node.value)
            if len(text) > _DIGITS_MAX + 7:
                raise yaml.MarkedYAMLError(problem="a number of too many digits", problem_mark=node.start_mark)
            value = int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
            if abs(value) == float("inf"):
                raise yaml.MarkedYAMLError(problem="a number that is not finite", problem_mark=node.start_mark)
            return value

    number = r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(~|null|)$"), ["~", "n", ""])
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), list("tf"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"^{number}$"), list("-+.0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_number)
    return Loader


# --- the file beside a result


def run_file(result: Path) -> Path:
    """Where the options of a run go: beside the file ``result``, or into the folder of that name."""
    return result.with_name(f"{result.name}.run.yaml")


def run_record(context: click.Context, place: Path, without: tuple[str, ...] = ()) -> str:
    """Contents of `run_file`: the options of the command that runs, the defaults of this version included.

    Args:
        without: parameters that do not count in this run.
    """
    import yaml

    from spk2loihi.results import run_mark
    from spk2loihi.versions import versions

    options: dict[str, Any] = {"command": str(context.command.name)}
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in (*_OF_A_CALL, *without) or value in (None, (), STANDARD_OUTPUT) or value is False:
            continue
        options[key_of(parameter)] = _plain(value)
    body = (
        f"# {_again(context, place)} repeats this run; paths count from the working folder.\n"
        f"# spk2loihi {versions().get('spk2loihi', '')}\n"
        + yaml.dump(options, Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    )
    return run_mark(body) + body


def _again(context: click.Context, place: Path) -> str:
    import shlex

    from spk2loihi.formatting import printable

    return printable(shlex.join(["spk2loihi", str(context.command.name), "--config", str(place)]))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _dumper() -> Any:
    """Texts that `_loader`, or another reader of YAML, would take for something else are quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        plain = re.fullmatch(r"[A-Za-z][\w ./:-]*[\w/]|[A-Za-z]", value) and ": " not in value
        known = value.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain and not known else '"')

    Dumper.add_representer(str, text)
    return Dumper


def given_options(context: click.Context) -> list[str]:
    """This command line and its `--config` in words, without what is the default anyway."""
    words = []
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in _OF_A_CALL or value in (None, (), False) or value == _default(parameter, context):
            continue
        values = list(value) if isinstance(value, tuple) and not isinstance(parameter.type, Several) else [value]
        for each in values:
            text = ",".join(map(str, each)) if isinstance(each, tuple) else str(each)
            if isinstance(parameter, click.Argument):
                words.append(text)
            else:
                words += [f"--{key_of(parameter)}"] if value is True else [f"--{key_of(parameter)}", text]
    return words


def _default(parameter: click.Parameter, context: click.Context) -> Any:
    default: Mapping[str, Any] | Any = parameter.default
    return parameter.type_cast_value(context, default) if isinstance(default, (str, int, float)) else None
