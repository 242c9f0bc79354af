"""Letters of options: `Letter`, and the places of a reply that claim one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from .answer import Answer
from .claims import REACH, boxes, plain, spans
from .ending import Candidate, before_another, own_turn, standing
from .options import LINE, OptionTexts, recited, unwrapped

_CHOICE = re.compile(
    r"\b(?:choos(?:e|ing)|pick(?:ing)?|select(?:ing)?|(?:go|going|went) with|opt(?:ing)? for|vote for|choice (?:is|:)|guess (?:is|:)|"
    r"pick (?:is|:)|(?:must|should|has to|would) be|it is|it's|leaves(?: us with)?|points to|(?:option|choice) is)(?=\W)"
    r"(?=(?P<rest>[^.\n]*))",
    re.IGNORECASE,
)
_PRAISED = re.compile(
    r"(?<![\w'’])(?P<letter>[A-Z])(?!\w|['’]\w)(?:[\"')\]}.:*]+[^.\n]{0,60}?)?\s+(?:is|seems|looks|appears|would be|must be)\s+"
    r"(?:to be\s+|therefore\s+|clearly\s+|indeed\s+|definitely\s+)*(?:the\s+|our\s+)?(?:most\s+\w+\s+)?"
    r"(?:correct|right|best|answer|true)\b"
)
_NEGATED = re.compile(r"\b(?:not|neither|nor|if)\W*(?:option\W*)?$", re.IGNORECASE)


@final
@dataclass(frozen=True)
class Letter(Answer):
    """The letter of an option, A to the ``count``-th, or to the last of the options that are given.

    The last box or marker that holds a letter wins, then the last choice ("I pick B", "B is correct"), a first line that begins
    with a letter, or a line with nothing else; then the only letter that stands alone. A recital of the options, the
    article "A" and the pronoun "I" are none; where several letters stand in one place, none of them is the answer.

    >>> Letter(5).extract("B. I hope this helps"), Letter(9).extract("I think a bank."), Letter(4).extract("(c)")
    ('B', None, 'C')
    >>> Letter().extract("The answer is a bank.", options=["mall", "bank"])
    'B'
    """

    grader: ClassVar[str] = "2"
    count: int = 26

    def extract(self, text: str, finished: bool = True, options: Sequence[str] = ()) -> str | None:
        known = OptionTexts.of(options, self.count)
        whole = plain(unicodedata.normalize("NFKC", text)).strip()
        text = own_turn(whole, lambda before: known.alone(unwrapped(before)) is not None)
        finished = finished or text != whole
        found = _claimed_letters(text, known)
        opening = before_another(text[: found[0].start] if found else text)
        if len(opening) < (found[0].start if found else len(text)) and known.alone(unwrapped(opening)):
            text, found, finished = opening, [], True
        if found:
            return standing(text, found)[-1].value
        return known.alone(unwrapped(text)) if finished else None

    def equal(self, answer: str, gold: str) -> bool:
        return answer.upper() == gold.upper()


def _claimed_letters(text: str, known: OptionTexts) -> list[Candidate]:
    """All places that claim a letter, in order."""
    found = list[Candidate]()
    for start, end, content in boxes(text):
        found += _claim(start, end, known.announced(unwrapped(content), boxed=True))
    for span in spans(text, short=False):
        line = text[span.body : span.body + REACH].split("\n", 1)[0] if known.texts else ""  # texts hold full stops
        letter = known.by_text(unwrapped(line)) or known.announced(unwrapped(text[span.body : span.end]))
        found += _claim(span.start, span.end, letter, span.rule)
    lines = list(_opened(text, known))
    letters = [line.value for line in lines]
    listed = {line for i, line in enumerate(lines) if recited(letters, i)}
    for claim in _choices(text, known):
        if not any(line.start <= claim.start < line.end for line in listed):
            found.append(claim)
    found += [line for line in lines if line.weak and line not in listed]
    return sorted(found, key=lambda claim: claim.start)


def _claim(start: int, end: int, letter: str | None, final: bool = False, weak: bool = False) -> list[Candidate]:
    return [Candidate(start, end, letter, final, weak)] if letter else []


def _choices(text: str, known: OptionTexts) -> Iterator[Candidate]:
    """What a text chooses or praises."""
    for match in _CHOICE.finditer(text):
        yield from _claim(match.start(), match.end("rest"), known.direct(unwrapped(match["rest"])), weak=True)
    for match in _PRAISED.finditer(text):
        if not _NEGATED.search(text[max(0, match.start() - 40) : match.start()]):
            yield from _claim(match.start(), match.end(), known.valid(match.group("letter")), weak=True)


def _opened(text: str, known: OptionTexts) -> Iterator[Candidate]:
    """The lines that begin with a letter; weak claims are those that may be an answer: the first, and those with nothing else."""
    for number, found in enumerate(re.finditer(r"(?m)^.*$", text)):
        line, shown = found.group(), unwrapped(found.group())
        match = LINE.match(shown)
        letter = known.valid(match.group(2)) if match else None
        if number == 0 and not match and (named := known.by_letter_and_text(shown)):
            yield Candidate(found.start(), found.end(), named, weak=True)
        elif match and letter:
            sole = not re.search(r"\w", shown[match.end() :])
            if _opens(match, shown, known) or (sole and line == text):
                yield Candidate(found.start(), found.end(), letter, weak=sole or number == 0)


def _opens(match: re.Match[str], line: str, known: OptionTexts) -> bool:
    """Whether the letter of a line's beginning is one of an option, not a formula's or a word's."""
    mark, rest = match.group(3).strip(), line[match.end() :]
    if mark[:1] in ("=", "/", ":") and not re.match(r"\s*[A-Za-z]{3}", rest):
        return not rest.strip()
    return not known.beside(match.group(2), mark + rest) and (
        match.group(2).isupper() or bool(match.group(1)) or bool(mark)
    )
