"""What ``kad`` answers itself, without any command's options: help, version, and words that are no command."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence

from ..errors import UsageError
from ..version import VERSION
from .names import COMMANDS, HARNESS, nearest

OPTIONS = {
    "-h, --help": "Show this, or after a command its options.",
    "--version": "Show the version.",
    "--debug": "With any command: show the traceback of an error.",
}
ABOUT = "Align a large base language model at decoding time with a small aligned one."
END = (
    "`kad COMMAND --help` lists a command's options, which may stand in a YAML file too (--config FILE). "
    "Without models, commands use an embedded pair."
)


def overview(width: int = 80) -> str:
    """The help of all commands."""

    def lines(about: dict[str, str]) -> str:
        gap = " " * 14
        return "\n".join(
            textwrap.fill(text, width, initial_indent=f"  {name:<12}", subsequent_indent=gap)
            for name, text in about.items()
        )

    end = textwrap.fill(END, width)
    return f"usage: kad COMMAND [options]\n\n{ABOUT}\n\ncommands:\n{lines(COMMANDS | HARNESS)}\n\noptions:\n{lines(OPTIONS)}\n\n{end}\n"


def answered(arguments: Sequence[str]) -> int | None:
    """The exit status if there is no command to run; None if there is one.

    Raises:
        UsageError: no such command or option.

    >>> answered(["generate", "--help"])
    >>> answered(["generat"])
    Traceback (most recent call last):
    ...
    kad.errors.UsageError: there is no command 'generat'; did you mean generate? `kad --help` lists them.
    """
    if not arguments:
        sys.stderr.write(overview())
        return 2
    first = arguments[0]
    if first in COMMANDS or first in HARNESS:
        return None
    if first in ("-h", "--help"):
        sys.stdout.write(overview())
        return 0
    if first == "--version":
        sys.stdout.write(f"kad {VERSION}\n")
        return 0
    if not first.startswith("-"):
        hint = nearest(first, [*COMMANDS, *HARNESS])
        raise UsageError(f"there is no command {first!r}{hint or '.'} `kad --help` lists them.")
    if any(word in COMMANDS for word in arguments[1:]):
        raise UsageError(f"options stand after the command, and {first} stands before it.")
    hint = nearest(first, ("--help", "--version"))
    raise UsageError(f"there is no option {first}{hint or '.'} `kad --help` lists what there is.")
