"""Ctrl-C while libraries are loaded: nothing has been done yet, so the process just ends.

An exception would be raised inside whatever is being imported, and libraries turn it into errors of their own, with tracebacks.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

SHOWN = "\r\x1b[2K\x1b[?25h"  # a terminal's line is cleared, and its cursor is there again


def abandon(*_: object) -> NoReturn:
    """End at once, with a word."""
    os.write(2, ((SHOWN if os.isatty(2) else "") + "kad: interrupted\n").encode())
    os._exit(130)


def starting_up() -> None:
    """From now on Ctrl-C ends the process."""
    signal.signal(signal.SIGINT, abandon)


def started_up() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt, if it was made anything else here."""
    if signal.getsignal(signal.SIGINT) is abandon:
        signal.signal(signal.SIGINT, signal.default_int_handler)
