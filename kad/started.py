"""Leaves the current folder out of the import path where Python put it there itself: for ``python -m kad``.

Imported before anything else, and imports only what Python has loaded by then, so that no file of the current folder can
stand in the place of a library. What Python imports before kad (`runpy`) is out of reach: the command ``kad`` has no
such gap, nor has ``python -P -m kad``.
"""

import os
import sys


def as_module(arguments: list[str]) -> bool:
    """Whether this is ``python -m kad``.

    >>> as_module(["python", "-m", "kad", "eval"]), as_module(["python", "-m", "pytest"])
    (True, False)
    """
    return "-m" in arguments and arguments[arguments.index("-m") + 1 :][:1] == ["kad"]


if as_module(sys.orig_argv) and not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):
    del sys.path[0]
