"""Formulas: `Boxed`, an expression in LaTeX out of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from .answer import Answer
from .claims import boxes, plain, spans
from .ending import Candidate, before_another, own_turn, standing
from .equality import same
from .numbers import WRITTEN, numbers
from .typography import tidy

FORMULA = re.compile(
    r"""
    (?<!\\)\$\$(?P<dd>.{1,1500}?)(?<!\\)\$\$ | \\\[(?P<display>.{1,1500}?)\\\] | \\\((?P<inline>.{1,1500}?)\\\)
    | (?<!\\)\$(?P<d>(?:\\.|[^$\\]){1,1500})\$
    | \\begin\{(?P<env>(?:equation|align|gather|multline)\*?)\}(?P<body>.{1,1500}?)\\end\{(?P=env)\}
    """,
    re.VERBOSE | re.DOTALL,
)
# "x", "a_1", "f(x)", "\theta": no answer by themselves
_SYMBOL = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\([A-Za-z]\))?'*")
_CONSTANT = re.compile(r"\\?(?:pi|e|infty)")
_JOINT = re.compile(r"[\s$,;]*(?:\\[()\[\]]|\\text\s*\{\s*(?:and|or)\s*\}|\\(?:quad|,|;)|\band\b|\bor\b|[\s$,;])*")
_SAYS = re.compile(r"(?:=|:|\b(?:is|are|be|equals|gives?|get|obtain|have|to))\s*$", re.IGNORECASE)
_BETWEEN = re.compile(
    r"(?:\s|\*|\b(?:therefore|thus|then|simply|just|exactly|equal|to|given|by|the|an?|of|value|values|number|expression|equation|function|"
    r"set|interval|point|vector|matrix|that|we|have|get)\b)*",
    re.IGNORECASE,
)
_PLAIN_END = re.compile(
    r",?\s+(?:because|since|as|so|where|which|when|for|with|if|in)\b|\s\(|,\s+(?=[a-z]{3})|(?<=\d)\s+(?=is\b)"
)


@final
@dataclass(frozen=True)
class Boxed(Answer):
    r"""A mathematical expression: in the last box, else behind the last marker, else the last formula or number that is one.

    Boxes that stand together are one answer. Equal if the same in another spelling, piece by piece, or by value (the
    library math-verify, an optional extra, with guards around its weak places).

    Raises:
        ImportError: math-verify is not installed, when two answers are not equal as text.

    >>> Boxed().score(r"Hence $x = \boxed{\dfrac12}$.", r"\frac{1}{2}")
    ('\\dfrac12', True)
    """

    grader: ClassVar[str] = "2"
    needs: ClassVar[tuple[str, ...]] = ("math_verify",)

    def extract(self, text: str, finished: bool = True, options: Sequence[str] = ()) -> str | None:
        whole = plain(text)
        text = own_turn(whole, lambda before: _last_value(before) is not None)
        finished = finished or text != whole
        boxed, announced = list(_boxed(text)), list(_announced_formulas(text, finished))
        everything = sorted([*boxed, *announced], key=lambda claim: claim.start)
        opening = before_another(text[: everything[0].start] if everything else text)
        if len(opening) < (everything[0].start if everything else len(text)):
            return _last_value(opening)
        kept = standing(text, everything)
        if kept:
            return ([claim for claim in kept if claim in boxed] or kept)[-1].value
        return _last_value(text) if finished else None

    def equal(self, answer: str, gold: str) -> bool:
        return same(answer, gold)


def formulas(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Start, end and content of every formula that stands between delimiters.

    >>> [content for _, _, content in formulas(r"costs $\$36$, \(x\) or \[ y \]")]
    ['\\$36', 'x', 'y']
    """
    for match in FORMULA.finditer(text):
        content = match[match.lastgroup or 0]
        yield match.start(), match.end(), (content.replace("&", "") if match["body"] else content).strip()


def _boxed(text: str) -> Iterator[Candidate]:
    """The boxes with something in them; those that only a comma or a word parts are one."""
    group = list[tuple[int, int, str]]()
    for box in boxes(text):
        if not box[2]:
            continue
        if group and not _JOINT.fullmatch(text[group[-1][1] : box[0]]):
            yield _one_answer(group)
            group = []
        if not group or box[2] != group[-1][2]:
            group.append(box)
    if group:
        yield _one_answer(group)


def _one_answer(group: Sequence[tuple[int, int, str]]) -> Candidate:
    return Candidate(group[0][0], group[-1][1], ", ".join(content for _, _, content in group))


def _announced_formulas(text: str, finished: bool) -> Iterator[Candidate]:
    """What stands behind the markers: formulas that follow at once, else a plain expression, else the first formula."""
    found = list(formulas(text))
    for span in spans(text):
        body = span.body + len(_BETWEEN.match(text[span.body : span.end]).group())  # type: ignore[union-attr]
        joined = _following(text, found, body)
        if joined:
            yield Candidate(span.start, joined[1], joined[0], span.rule)
            continue
        inside = [f for f in found if span.body <= f[0] < span.end and not _bare(f[2])]
        written = _written(text[body : span.end])
        whole = finished or span.end < len(text)
        if written and whole:
            yield Candidate(span.start, span.end, written, span.rule)
        elif inside:
            yield Candidate(span.start, inside[0][1], inside[0][2], span.rule)


def _following(text: str, found: Sequence[tuple[int, int, str]], place: int) -> tuple[str, int] | None:
    """The formulas that begin at a place, with nothing but commas and "and" between them."""
    pieces, end = list[str](), place
    for start, stop, content in found:
        if start >= end and re.fullmatch(r"\s*" if not pieces else r"\s*(?:,|,?\s*(?:and|or))\s*", text[end:start]):
            pieces.append(content)
            end = stop
    unit = re.match(r"\s*(?:\\?%|percent\b)", text[end:]) if pieces else None
    return (", ".join(pieces) + ("\\%" if unit else ""), end) if pieces else None


def _written(place: str) -> str | None:
    """An expression without delimiters at the beginning of a place; None if words stand there."""
    place = re.split(r"(?<=[^\d\s])\s*\n|\n", place.strip(), maxsplit=1)[0]
    end = _PLAIN_END.search(place)
    text = tidy((place[: end.start()] if end else place).strip(" *:\"'`").rstrip("."))
    if not text:
        return None
    if re.match(r"[-+(\[{\\$.|√]*\s*(?:\d|\\|\.\d|[A-Za-z](?![A-Za-z])|sqrt|pi\b)", text):
        return text if re.fullmatch(r"\$?(?:[^$]|(?<=\\)\$)*", text) and not re.match(r"\$[^\d.-]", text) else None
    words = text.split()
    return text if len(words) <= 3 and re.fullmatch(r"[A-Za-z(][A-Za-z'() -]*", text) else None


def _bare(content: str) -> bool:
    """Whether a formula only names something."""
    constant = _CONSTANT.fullmatch(content.strip("\\")) is not None
    return _SYMBOL.fullmatch(content) is not None and not constant and not content.startswith("\\text")


def _last_value(text: str) -> str | None:
    """The last formula or number that a verb or a sign of equality announces; else the last formula, else the last number."""
    places = list(formulas(text))
    found = [(start, content) for start, _, content in places if not _bare(content)]
    written = [(m.start(), m.group()) for m in WRITTEN.finditer(text)]
    loose = [number for number in written if not any(start <= number[0] < end for start, end, _ in places)]
    said = [(i, x) for i, x in found + loose if "=" in x or _SAYS.search(text[max(0, i - 40) : i])]
    if said or found:
        value = max(said or found)[1]
    else:
        every = numbers(text)
        return every[-1] if every else None
    side = value.split("=")[-1].strip().rstrip(".,")
    return (value if side == "0" and not _SYMBOL.fullmatch(value.split("=")[0].strip()) else side) or None
