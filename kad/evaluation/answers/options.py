"""The options of a question: which letters there are, and where a place names one. Wrappers go first, so that what is read
never depends on which letter it is.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

_COMMAND = re.compile(r"\\(?:text|math|mbox|operatorname|emph|underline|boxed|fbox|bf|rm)\w*\s*\{([^{}]*)\}")
_PAIR = re.compile(r"<(\w+)>([^<>]*)</\1>")
_SYMBOLS = [
    (r"(?<!\w)_(\w)_(?!\w)", r"\1"),
    (r"\\(?:left|right|[bB]igg?[lr]?)(?![a-z])", ""),
    (r"\\[()\[\]]|\$+", " "),
    (r"\\[,;:! ]|~|\\q?quad", " "),
    (r"[`“”«»]", '"'),
]
_LEAD = r"[\W_]*(?:(?:option|choice|letter|answer|alternative|number|the|is|be|clearly|therefore|thus|(?:most )?(?:likely|probably)|" \
    r"definitely|indeed|simply|just|obviously|correct|right|best|actually|still|one|that)\b[\W_]*)*"  # fmt: skip
_ANNOUNCED = re.compile(rf"(?P<lead>{_LEAD})(?P<letter>[A-Za-z])(?!\w|['’]\w)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
LINE = re.compile(
    r"^[\s>*_#\"'•-]*(?:option\s+)?([(\[{<\"'`]*)([A-Za-z])([)\]}>.:,\"'`*]+(?=\s|$)|\s*[-–—=:/](?=\s?\S)|(?=\s*$))",
    re.IGNORECASE,
)
_STANDING = re.compile(r"(?:^|(?<=[\s(\[{<\"'/*_]))([A-Za-z])(?!\w|['’]\w|-\w|\s*[=+^])")
_CONCLUDING = re.compile(r"\b(?:so|thus|therefore|hence|conclusion|finally|overall)\b", re.IGNORECASE)
_FOLLOWS = r"(?:is|are|was|would|could|must|should|can|has|have|will|and|or|because|since|seems|looks|fits|as)\b"


def unwrapped(text: str) -> str:
    r"""A text without what stands around letters: LaTeX, tags, kinds of quotation marks.

    >>> unwrapped(r"\(\text{A}\), $B$, <b>C</b>")
    ' A ,  B , C'
    """
    for _ in range(4):
        text = _PAIR.sub(r"\2", _COMMAND.sub(r"\1", text))
    for pattern, symbol in _SYMBOLS:
        text = re.sub(pattern, symbol, text)
    return text


def words(text: str) -> str:
    """An option's text as it is compared."""
    text = re.sub(r"[\W_]+", " ", unwrapped(text)).strip().casefold()
    return re.sub(r"^(?:an?|the) ", "", text)


@dataclass(frozen=True)
class OptionTexts:
    """What can be chosen.

    Attributes:
        letters: those of the options.
        texts: the options' texts as `words` gives them; empty if unknown.

    >>> options = OptionTexts.of(("mall", "bank"), 26)
    >>> options.announced("bank."), options.announced("(A) mall"), options.announced("A bank"), options.announced("A or B")
    ('B', 'A', 'B', None)
    """

    letters: str
    texts: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str], count: int) -> OptionTexts:
        """The options with these texts; without any, so many letters."""
        return cls(string.ascii_uppercase[: len(texts) or count], tuple(words(text) for text in texts))

    def valid(self, letter: str) -> str | None:
        return letter.upper() if letter.upper() in self.letters else None

    def announced(self, place: str, boxed: bool = False) -> str | None:
        """The letter that a box, or what stands behind a marker, holds; or that of the option whose text it is."""
        letter, named = self.direct(place), self.by_text(place)
        if letter and named and named != letter:
            itself = self.by_letter_and_text(place) == letter or words(place) == letter.lower()
            return letter if itself else named  # "A bank" is the option "bank", with an article
        if letter or named or boxed or re.match(r"[\W_]*(?:not|neither)\b", place, re.IGNORECASE):
            return letter or named
        return self.alone(place) if len(self.standing(place)) <= 1 else None

    def direct(self, place: str) -> str | None:
        """The letter with which a place begins, if it is set off as one and no other letter stands beside it."""
        match = _ANNOUNCED.match(place)
        if not match or not self.valid(match.group("letter")):
            return None
        letter, rest = match.group("letter"), match.group("rest")
        if re.match(r"\s*[\^+*_\\&<>]|\s*=(?!\s*[A-Za-z]{3})|-\w", rest) or self.beside(letter, rest):
            return None
        bracketed = match.group("lead")[-1:] in tuple("([{<\"'*_") and match.group("lead")[-1:]
        word = re.match(r"\s+[A-Za-z]", rest) and not re.match(rf"\s+{_FOLLOWS}", rest)
        if letter == "I" and not bracketed and re.match(r"\s+[a-z]", rest):
            return None
        if letter.islower() and word and not bracketed:
            return None  # an article, or a variable
        return letter.upper()

    def beside(self, letter: str, rest: str) -> bool:
        """Whether more letters follow, as in "A or B" and "A) money B) buying"."""
        other = re.match(
            r"[)\]}>\"'*_.\s]*(?:,|/|\bor\b|\band\b|&)[\W_]*(?:option\s+)?([A-Za-z])(?!\w|['’]\w)(?!\s+\w)", rest
        )
        if other and self.valid(other.group(1)):
            return True
        following = chr(ord(letter.upper()) + 1)
        return letter.upper() == "A" and re.search(rf"(?:^|[\s(]){following}[).:]\s", rest) is not None

    def by_letter_and_text(self, place: str) -> str | None:
        """The letter of a place that holds an option as it stands in the question, such as "A bank"."""
        said = re.sub(r"[\W_]+", " ", place).strip().casefold()
        known = zip(self.letters, self.texts, strict=False)
        found = [letter for letter, option in known if said == f"{letter.lower()} {option}"]
        return found[0] if found else None

    def by_text(self, place: str) -> str | None:
        """The letter of the only option whose text this is."""
        said = re.sub(r"^(?:option|choice|answer) ", "", words(place))
        found = [letter for letter, option in zip(self.letters, self.texts, strict=False) if option and option == said]
        return found[0] if len(found) == 1 else None

    def alone(self, text: str) -> str | None:
        """The only letter that stands alone; else the only one of the last sentence that concludes."""
        lines = text.split("\n")
        begun = [(i, match.group(2)) for i, match in enumerate(map(LINE.match, lines)) if match]
        opened = [(i, letter.upper()) for i, letter in begun if self.valid(letter)]
        listed = {i for at, (i, _) in enumerate(opened) if recited([letter for _, letter in opened], at)}
        text = "\n".join(line for i, line in enumerate(lines) if i not in listed)
        found = self.standing(text)
        if len(found) > 1:
            concluding = [s for s in re.split(r"(?<=[.!?])\s+|\n+", text) if _CONCLUDING.search(s)]
            found = self.standing(concluding[-1]) if concluding else set()
        return found.pop() if len(found) == 1 else None

    def standing(self, text: str) -> set[str]:
        found = set[str]()
        for match in _STANDING.finditer(text):
            letter = match.group(1)
            before, behind = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 40]
            bracketed = before[-1:] in tuple("([{<\"'*_/") and before[-1:] and re.match(r"[)\]}>\"'*_./]", behind)
            starts = re.search(r"(?:^|[.!?:\n\"'(*])\s*$", before) is not None
            word = re.match(r"\s+[\w]", behind) and not re.match(rf"\s+{_FOLLOWS}", behind)
            if letter.islower() and not bracketed:
                continue
            if letter == "I" and not bracketed and not re.match(r"\s*(?:$|[.:)])", behind):
                continue
            if starts and word and not bracketed:
                continue  # "A bank has doors."
            if self.valid(letter):
                found.add(letter.upper())
        return found


def recited(letters: Sequence[str], at: int) -> bool:
    """Whether one of the letters with which lines begin is of a list of the options: A, then B, in order.

    >>> [recited("ABCB", i) for i in range(4)]
    [True, True, True, False]
    """
    places = [ord(letter) - ord("A") for letter in letters]
    start = end = at
    while start > 0 and places[start] == places[start - 1] + 1:
        start -= 1
    while end + 1 < len(places) and places[end + 1] == places[end] + 1:
        end += 1
    return end > start and places[start] == 0
