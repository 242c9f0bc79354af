"""Completion of commands and options by the Tab key: argcomplete asks the parser, which loads no torch for it."""

from __future__ import annotations

from ..extras import need
from .commands import Done, every


def answer_tab() -> int:
    """Answer argcomplete, which calls the program with the line in its environment; it ends the process."""
    need("completion", "argcomplete")
    try:
        every().parse_args([])
    except Done as done:
        return done.status
    return 0
