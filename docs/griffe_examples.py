"""A griffe extension: doctests in docstrings become code blocks, with the input lines and output lines that they have."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(^[ \t]*>>> .*(?:\n[ \t]*\S.*)*)", re.MULTILINE)


class Examples(griffe.Extension):
    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(lambda found: f"```pycon\n{found[1]}\n```", obj.docstring.value)
