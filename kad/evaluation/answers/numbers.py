"""Numbers: `Number`, and the numbers of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, final

from .answer import Answer
from .claims import Span, boxes, plain, spans
from .ending import Candidate, before_another, own_turn, standing

_SIGNS = str.maketrans({"−": "-", "–": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
WRITTEN = re.compile(
    r"""
    (?:(?<![\w)\].-])-\s?)?                       # a minus, unless it stands behind a number ("10-20") or a word
    (?:[$€£]\s?-?)?
    (?<![\w.^_])(?<!\^\{)(?<!_\{)(?<![A-Za-z]-)   # no exponent or index, no part of a name ("GPT-4") or of a version
    (?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)
    (?:\s?(?:×|\*|x|\\times)\s*10\s?\^\s?\{?(?P<power>-?[0-9]{1,3})\}?|[eE](?P<e>[+-]?[0-9]{1,3})(?!\w))?
    """,
    re.VERBOSE,
)
LONGEST_NUMBER = 300  # characters of a number; no answer is longer
# Where what a marker announces ends, and the reasons begin.
_CLAUSE = re.compile(r",(?=\s)|;|\(|\n|\.(?=\s)|\b(?:because|since|as|so|which|where|when|after)\b")
_EQUALS = re.compile(r"=|≈|\\approx|\b(?:equals|is equal to)\b")
_OPERATOR = re.compile(r"\s*(?:[+*/×÷·-]|x(?=\s)|\\times|\\cdot|\\div)\s*[$(]?\s*\d")
# Words between a marker and a number after which that number is not the answer: "in dollars, for 16 eggs"; "not 20".
_ELSEWHERE = re.compile(
    r"\b(?:not|never|no longer|in|for|of|from|by|between|among|with|without|to|using|on|if|when|because|since|unknown|unclear|found|"
    r"where|how|what|per|step|part|case|problem|question|example|exercise|option|method|above|below|as)\b|n't|[,;:?!]",
    re.IGNORECASE,
)
_FILLERS = re.compile(r"a total of|(?:equal|up) to|in total,?|as of now,?", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?:{WRITTEN.pattern})(?:\s+\w+){{0,2}}\s+is\s+(?:the|my|our)\s+(?:final\s+|correct\s+)?answer\b", re.VERBOSE
)
_ADVERBS = re.compile(r"\b(?:about|exactly|just|simply|therefore|thus|only|approximately|around)\b", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"(?:=|≈|\b(?:equals|gives?|giving|which\s+is|makes|making|yields?|gets?|that\s+is|it\s+is|it's)\b)[\s$(:]*$",
    re.IGNORECASE,
)


@final
@dataclass(frozen=True)
class Number(Answer):
    """A number: in the last claim (a marker that announces a number, or a box), else the last of the text.

    ``$1,250.00``, ``-3``, ``.5``, ``50%``, ``7/2``, ``3 1/2`` and ``1.5 × 10^3`` are read; equal up to a relative
    ``tolerance``, whole numbers exactly. A text that was cut off answers only what it has announced whole.

    >>> Number().score("She pays 3 x $400 = $1,200. The answer is $1,200 for 3 months.", "1200")
    ('1200', True)
    >>> Number().extract("She pays 3 x $400", finished=False)
    """

    grader: ClassVar[str] = "2"
    tolerance: float = 1e-6

    def extract(self, text: str, finished: bool = True, options: Sequence[str] = ()) -> str | None:
        whole = plain(text.translate(_SIGNS))
        text = own_turn(whole, lambda before: bool(numbers(before)))
        finished = finished or text != whole
        found = list(_claimed_numbers(text, finished))
        opening = before_another(text[: found[0].start] if found else text)
        if opening != (text[: found[0].start] if found else text):
            text, found, finished = opening, [], True
        if found:
            return standing(text, found)[-1].value
        rest = numbers(_without_failed(text)) if finished else []
        return rest[-1] if rest else None

    def equal(self, answer: str, gold: str) -> bool:
        theirs = numbers(gold.translate(_SIGNS))
        if not theirs:
            return False
        a, b = Fraction(answer), Fraction(theirs[-1])
        if a.denominator == b.denominator == 1:
            return a == b
        return abs(a - b) <= Fraction(self.tolerance) * max(Fraction(1), abs(b))


def _claimed_numbers(text: str, finished: bool) -> Iterator[Candidate]:
    """All places that claim a number, in order."""
    found = list[Candidate]()
    for start, end, content in boxes(text):
        value = _announced_number(content)
        if value is not None:
            found.append(Candidate(start, end, value[0]))
    for span in spans(text):
        value = _announced_number(text[span.body : span.end])
        if value is not None and not _goes_on(text, span, value[1], finished):
            found.append(Candidate(span.start, span.end, value[0], span.rule))
    for named in _NAMED.finditer(text):
        found += [Candidate(named.start(), named.end(), value) for value in numbers(named.group())[:1]]
    yield from sorted(found, key=lambda claim: claim.start)


def _goes_on(text: str, span: Span, sure: bool, finished: bool) -> bool:
    """Whether a claim is a step: a number in the first sentence of a solution, or in what was cut off there."""
    if not finished and span.end == len(text) and not span.rule and "\\boxed" not in text[span.body :]:
        return True
    return span.heading and not sure and re.search(r"=\s*\$?\s*-?[\d.]", text[span.end :]) is not None


def _announced_number(place: str) -> tuple[str, bool] | None:
    """The number that a place behind a marker announces, and whether it does so outright; None if it announces none."""
    place = _rewritten(place)
    first = WRITTEN.search(place)
    if not first:
        return None
    lead = re.sub(r"[A-Za-z]\w{0,2}\s*=\s*$", "", _FILLERS.sub("", place[: first.start()]))
    if _ELSEWHERE.search(lead) or len(lead.split()) > 6:
        concluded = [m for m in WRITTEN.finditer(place) if _CONCLUDES.search(place[max(0, m.start() - 40) : m.start()])]
        found = numbers(place[concluded[-1].start() :]) if concluded else []
        return (found[0], False) if found else None
    boundary = _CLAUSE.search(place, first.end())
    clause = place[first.start() : boundary.start() if boundary else len(place)]
    found, signs = numbers(clause), list(_EQUALS.finditer(clause))
    result = numbers(clause[signs[-1].end() :]) if signs else []
    if result and not re.fullmatch(r"[\s$]*\S+[\s$]*", clause[: signs[0].start()]):
        return result[0], False
    if not found or (_OPERATOR.match(clause, first.end() - first.start()) and "/" not in found[0]):
        return None  # a sum without its result
    outright = not re.search(r"[A-Za-z]{2}", _ADVERBS.sub("", lead)) and len(clause.split()) <= 5
    return found[0], outright


def _without_failed(text: str) -> str:
    """The text without what stands behind markers: it was looked at, and announces nothing."""
    for span in reversed(list(spans(text))):
        if _announced_number(text[span.body : span.end]) is None:
            text = text[: span.start] + " " + text[span.end :]
    return text


def _rewritten(text: str) -> str:
    """LaTeX as plain arithmetic, as far as numbers go."""
    text = re.sub(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}", r" \1/\2", text)
    text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r" \1/\2", text)
    return re.sub(r"\\(?!times|cdot|div|approx)", " ", text.replace("{,}", ",").replace("\\!", ""))


def numbers(text: str) -> list[str]:
    """All numbers of a text, as Python writes them; quotients of whole numbers stay quotients.

    >>> numbers("from 1,000 down to -2.50, about 3/4 of GPT-4 on 2 1/2 cm^2")
    ['1000', '-2.50', '3/4', '5/2']
    """
    text, found = _rewritten(text), list[tuple[int, int, str]]()
    for match in WRITTEN.finditer(text):
        if len(match.group()) > LONGEST_NUMBER:
            continue
        value = re.sub(r"[$€£,\s]", "", re.split(r"[×*x\\eE]", match.group())[0])
        exponent = match.group("power") or match.group("e")
        if exponent:
            value = f"{value}e{int(exponent)}"
        start, end, before = found[-1] if found else (0, 0, "")
        whole = value.isdigit() and int(value) > 0
        if whole and re.fullmatch(r"-?\d+", before) and text[end : match.start()].strip() == "/":
            found[-1] = (start, match.end(), f"{before}/{value}")
            _mix(text, found)
        else:
            found.append((match.start(), match.end(), value))
    return [value for _, _, value in found]


def _mix(text: str, found: list[tuple[int, int, str]]) -> None:
    """Make one number of the last two, if these are such as 2 and 1/2 of "2 1/2"."""
    if len(found) < 2:
        return
    (start, end, whole), (next_start, next_end, ratio) = found[-2:]
    top, bottom = (int(x) for x in ratio.split("/"))
    if re.fullmatch(r"-?\d+", whole) and re.fullmatch(" +", text[end:next_start]) and 0 < top < bottom:
        sign = "-" if whole.startswith("-") else ""
        found[-2:] = [(start, next_end, f"{sign}{abs(int(whole)) * bottom + top}/{bottom}")]
