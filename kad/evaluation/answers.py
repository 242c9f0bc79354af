"""Answers out of texts: a number, boxed LaTeX, an option's letter; and whether two of them are the same.

A model's text holds more than its answer. Every kind of answer looks first where the text says that it is (``####``,
"the answer is", a box), and only then for the last thing that could be one. What a base model writes after it has
answered, such as a next question of its own, is cut off before.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, final

from ..extras import need

# A text that goes on with another question has left the one that was asked.
NEXT_QUESTION = re.compile(
    r"\n\s*(?:Q(?:uestion)?|Problem|User|Human|Instruction)\s*\d*\s*[:.]|<\|(?:im_start|user|endoftext)\|>", re.I
)
MARKER = re.compile(r"####|\b(?:final\s+)?answer\s*(?:is|was|=|:)\s*:?|\banswer\s*\*{0,2}\s*:", re.I)
SENTENCE_END = re.compile(r"\n|[.!?](?=\s+[A-Z(\"'])")


class Answer(ABC):
    """One kind of answer: how to find it in a text, and when two are equal.

    Subclass it for another kind; `extract` returns None where a text answers nothing, which is then wrong.

    Attributes:
        needs: optional libraries, by their import names, without which it cannot compare.

    >>> class YesOrNo(Answer):
    ...     def extract(self, text):
    ...         return next((word for word in ("yes", "no") if word in text.lower().split()), None)
    ...     def equal(self, answer, gold):
    ...         return answer == gold
    >>> YesOrNo().score("Well, yes", "yes")
    ('yes', True)
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def extract(self, text: str) -> str | None:
        """The answer that the text gives, in the form that `equal` takes."""

    @abstractmethod
    def equal(self, answer: str, gold: str) -> bool:
        """Whether an extracted answer is the gold one."""

    def score(self, text: str, gold: str) -> tuple[str | None, bool]:
        """What the text answers, and whether that is right."""
        answer = self.extract(text)
        return answer, answer is not None and self.equal(answer, gold)


def own_part(text: str) -> str:
    """The text up to where it asks itself something else.

    >>> own_part("It is 4.\\nQuestion: and now?")
    'It is 4.'
    """
    found = NEXT_QUESTION.search(text, 1)
    return text[: found.start()] if found else text


def announced(text: str) -> list[str]:
    """What stands behind each marker, to the end of its sentence; the last one first.

    >>> announced("The answer is 3. No: the answer is 4. Easy.")
    ['4', '3']
    """
    spans = []
    for marker in MARKER.finditer(text):
        rest = text[marker.end() :]
        lead = len(rest) - len(rest.lstrip())  # the answer may stand on the next line
        end = SENTENCE_END.search(rest, lead)
        spans.append(rest[: end.start()] if end else rest)
    return spans[::-1]


# -- numbers -----------------------------------------------------------------------------------------------------------

MINUS = str.maketrans({"−": "-", "–": "-", "\u00a0": " ", "\u202f": " "})
NUMBER = re.compile(
    r"""
    (?:(?<![\w)\].-])-\s?)?                       # a minus, unless it stands behind a number ("10-20") or a word
    (?:\$\s?-?)?                                  # dollars
    (?<![\w.])(?<![A-Za-z]-)                      # no part of a name ("GPT-4") or of a version
    (?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)
    """,
    re.VERBOSE,
)


@final
@dataclass(frozen=True)
class Number(Answer):
    """A number: behind the last marker, else in the last box, else the last of the text.

    ``$1,250.00``, ``-3``, ``.5``, ``50%`` and ``7/2`` are read; equal up to a relative
    ``tolerance``, whole numbers exactly.

    >>> Number().score("She pays 3 x $400 = $1,200. The answer is $1,200 for 3 months.", "1200")
    ('1200', True)
    """

    tolerance: float = 1e-6

    def extract(self, text: str) -> str | None:
        text = own_part(text).translate(MINUS)
        box = last_box(text)
        for place in (*announced(text), *([box] if box else []), text):
            found = numbers(place)
            if found:
                first = place is not text and place is not box and not re.search(r"[=≈]", place)
                return found[0] if first else found[-1]
        return None

    def equal(self, answer: str, gold: str) -> bool:
        theirs = numbers(gold.translate(MINUS))
        if not theirs:
            return False
        a, b = Fraction(answer), Fraction(theirs[-1])
        if a.denominator == b.denominator == 1:
            return a == b
        return float(abs(a - b)) <= self.tolerance * max(1.0, abs(float(b)))


def numbers(text: str) -> list[str]:
    """All numbers of a text, as Python writes them; quotients of whole numbers stay quotients.

    >>> numbers("from 1,000 down to -2.50, about 3/4 of GPT-4")
    ['1000', '-2.50', '3/4']
    """
    text = re.sub(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}", r"\1/\2", text)  # LaTeX
    text = text.replace("{,}", ",").replace("\\", " ")
    found, end = list[str](), -2
    for match in NUMBER.finditer(text):
        value = re.sub(r"[$,\s]", "", match.group())
        between = text[end : match.start()] if end >= 0 else ""
        whole = value.isdigit() and int(value) > 0
        if between.strip() == "/" and found and whole and re.fullmatch(r"-?\d+", found[-1]):
            found[-1] += "/" + value
        else:
            found.append(value)
        end = match.end()
    return found


# -- LaTeX -------------------------------------------------------------------------------------------------------------


def last_box(text: str) -> str | None:
    r"""What the last ``\boxed{...}`` holds, braces balanced; None without one, or with one that is never closed.

    >>> last_box(r"so $\boxed{\frac{1}{2}}$.")
    '\\frac{1}{2}'
    """
    for match in reversed(list(re.finditer(r"\\(?:boxed|fbox)\s*(\{|\s\S+)", text))):
        if match.group(1) != "{":
            return match.group(1).strip().rstrip(".$")
        depth = 0
        for i in range(match.end() - 1, len(text)):
            escaped = text[i - 1] == "\\"
            depth += (text[i] == "{" and not escaped) - (text[i] == "}" and not escaped)
            if depth == 0:
                return text[match.end() : i].strip()
    return None


@final
@dataclass(frozen=True)
class Boxed(Answer):
    r"""A mathematical expression: in the last box, else behind the last marker, else the last formula or number.

    Equal if the same after normalisation, or by symbolic equivalence (the library math-verify, an optional extra).

    Raises:
        ImportError: math-verify is not installed, when two answers are not equal as text.

    >>> Boxed().score(r"Hence $x = \boxed{\dfrac12}$.", r"\frac{1}{2}")
    ('\\dfrac12', True)
    """

    needs: ClassVar[tuple[str, ...]] = ("math_verify",)

    def extract(self, text: str) -> str | None:
        text = own_part(text)
        box = last_box(text)
        if box:
            return box
        for place in announced(text):
            formula = re.search(r"\$([^$]+)\$|\\\((.+?)\\\)", place)
            inner = (formula.group(1) or formula.group(2)) if formula else place
            if inner.strip(" .*:"):
                return inner.strip(" .*:\n")
        formulas = re.findall(r"\$([^$]+)\$", text)
        if formulas:
            return str(formulas[-1]).strip().split("=")[-1].strip()
        found = numbers(text.translate(MINUS))
        return found[-1] if found else None

    def equal(self, answer: str, gold: str) -> bool:
        return normalised(answer) == normalised(gold) or equivalent(answer, gold)


SPACES = re.compile(r"\\[!,;: ]|\\q?quad|~|\s+")
WRAPPERS = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textit|operatorname)\s*\{([^{}]*)\}")


def normalised(latex: str) -> str:
    r"""An expression in one spelling: what differs in typography alone becomes equal.

    >>> normalised(r"\left( 3,\, \dfrac{\pi}2 \right)"), normalised(r"x = 10\,000\%"), normalised(r"90^\circ")
    ('(3,\\frac{\\pi}{2})', '10000', '90')
    """
    text = latex.strip().strip("$").rstrip(".")
    text = WRAPPERS.sub(r"\1", text)
    text = re.sub(r"\\(?:left|right|bigl?|bigr?|displaystyle)(?![a-z])", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?", "", text)
    text = SPACES.sub("", text.replace("\\$", "").replace("\\%", "").replace("%", ""))
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac(\d)\{", r"\\frac{\1}{", text)
    text = re.sub(r"(\\frac\{(?:[^{}]|\{[^{}]*\})*\})([^{])", r"\1{\2}", text)
    text = re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"^[a-zA-Z]=", "", text)
    text = (
        re.sub(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))", "", text)
        if re.fullmatch(r"-?\d{1,3}((,|\{,\})\d{3})+", text)
        else text
    )
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


BASE = re.compile(r"\d_\{?(\d+)")


def equivalent(answer: str, gold: str) -> bool:
    """Symbolic equivalence, by math-verify; a parse or a comparison that takes over five seconds counts as unequal."""
    need("comparing formulas", "math_verify")
    from math_verify import parse, verify

    if len(answer) > 300:  # no answer to a problem of this kind; parsing it may take minutes
        return False
    if BASE.findall(answer) != BASE.findall(gold):  # 52 in base 8 is not 52
        return False
    parsed = [parse(f"${normalised(x)}$", parsing_timeout=5) for x in (gold, answer)]
    return all(parsed) and bool(verify(*parsed, timeout_seconds=5))


# -- letters -----------------------------------------------------------------------------------------------------------


ALONE = [
    re.compile(r"(?<![\w'’-])([A-Z])(?=\s*(?:$|[.,;:!?)])|\s+(?:is|and|or|because)\b)"),
    re.compile(r"(?<![\w'’-])([B-HJ-Z])(?![\w'’-])"),
]


@final
@dataclass(frozen=True)
class Letter(Answer):
    """The letter of an option, A to the ``count``-th: behind a marker or in a box, as a line of its own or with a bracket, a
    full stop or a colon behind it, or standing alone; never the article "A" or the pronoun "I" of a sentence.

    >>> Letter(5).extract("B. I hope this helps"), Letter(9).extract("I think a bank."), Letter(4).extract("(c)")
    ('B', None, 'C')
    """

    count: int = 26

    def extract(self, text: str) -> str | None:
        text = own_part(text).strip()
        box = last_box(text)
        if box:
            inner = WRAPPERS.sub(r"\1", box).strip(" ()$.*")
            if self.valid(inner[:1]) and not inner[1:2].isalpha():
                return inner[:1].upper()
        for place in announced(text):
            found = self.first(place.strip())
            if found:
                return found
        return self.first(text)

    def valid(self, letter: str) -> bool:
        return len(letter) == 1 and letter.isascii() and letter.isalpha() and ord(letter.upper()) - 65 < self.count

    def first(self, text: str) -> str | None:
        """The first letter that is set off as an option; else the only capital that stands alone."""
        opening = re.match(r"[\s*_\"'\[({]*(?:option\s+)?([A-Za-z])(?=[\])}.:,*_\"']|\s*$|\s*[-–—]\s)", text)
        if opening and self.valid(opening.group(1)):
            return opening.group(1).upper()
        for match in re.finditer(r"\(([A-Za-z])\)|\boption\s+([A-Z])\b|\*\*\s*\(?([A-Z])\b[).:]?", text):
            letter = next(x for x in match.groups() if x)
            if self.valid(letter):
                return letter.upper()
        for match in re.finditer(r"(?:^|\n)\s*([A-Z])[.):](?=\s|$)", text):
            if self.valid(match.group(1)):
                return match.group(1)
        # "A bank" and "I think" are no options; "choose A", "A and B" and "is I." are.
        alone = {letter for pattern in ALONE for letter in pattern.findall(text) if self.valid(letter)}
        if "I" in alone and len(alone) > 1:
            alone.discard("I")
        return alone.pop() if len(alone) == 1 else None

    def equal(self, answer: str, gold: str) -> bool:
        return answer.upper() == gold.upper()
