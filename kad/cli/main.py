"""``kad``: the entry point. Errors are one sentence and a non-zero exit, 2 for what was asked wrongly; ``--debug`` shows the traceback."""

from __future__ import annotations

from .interrupts import started_up, starting_up  # isort: skip

import os
import sys
import warnings
from collections.abc import Sequence

from ..errors import UsageError, visible
from .top import answered


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    own = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:own]
    arguments = [a for a in arguments[:own] if a != "--debug"] + arguments[own:]
    harness = arguments[:1] == ["lm-eval"]  # its options, and how it ends, are the harness's
    try:
        return carried(arguments, harness)
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
        from .refusals import sentence

        print(f"kad: {visible(sentence(error))}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def carried(arguments: Sequence[str], harness: bool) -> int:
    """Who answers: kad itself, the harness, or a command, which alone needs a parser."""
    if "_ARGCOMPLETE" in os.environ:
        from .completion import answer_tab

        return answer_tab()
    status = answered(arguments)
    if status is not None:
        return status
    if harness:
        from ..evaluation.harness import harness_main

        started_up()
        return harness_main(arguments[1:])
    from . import commands

    return commands.carry(arguments)


def entry() -> None:
    """The console script."""
    starting_up()
    warnings.filterwarnings("ignore", module="transformers")
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # processes that libraries start look for modules where we do
    try:
        status = main()
    except Exception:  # with --debug
        import traceback

        print(visible(traceback.format_exc(), "\n"), end="", file=sys.stderr)
        status = 1
    sys.exit(status)
