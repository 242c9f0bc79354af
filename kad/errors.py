"""What others say, an error of a library or a name in a file, fit for a sentence of ours and for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

# What moves a terminal's cursor, changes its state or turns text around; and halves of characters, which cannot be written.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UsageError(ValueError):
    """What was asked cannot be asked so; the command line's exit status for it is 2."""


@contextmanager
def asked() -> Iterator[None]:
    """What is wrong within this, or within a function that it decorates, is wrong with what was asked.

    >>> with asked():
    ...     raise ValueError("--window must be ≥ 0.")
    Traceback (most recent call last):
    ...
    kad.errors.UsageError: --window must be ≥ 0.
    """
    try:
        yield
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def said(error: BaseException) -> str:
    """The first line of its message on one line, or its name if it has none.

    >>> said(ValueError("no such   model\\nTraceback ...")), said(ValueError())
    ('no such model', 'ValueError')
    """
    return " ".join(str(error).strip().split("\n")[0].split()) or type(error).__name__


def visible(text: str, keep: str = "") -> str:
    r"""The text with its control characters as Python writes them, but for those in ``keep``.

    A terminal obeys the raw ones: it moves its cursor, sets its title, or hides what follows.

    >>> visible("a\x1b[31m b\n"), visible("a\tb\n", keep="\n\t")
    ('a\\x1b[31m b\\n', 'a\tb\n')
    """
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else repr(found[0])[1:-1], text)
