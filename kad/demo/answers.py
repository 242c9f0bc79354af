"""Reading a number out of a model's text: as a stranger would accept it, and strictly."""

from __future__ import annotations

import re

NUMBER = re.compile(r"-?\d+")
STRICT = re.compile(r"(?:(?:first|then) \d+ [-+*] \d+ = \d+ \. )+#### (\d+)")


def extract(text: str) -> int | None:
    """The first number after the first ``####``; without the marker, the last number of the text.

    >>> extract("first 6 - 2 = 4 . #### 4"), extract("it is 4 ."), extract("no idea .")
    (4, 4, None)
    """
    _, marker, after = text.partition("####")
    numbers = NUMBER.findall(after if marker else text)
    if not numbers:
        return None
    return int(numbers[0] if marker else numbers[-1])


def extract_strictly(text: str) -> int | None:
    """The answer only if the whole text has the aligned format.

    >>> extract_strictly("first 6 - 2 = 4 . #### 4"), extract_strictly("it is 4 .")
    (4, None)
    """
    match = STRICT.fullmatch(text.strip())
    return int(match.group(1)) if match else None
