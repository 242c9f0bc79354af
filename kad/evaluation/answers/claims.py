"""Where a text says what it answers: markers, and what stands behind them; boxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_VERB = r"(?:is|was|are|equals|comes?\s+(?:out\s+)?to|(?:should|would|will|must)\s+be)\b"
MARKER = re.compile(
    rf"""
    (?P<rule>\#{{4}})(?!\#)
    | \bsolutions?\s+(?P<solved>(?:is|are|equals)\b)
    | \b(?:(?:answer|ans)s?|(?:correct|right|best|final)\s+(?:option|choice|letter|one|result))\b
        (?:\s+(?:to|of|for)\s[^.\n:=]{{1,80}}?|\s*\([^()\n]{{0,40}}\))?
        [\s*_`"]*?
        (?:(?P<verb>{_VERB})|:=|:|=|→|⇒|-+>|[–—-](?=\s))
    | ^(?:[^\w\n]|_)*(?:(?:the|final|correct|my|short)\s+)*answers?[*_ \t]*$
    | <answer>
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
SHORT_MARKER = re.compile(
    r"^[ \t*_>]*A[*_]*[:.](?=\s|\d|\$|\\)", re.MULTILINE
)  # of questions called "Q:"; also an option's letter
SENTENCE_END = re.compile(r"\n|[.!?](?=\s+[A-Z(\"'\\$])|</answer>|[.!?]$")
REACH = 1000  # characters behind a marker
_SUPPOSED = re.compile(
    r"\b(?:if|were|otherwise|unless)\b[^.!?\n]*$", re.IGNORECASE
)  # "if it rained, the answer would be ..."
_EMPHASIS = re.compile(r"(?<!\w)(?:\*\*|__)(?=\S)|(?<=\S)(?:\*\*|__)(?!\w)")  # never the power of "2**3" or "2 ** 3"
_BULLET = re.compile(r"(?<=:\n)[ \t]*[-•*+][ \t]+|(?<=:\n\n)[ \t]*[-•*+][ \t]+")  # of a list, and no minus
_TAGS = re.compile(r"</?(?:b|i|u|em|strong|p|span|code|div|li)\b[^<>]{0,40}>|<br\s*/?>")
_ANNOTATIONS = re.compile(r"<<[^<>\n]{0,120}[=\d][^<>\n]{0,120}>>")  # GSM8K's calculator
_SPACE = re.compile(r"[\s:*_]*")
_OPENING = re.compile(r"(?:(?:\\[\[(]|\$\$?|\\begin\{[a-z]+\*?\}|\\boxed\s*\{)\s*)*")


@dataclass(frozen=True)
class Span:
    """What stands behind one marker.

    Attributes:
        start: where the marker begins.
        body, end: where what it announces begins and ends.
        rule: the marker is ``####``.
        heading: it is a colon or a line of its own, under which a whole solution may stand.
    """

    start: int
    body: int
    end: int
    rule: bool
    heading: bool


def plain(text: str) -> str:
    """A text without emphasis, tags and the calculator's annotations of GSM8K.

    >>> plain("**Answer:** 3 * 6 = <<3*6=18>>18, or <b>2**3</b>")
    'Answer: 3 * 6 = 18, or 2**3'
    """
    text = _EMPHASIS.sub("", _TAGS.sub("", _ANNOTATIONS.sub("", text)))
    return _BULLET.sub("", text)


def spans(text: str, short: bool = True) -> Iterator[Span]:
    """What stands behind each marker, to the end of its sentence, which may begin on a later line.

    Args:
        short: whether "A:" at the start of a line is a marker, and no option's letter.

    >>> text = "The answer is 3. No: the answer is 4. Easy."
    >>> [text[span.body : span.end] for span in spans(text)]
    ['3', '4']
    """
    found = [*MARKER.finditer(text), *(SHORT_MARKER.finditer(text) if short else ())]
    found.sort(key=lambda match: match.start())
    limits = [*(match.start() for match in found[1:]), len(text)]
    for marker, limit in zip(found, limits, strict=False):
        groups, before = marker.groupdict(), text[max(0, marker.start() - 90) : marker.start()]
        if (groups.get("verb") or "").endswith("be") and _SUPPOSED.search(before):
            continue
        body = _behind(_SPACE, text, marker.end())
        limit = max(body, min(limit, body + REACH))
        opened = _behind(_OPENING, text, body)  # display mathematics opens on a line of its own
        end = SENTENCE_END.search(text, opened, limit)
        yield Span(
            marker.start(),
            body,
            end.start() if end else limit,
            bool(groups.get("rule")),
            not (groups.get("verb") or groups.get("solved")),
        )


def _behind(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern that also matches nothing ends."""
    match = pattern.match(text, start)
    return match.end() if match else start


def boxes(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Start, end and content of every ``\boxed{...}`` that is closed, braces balanced.

    >>> [content for _, _, content in boxes(r"$\boxed{\frac{1}{2}}$ or \fbox{3}, \boxed 5$, \boxed{4")]
    ['\\frac{1}{2}', '3', '5']
    """
    ends = _braces(text)
    for match in re.finditer(r"\\(?:boxed|fbox)\s*(\{|\s\S+)", text):
        if match.group(1) != "{":
            yield match.start(), match.end(), match.group(1).strip().rstrip(".,$")
        elif (end := ends.get(match.end() - 1)) is not None:
            yield match.start(), end + 1, text[match.end() : end].strip()


def _braces(text: str) -> dict[int, int]:
    """Where every brace is closed that is; those behind a backslash are no braces."""
    opened, ends = list[int](), dict[int, int]()
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            ends[opened.pop()] = match.start()
    return ends
