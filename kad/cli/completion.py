"""Completion of commands, options and their values by the Tab key: argcomplete asks a parser, which is plain and loads no torch.

jsonargparse's own, with commands in it, is none that argcomplete can look into.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from ..extras import need
from .commands import class_of, hints_of
from .names import COMMANDS, HARNESS
from .refusals import CLASSES, choices


def answer_tab() -> int:
    """Answer argcomplete, which calls the program with the line in its environment; it ends the process."""
    need("completion", "argcomplete")
    import argcomplete

    argcomplete.autocomplete(plain_parser())
    return 0


def plain_parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser(prog="kad")
    top.add_argument("--version", action="store_true")
    commands = top.add_subparsers()
    for name, about in (COMMANDS | HARNESS).items():
        one = commands.add_parser(name, help=about)
        if name in HARNESS:
            continue
        hints = hints_of(name, False)
        for field in dataclasses.fields(class_of(name)):
            if field.metadata["help"] != argparse.SUPPRESS:
                mirror(one, field, hints[field.name])
        for flag in ("--config", "--print-config", "--debug"):
            one.add_argument(flag, nargs="?")
    return top


def mirror(one: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    """One field, with the words that it may be; anything else is taken as well."""
    words: list[str] = [*CLASSES.get(field.name, ()), *choices(hint)]
    if "positional" in field.metadata:
        one.add_argument(field.name, nargs="?")
    elif field.default is False:
        one.add_argument(f"--{field.name.replace('_', '-')}", action="store_true", help=field.metadata["help"])
    else:
        action = one.add_argument(f"--{field.name.replace('_', '-')}", help=field.metadata["help"])
        action.completer = (lambda **_: words) if words else None  # type: ignore[attr-defined]
