"""What the parser has against the arguments, in one sentence of ours: which option, what it takes, what was probably meant."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from .names import LOSS_NAMES, SOLVER_NAMES, TARGET_NAMES, nearest

UNSAID = ("Does not validate against", "Subtypes:", "Errors:", "- Expected a <class 'NoneType'>", "Given value")
CLASSES = {"loss": LOSS_NAMES, "solver": SOLVER_NAMES, "target": TARGET_NAMES}
WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", Path: "a path", bool: "true or false"}


def sentence(error: BaseException) -> str:
    """The first paragraph of an error's message on one line, or the error's name if it has none.

    The parser tries every type that an option may have and reports them all; only what went wrong is kept.
    """
    lines = [line.strip() for line in str(error).strip().split("\n\n")[0].splitlines()]
    kept = [line.removeprefix("- ") for line in lines if line and not line.startswith(UNSAID)]
    text = re.sub(
        r'^(?:Parser key "config": )*Parser key "([\w.]+)":', r"option --\1:", " ".join(" ".join(kept).split())
    )
    return text or type(error).__name__


def dashed(argument: str) -> str:
    """``--max_new_tokens=9`` is ``--max-new-tokens=9``; a setting of a class keeps its name.

    >>> dashed("--max_new_tokens=a_b"), dashed("--solver.time-limit"), dashed("a_b")
    ('--max-new-tokens=a_b', '--solver.time_limit', 'a_b')
    """
    name, equals, value = argument.partition("=")
    own, dot, setting = name.partition(".")
    return (
        own.replace("_", "-") + dot + setting.replace("-", "_") + equals + value if name.startswith("--") else argument
    )


def takes(hint: Any) -> str:
    """What an option of this type takes.

    >>> takes(int | Literal["auto"]), takes(float | None), takes(Literal["kad", "vllm"])
    ('a whole number or auto', 'a number', 'kad or vllm')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(takes(one) for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is Literal:
        *others, last = map(str, get_args(hint))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(hint) is tuple:
        return f"a list, each {takes(get_args(hint)[0])}"
    return WORDS.get(hint, "something else")


def refused(command: str, error: BaseException, hints: Mapping[str, Any], positional: str | None) -> str:
    """The sentence about arguments that the parser of this command does not take."""
    text = str(error)
    found = re.match(r'(?:Parser key "config":\s*)*Parser key "(\w+)":', text)
    if found is not None:
        key, value = found[1], re.search(r"(?:Given value|Got value): (.*)\s*\Z", text, re.DOTALL)
        if key in CLASSES:
            return of_class(command, key, text) or sentence(error)
        if key in hints and value is not None:
            what = takes(hints[key])
            return f"option {dashed('--' + key)} must be {what}, got {value[1]!r}{nearest(value[1], choices(hints[key])) or '.'}"
    if found := re.match(r"unrecognized arguments: (.+)", text):
        if positional == "prompt":
            return f"kad {command} takes one prompt, got {found[1]!r} too; put a prompt of several words in quotes."
        return f"kad {command} takes no further argument, got {found[1]!r}; `kad {command} --help` lists what it takes."
    if found := re.match(r"argument (--[\w.-]+): expected one argument", text):
        return f"option {found[1]} needs a value; one that begins with - is given by =, as in {found[1]}=-1."
    if found := re.match(r"argument (--[\w.-]+): ignored explicit argument (.+)", text):
        return f"option {found[1]} is a switch and takes no value, got {found[2]}."
    if found := re.match(r"the following arguments are required: (?:\w+\.)?(\w+)", text):
        return f"kad {command} needs its argument {found[1].upper()}; `kad {command} --help` says what it is."
    return sentence(error)


def choices(hint: Any) -> list[str]:
    """The words that an option of this type may be."""
    if get_origin(hint) is Literal:
        return [str(one) for one in get_args(hint)]
    return [word for one in get_args(hint) for word in choices(one)]


def of_class(command: str, key: str, text: str) -> str | None:
    """What is wrong with a loss, a solver or a target, or one of its settings; None if the parser says it well."""
    if "is abstract" in text and "NestedArg(" in text:
        name = CLASSES[key][1]
        return f"--{key}.NAME is a setting of a {key}; name that too, as in --{key} {name}."
    if "is abstract" in text:
        return f"option --{key} names what every {key} is made after, and no {key}. {choose_from(key)}"
    if found := re.search(r"class_path '([\w.]+)':\s+Option '(\w+)' is not accepted", text):
        name = found[1].rpartition(".")[2]
        return f"option --{key}: {name} has no setting {found[2]}; `kad {command} --{key}.help {found[1]}` lists those it has."
    if found := re.search(r'class_path \'([\w.]+)\':\s+Parser key "(\w+)":\s+Expected a (.+?)\. Got value: (.*)', text):
        wanted = {"<class 'float'>": "a number", "<class 'int'>": "a whole number"}.get(found[3], found[3])
        return f"option --{key}: the setting {found[2]} of {found[1].rpartition('.')[2]} must be {wanted}, got {found[4]!r}."
    if found := re.search(r"class_path '([\w.]+)':\s+the following arguments are required: (\w+)", text):
        return (
            f"option --{key}: {found[1].rpartition('.')[2]} needs its setting {found[2]}: add --{key}.{found[2]} VALUE."
        )
    if found := re.search(
        r"Problem with given class_path '([\w.]+)':\s+(.+?)\s*(?:\n\s+- |\n\s*Given|\Z)", text, re.DOTALL
    ):
        return f"option --{key}: {found[1]} cannot be used: {' '.join(found[2].split())}"
    return None


def choose_from(key: str) -> str:
    """The names that there are."""
    return f"Choose from {', '.join(CLASSES[key])}, or one of yours by its import path."


def no_option(command: str, name: str, names: Iterable[str], value: str | None) -> str:
    """The sentence about an option that a command does not have."""
    hint = nearest(name, names)
    if command == "serve":
        given = f"{name} {value}" if value else name
        return f"kad serve has no option {name}{hint or '.'} One of vLLM's stands after --, as in kad serve -- {given}"
    return f"kad {command} has no option {name}{hint or '.'} `kad {command} --help` lists them."
