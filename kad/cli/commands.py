"""From words on the shell and files of options to a command's dataclass, which says what carries it out. jsonargparse reads them.

torch is loaded for who names a loss, a solver or a target, and by what carries the command out; not for help, and not to refuse a typo.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, get_loader, set_loader  # type: ignore[attr-defined]

from ..bounded import CHARACTERS, check_yaml, read_text
from ..errors import UsageError, visible
from ..imports import named
from ..terminal import waiting
from . import options, watching
from .configurations import as_json, made_of
from .groups import Window
from .interrupts import started_up
from .names import nearest
from .refusals import CLASSES, dashed, no_option, refused

PATH = re.compile(r"(?<![\w./-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w./-])")


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
    """Options' values, within bounds; not YAML is what this cannot read."""
    try:
        if len(text) > CHARACTERS:
            raise ValueError(f"it is longer than {CHARACTERS:,} characters.")
        check_yaml(text)
        return yaml_loader(text)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


yaml_loader = get_loader("yaml")
set_loader("yaml", load_yaml, exceptions=(yaml.YAMLError,))


def class_of(name: str) -> Any:
    """A command's dataclass."""
    return getattr(options, name.capitalize(), None) or getattr(watching, name.capitalize())


def hints_of(name: str, classes: bool) -> dict[str, Any]:
    """The types of a command's options; without ``classes``, those of kad's own are texts, and nothing is loaded for them."""
    kinds: dict[str, Any] = {"Loss": str, "Solver": str, "Target": str}
    if classes:
        from .. import cascades, losses, mixture, solvers, stateful

        del cascades, stateful  # loaded, what is in them has a name
        kinds = {"Loss": losses.Loss, "Solver": solvers.Solver, "Target": mixture.Target}
    return get_type_hints(class_of(name), localns=kinds)


def parser(name: str, classes: bool = False) -> Parser:
    """The parser of a command."""
    command, hints = class_of(name), hints_of(name, classes)
    one = Parser(
        prog=f"kad {name}",
        exit_on_error=False,
        description=(command.__doc__ or "").strip(),
        allow_abbrev=False,
        print_config="--print-config",
    )
    one.add_argument("--config", action=ActionConfigFile, help="Read options from this YAML file.")
    own = vars(command).get("__annotations__", {})
    for field in sorted(dataclasses.fields(command), key=lambda field: field.name not in own):  # its own come first
        add(one, field, hints[field.name])
    one.add_argument("--debug", action="store_true", help="Show the traceback of an error.")
    return one


def add(one: Parser, field: dataclasses.Field[Any], hint: Any) -> None:
    """One field as an argument."""
    about, flag, upper = field.metadata["help"], f"--{field.name.replace('_', '-')}", field.name.upper()
    if "positional" in field.metadata:
        if field.default is dataclasses.MISSING:
            one.add_argument(field.name, type=Path, help=about)
        else:
            one.add_argument(field.name, type=str, nargs="?", help=about)
    elif field.default is False:
        one.add_argument(flag, action="store_true", help=about)
    elif get_origin(hint) is tuple:
        again = about if about == argparse.SUPPRESS else f"{about} May be given several times."
        one.add_argument(flag, type=hint, default=field.default, metavar=upper, help=again)
    elif field.name in CLASSES:
        more = f"{about} One of {', '.join(CLASSES[field.name])}; {flag}.help NAME lists its settings, {flag}.SETTING gives one."
        one.add_argument(flag, type=hint, default=field.default, metavar=upper, help=more)
    else:
        one.add_argument(flag, type=hint, default=field.default, help=about)


def carry(arguments: Sequence[str]) -> int:
    """Parse and call. Modules that the arguments name may come from the current folder."""
    try:
        with named(*texts_of(arguments)):
            command = command_of(arguments[0], arguments[1:])
    except Done as done:
        return done.status
    with waiting("starting"):
        quiet()
        run = pkgutil.resolve_name(command.runs)
    started_up()
    run(command)
    return 0


def command_of(name: str, arguments: Sequence[str]) -> Any:
    """The command's dataclass.

    Raises:
        UsageError: arguments that it does not take; one sentence.
    """
    own, rest = handed_on(name, arguments)
    words = [*spelt(name, own), *rest]
    one = parser(name, classes=any(re.match(r"--(loss|solver|target|config)\b", word) for word in words))
    positional = next((f.name for f in dataclasses.fields(class_of(name)) if "positional" in f.metadata), None)
    check_names(name, one, words)
    try:
        found = one.instantiate(one.parse_args(words))
    except Exception as error:
        raise UsageError(refused(name, error, hints_of(name, False), positional)) from error
    return class_of(name)(**{key: value for key, value in found.items() if key not in ("config", "debug")})


def spelt(name: str, arguments: Sequence[str]) -> list[str]:
    """The words as the parser reads them: options with dashes, lists gathered, classes and files of options in its own form."""
    fields, lists = {f.name for f in dataclasses.fields(class_of(name))}, lists_of(name)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = gathered([dashed(a) for a in arguments[:end]], lists)
    found, rest = list[str](), iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        key = flag.removeprefix("--")
        if flag.startswith("--") and (key == "config" or (key in CLASSES and key in fields)):
            given = value if equals else next(rest, None)
            if given is None:
                raise UsageError(f"option {flag} needs a value.")
            found.append(f"{flag}={as_json(given, lists, fields) if key == 'config' else of_shell(key, given)}")
        else:
            found.append(word)
    return [*found, *arguments[end:]]


def of_shell(key: str, text: str) -> str:
    """A loss, a solver or a target from the shell: its name, or YAML."""
    if text in ("null", "None"):
        return "null"
    whole = made_of(key, load_yaml(text) if text.lstrip().startswith("{") else text)
    return json.dumps(whole) if whole.get("init_args") else str(whole["class_path"])


def check_names(command: str, one: Parser, words: Sequence[str]) -> None:
    """Raise a UsageError about the first option that there is not; the parser would blame what stands beside it too."""
    known = {flag for action in one._actions if action.help != argparse.SUPPRESS for flag in action.option_strings}
    for word, after in itertools.zip_longest(words, words[1:], fillvalue=""):
        flag = word.partition("=")[0]
        if word == "--":
            return
        if flag.startswith("--rest"):  # what is handed on
            continue
        own = flag.partition(".")[0]
        if flag.startswith("--") and flag not in known and not ("." in flag and own in known and own[2:] in CLASSES):
            value = word.partition("=")[2] or ("" if after.startswith("-") else after)
            raise UsageError(no_option(command, flag, known, value))


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


def handed_on(name: str, arguments: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """A command's own words, and those after ``--`` for what it starts, as the option that it has for them.

    >>> handed_on("serve", ["--port", "80", "--", "--seed", "3"])
    (['--port', '80'], ['--rest=["--seed", "3"]'])
    """
    if name != "serve" or "--" not in arguments:
        return arguments, []
    place = arguments.index("--")
    return arguments[:place], [f"--rest={json.dumps(arguments[place + 1 :])}"]


def lists_of(name: str) -> dict[str, Any]:
    """The options that may be given several times, with the type of one value."""
    return {key: get_args(hint)[0] for key, hint in hints_of(name, False).items() if get_origin(hint) is tuple}


def gathered(arguments: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """``--stop a --stop b`` is ``--stop=["a", "b"]``, whatever the strings would mean in YAML.

    >>> gathered(["--n", "3", "--stop", "1", "--stop=x"], {"stop": str})
    ['--n', '3', '--stop=["1", "x"]']
    """
    kept, found = list[str](), dict[str, list[object]]()
    rest = iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        key = flag.removeprefix("--").replace("-", "_")
        if key in kinds and flag.startswith("--"):
            given = value if equals else next(rest, None)
            if given is None:
                raise UsageError(f"option {flag} needs a value.")
            found.setdefault(flag, []).append(typed(flag, given, kinds[key]))
        else:
            kept.append(argument)
    return kept + [f"{flag}={json.dumps(values)}" for flag, values in found.items()]


def typed(flag: str, text: str, kind: Any) -> object:
    """One value of an option that may be given several times."""
    known = get_args(kind) if get_origin(kind) is Literal else ()
    if known and text not in known:
        raise UsageError(f"{flag} must be one of {', '.join(known)}, got {text!r}{nearest(text, known) or '.'}")
    if kind is str or known or (kind == Window and text == "auto"):
        return text
    try:
        return float(text) if kind is float else int(text)
    except ValueError:
        raise UsageError(f"{flag} takes a number, got {text!r}.") from None
