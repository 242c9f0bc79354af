"""What an error of another library says, fit for a sentence of ours."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """The first line of its message on one line, or its name if it has none.

    >>> said(ValueError("no such   model\\nTraceback ...")), said(ValueError())
    ('no such model', 'ValueError')
    """
    return " ".join(str(error).strip().split("\n")[0].split()) or type(error).__name__
