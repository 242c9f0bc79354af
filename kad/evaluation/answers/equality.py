"""When two formulas are the same: by their pieces, then by value.

Lists, tuples, intervals and matrices are taken apart here and their entries compared one by one, because a comparison of the
whole may lose an order, a bracket, or a small number. What is left are single expressions, equations and inequalities.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from . import symbolic
from .typography import TEXT, bracketed, canonical, matrix_entries, separated, tidy, without_unit

LONGEST_FORMULA = 300  # characters; no answer to a problem of this kind is longer, and parsing one may take minutes
_AND = r",?\s*\\(?:text|mbox|mathrm)\s*\{\s*(?:and|or)\s*\}|,?\s+(?:and|or)\s+|,|;|\\vee|\\lor(?![a-z])"
_NAME = r"[A-Za-z](?:_\{?\w+\}?)?(?:\([A-Za-z]\))?|\\[a-z]+"
_EQUAL = re.compile(r"(?<![<>!\\:])=")
_LESS = re.compile(r"(\\leqslant|\\leq?|\\geqslant|\\geq?|\\lt|\\gt|<=|>=|<|>)(?![a-z])")
_BASED = re.compile(r"\(?(\d+)\)?\s*_\s*\{?\s*(\d+)\s*\}?")
Same = Callable[[str, str], bool]


def same(answer: str, gold: str) -> bool:
    r"""Whether two formulas are the same, as a person would say.

    >>> same(r"x=1 \text{ or } x=-2", "-2, 1"), same("4 2/3", "14/3"), same("1 2", "12"), same("y = 5", "x = 5")
    (True, True, False, False)

    Raises:
        ImportError: math-verify is not installed, where it is needed.
    """
    if not answer.strip() or not gold.strip() or len(answer) > LONGEST_FORMULA:
        return False
    answer, gold = tidy(answer), tidy(gold)
    if canonical(answer) == canonical(gold):
        return True
    for decides in (_words, _based):
        verdict = decides(answer, gold)
        if verdict is not None:
            return verdict
    return _same(answer, gold)


def _words(answer: str, gold: str) -> bool | None:
    """Words are compared as words: as products of letters "east" would be "seat"."""
    ours, theirs = _word(answer), _word(gold)
    if theirs is not None and len(theirs) == 1:
        ours = re.sub(TEXT, lambda m: m.group(1), answer).strip("() .").casefold()  # an option's letter
    if ours is None and theirs is None:
        return None
    return ours is not None and ours == theirs


def _word(latex: str) -> str | None:
    """The words of a formula that is nothing else; None otherwise."""
    inner = re.sub(TEXT, lambda m: m.group(1), latex)
    typed, bare = inner != latex, inner.strip(" ().!\"'")
    if not re.fullmatch(r"[A-Za-z][A-Za-z' -]*", bare) or re.search(r"\s-\s", bare):
        return None
    if not typed and not re.search(r"[A-Za-z]{3}", bare):
        return None
    return re.sub(r"^(?:an?|the) (?=\w)", "", " ".join(bare.casefold().split()))


def _based(answer: str, gold: str) -> bool | None:
    """52 in base 8 is the digits and the base, and never 52."""
    ours, theirs = _BASED.fullmatch(answer.strip()), _BASED.fullmatch(gold.strip())
    if not ours and not theirs:
        return None
    return ours is not None and theirs is not None and ours.groups() == theirs.groups()


def _same(answer: str, gold: str) -> bool:
    ours, theirs = _unnamed(answer, gold), _unnamed(gold, answer)
    if (matrix := matrix_entries(theirs)) is not None:
        return _same_matrix(ours, matrix)
    if "matrix" in ours:
        return False
    a, b = _elements(ours), _elements(theirs)
    if a is not None or b is not None:
        return _same_lists(a or ("", [ours], ""), b or ("", [theirs], ""))
    return _same_value(ours, theirs)


def _unnamed(latex: str, other: str) -> str:
    r"""What a formula says its name is, where the other one has no name: 5 of "x = 5", the set of "x \in S"."""
    latex = re.sub(rf"^\s*(?:{_NAME})\s*\\in(?![a-z])\s*", "", latex)
    if not _EQUAL.search(latex) or len(separated(latex, _AND)) > 1:
        return latex
    sides = separated(latex, _EQUAL.pattern)
    if _EQUAL.search(other):
        named = len(sides) > 2 and re.fullmatch(_NAME, sides[0])
        return f"{sides[0]} = {sides[-1]}" if named else latex
    numeric = not re.search(r"[A-Za-z]", re.sub(r"\\[a-z]+", "", latex))
    return sides[-1] if numeric or len(sides) > 2 or sides[-1] not in ("0", "") else latex


def _elements(latex: str) -> tuple[str, list[str], str] | None:
    """Brackets and elements of a list, tuple, set or interval; None if the formula is one expression."""
    if len(unions := separated(latex, r"\\cup(?![a-z])")) > 1:
        return "", unions, ""
    if interval := _interval(latex):
        return interval
    enclosed = bracketed(latex)
    opening, inner, closing = enclosed or ("", latex, "")
    found = list[str]()
    for piece in separated(inner, _AND):
        signs = separated(piece, r"\\pm(?![a-z])")
        found += [f"{signs[0]} + {signs[1]}", f"{signs[0]} - {signs[1]}"] if len(signs) == 2 else [piece]
    if len(found) == 1 and (opening != "{" or not found[0]):
        return None
    return opening, found, closing


def _interval(latex: str) -> tuple[str, list[str], str] | None:
    r"""The interval of an inequality such as ``-2 < x \le 7`` or ``x > 5``."""
    found = [piece.strip() for piece in _LESS.split(latex)]
    if len(found) not in (3, 5) or _EQUAL.search(latex.replace("<=", "").replace(">=", "")):
        return None
    terms, signs = found[::2], found[1::2]
    greater = {sign.startswith((">", "\\g")) for sign in signs}
    if len(greater) > 1:
        return None
    if True in greater:
        terms, signs = terms[::-1], signs[::-1]
    shut = ["e" in sign or "=" in sign for sign in signs]
    if len(terms) == 3 and re.fullmatch(_NAME, terms[1]):
        return "[" if shut[0] else "(", [terms[0], terms[2]], "]" if shut[1] else ")"
    if len(terms) == 2 and re.fullmatch(r"[A-Za-z]", terms[0]) and not re.search(r"(?<!\\)\b[A-Za-z]\b", terms[1]):
        return "(", ["-\\infty", terms[1]], "]" if shut[0] else ")"
    if len(terms) == 2 and re.fullmatch(r"[A-Za-z]", terms[1]) and not re.search(r"(?<!\\)\b[A-Za-z]\b", terms[0]):
        return "[" if shut[0] else "(", [terms[0], "\\infty"], ")"
    return None


def _same_lists(answer: tuple[str, list[str], str], gold: tuple[str, list[str], str]) -> bool:
    """Tuples and intervals in their order and with their brackets; sets and bare lists in any order."""
    (opening, ours, closing), (start, theirs, end) = answer, gold
    if len(theirs) == 1 and not opening and not start:
        return all(_element(piece, theirs[0]) for piece in ours)  # one value in several forms
    if len(ours) != len(theirs):
        return False
    brackets, wanted = opening + closing, start + end
    if brackets == wanted and wanted in ("", "{}"):
        return _in_any_order(ours, theirs)
    # a point without its brackets keeps its order
    if brackets == wanted or (wanted == "()" and brackets in ("<>", "")):
        return _pairwise(ours, theirs)
    return wanted in ("", "{}") and brackets in ("", "{}", "()") and _in_any_order(ours, theirs)


def _pairwise(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return all(_element(a, b) for a, b in zip(ours, theirs, strict=True))


def _element(answer: str, gold: str) -> bool:
    if canonical(answer) == canonical(gold):
        return True
    verdict = _words(answer, gold)
    return _same(answer, gold) if verdict is None else verdict


def _in_any_order(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    left = list(theirs)
    for piece in ours:
        match = next((i for i, other in enumerate(left) if _element(piece, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_matrix(answer: str, gold: list[list[str]]) -> bool:
    found = matrix_entries(answer)
    if found is None and all(len(row) == 1 for row in gold):  # a vector as a tuple
        enclosed = bracketed(answer)
        found = [[entry] for entry in separated(enclosed[1], ",")] if enclosed and enclosed[0] in "(<" else None
    if found is None or [len(row) for row in found] != [len(row) for row in gold]:
        return False
    return all(_pairwise(a, b) for a, b in zip(found, gold, strict=True))


def _same_value(answer: str, gold: str) -> bool:
    """Single expressions; a unit counts only where both have one, and 15% is 15 as well as 0.15."""
    (ours, unit), (theirs, other) = without_unit(answer), without_unit(gold)
    if "percent" in (unit, other) and unit != other:
        share, number = (ours, theirs) if unit == "percent" else (theirs, ours)
        if unit and other:
            return False
        large = (value := symbolic.rational(share)) is None or abs(value) >= 1
        return (large and symbolic.equal(share, number)) or symbolic.equal(rf"\frac{{{share}}}{{100}}", number)
    if unit and other and unit != other:
        return False
    return canonical(ours) == canonical(theirs) or symbolic.equal(ours, theirs)
