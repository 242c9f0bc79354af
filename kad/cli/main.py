"""``kad``: the entry point. Errors are one sentence and a non-zero exit; ``--debug`` shows the traceback."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence

from ..errors import visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    harness = arguments[:1] == ["lm-eval"]  # its options, and how it ends, are the harness's
    try:
        if harness:
            from ..evaluation.harness import harness_main

            return harness_main(arguments[1:])
        from . import commands

        return commands.carry(arguments)
    except KeyboardInterrupt:
        print("kad: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `kad generate | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit:  # a user's code has ended the program: that is no success
        if harness or debug:
            raise
        print("kad: code that an option or a plan names ended the program (SystemExit).", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        print(f"kad: {visible(sentence(error))}", file=sys.stderr)
        return 1


UNSAID = ("Does not validate against", "Subtypes:", "Errors:", "- Expected a <class 'NoneType'>", "Given value")


def sentence(error: BaseException) -> str:
    """The first paragraph of an error's message on one line, or the error's name if it has none.

    The parser tries every type that an option may have and reports them all; only what went wrong is kept.
    """
    lines = [line.strip() for line in str(error).strip().split("\n\n")[0].splitlines()]
    kept = [line.removeprefix("- ") for line in lines if line and not line.startswith(UNSAID)]
    text = re.sub(r'^Parser key "([\w.]+)":', r"option --\1:", " ".join(" ".join(kept).split()))
    return text or type(error).__name__


def entry() -> None:
    """The console script."""
    warnings.filterwarnings("ignore", module="transformers")
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # processes that libraries start look for modules where we do
    try:
        status = main()
    except Exception:  # with --debug
        print(visible(traceback.format_exc(), "\n"), end="", file=sys.stderr)
        status = 1
    sys.exit(status)
