"""From words on the shell and files of options to a command's dataclass, which says what carries it out. jsonargparse reads them."""

from __future__ import annotations

import dataclasses
import json
import pkgutil
import re
import sys
from argparse import SUPPRESS
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, get_loader, set_loader  # type: ignore[attr-defined]

from ..bounded import CHARACTERS, check_yaml, read_text
from ..errors import visible
from ..imports import named
from ..version import VERSION
from .groups import Window
from .options import Bench, Demo, Eval, Gaps, Generate, Report, Serve, Solve, Sweep, Tune
from .watching import Chat, Play

PATH = re.compile(r"(?<![\w./-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w./-])")
COMMANDS: dict[str, type[Any]] = {
    c.__name__.lower(): c for c in (Demo, Generate, Chat, Play, Serve, Solve, Gaps, Bench, Eval, Sweep, Tune, Report)
}


class Done(BaseException):
    """The parser has printed what was asked for, such as the help."""

    def __init__(self, status: int) -> None:
        self.status = status


class Parser(ArgumentParser):  # type: ignore[misc]
    """One whose end cannot be taken for that of a user's module, which may call `sys.exit` while it is imported."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            sys.stderr.write(visible(message, "\n"))
        raise Done(status)


def load_yaml(text: str) -> Any:
    """Options' values and configurations, within bounds; not YAML is what this cannot read."""
    try:
        if len(text) > CHARACTERS:
            raise ValueError(f"it is longer than {CHARACTERS:,} characters.")
        check_yaml(text)
        return yaml_loader(text)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


yaml_loader = get_loader("yaml")
set_loader("yaml", load_yaml, exceptions=(yaml.YAMLError,))


def parser() -> Parser:
    """The parser of all commands."""
    about = (
        "Align a large base language model at decoding time with a small aligned one. Beside the subcommands below, "
        "`kad lm-eval ...` runs lm-evaluation-harness with the model kad."
    )
    top = Parser(prog="kad", description=about, version=VERSION, exit_on_error=False)
    commands = top.add_subcommands()
    for name, command in COMMANDS.items():
        words = (command.__doc__ or "").strip()
        one = Parser(exit_on_error=False, description=words)
        one.add_argument("--config", action=ActionConfigFile, help="Read options from this YAML file.")
        hints, own = get_type_hints(command), vars(command).get("__annotations__", {})
        for field in sorted(dataclasses.fields(command), key=lambda field: field.name not in own):  # its own come first
            add(one, field, hints[field.name])
        commands.add_subcommand(name, one, help=words.split("\n")[0])
    return top


def add(one: Parser, field: dataclasses.Field[Any], hint: Any) -> None:
    """One field as an argument."""
    about = field.metadata["help"]
    if "positional" in field.metadata:
        if field.default is dataclasses.MISSING:
            one.add_argument(field.name, type=Path, help=about)
        else:
            one.add_argument(field.name, type=str, nargs="?", help=about)
    elif field.default is False:
        one.add_argument(f"--{field.name}", action="store_true", help=about)
    elif get_origin(hint) is tuple:
        again = about if about == SUPPRESS else f"{about} May be given several times."
        one.add_argument(f"--{field.name}", type=hint, default=field.default, metavar=field.name.upper(), help=again)
    else:
        one.add_argument(f"--{field.name}", type=hint, default=field.default, help=about)


def carry(arguments: Sequence[str]) -> int:
    """Parse and call. Modules that the arguments name may come from the current folder."""
    own, rest = handed_on(arguments)
    top, given = parser(), [*gathered([underscored(a) for a in own]), *rest]
    try:
        with named(*texts_of(given)):
            parsed = top.parse_args(given)
            options = top.instantiate(parsed)[parsed.subcommand]
    except Done as done:
        return done.status
    quiet()
    command = COMMANDS[parsed.subcommand](**{key: value for key, value in options.items() if key != "config"})
    pkgutil.resolve_name(command.runs)(command)
    return 0


def quiet() -> None:
    """No progress bars and hints of the loading library on the shell: our output is the text."""
    import huggingface_hub
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    huggingface_hub.utils.logging.set_verbosity(50)  # it logs every retry; the last word is ours


def texts_of(arguments: Sequence[str]) -> Iterator[str]:
    """Every word of the arguments, of the JSON in them and of the configurations that they name, that may be an import path."""
    for name, argument in zip(["", *arguments], arguments, strict=False):
        key, _, value = argument.partition("=") if argument.startswith("--") else (name, "", argument)
        yield from PATH.findall(value)
        if key == "--config" and value:
            try:
                yield from PATH.findall(read_text(Path(value), value))
            except ValueError:
                continue  # the parser says so in words of its own


def handed_on(arguments: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """A command's own words, and those after ``--`` for what it starts, as the option that it has for them.

    >>> handed_on(["serve", "--port", "80", "--", "--seed", "3"])
    (['serve', '--port', '80'], ['--rest=["--seed", "3"]'])
    """
    if arguments[:1] != ["serve"] or "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], [f"--rest={json.dumps(arguments[place + 1 :])}"]


def underscored(argument: str) -> str:
    """``--max-new-tokens=9`` is ``--max_new_tokens=9``."""
    name, equals, value = argument.partition("=")
    return (name.replace("-", "_").replace("__", "--", 1) + equals + value) if name.startswith("--") else argument


def gathered(arguments: list[str]) -> list[str]:
    """``--stop a --stop b`` is ``--stop ["a", "b"]``, whatever the strings would mean in YAML."""
    hints = get_type_hints(COMMANDS[arguments[0]]) if arguments[:1] and arguments[0] in COMMANDS else {}
    kinds = {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is tuple}
    kept, found = list[str](), {key: list[object]() for key in kinds}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        key = name.removeprefix("--")
        if key in found and name.startswith("--"):
            found[key].append(typed(key, value if equals else next(rest, ""), kinds[key]))
        else:
            kept.append(argument)
    return kept + [f"--{key}={json.dumps(values)}" for key, values in found.items() if values]


def typed(key: str, text: str, kind: Any) -> object:
    """One value of an option that may be given several times."""
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if choices and text not in choices:
        raise ValueError(f"--{key} must be one of {', '.join(choices)}, got {text!r}.")
    if kind is str or choices or (kind == Window and text == "auto"):
        return text
    try:
        return float(text) if kind is float else int(text)
    except ValueError:
        raise ValueError(f"--{key} takes a number, got {text!r}.") from None
