"""LaTeX in one spelling, for the comparison of strings alone; and LaTeX's pieces: units, lists, brackets, matrices."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path

SPELLINGS = json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))
SYMBOLS: dict[str, str] = SPELLINGS["symbols"]  # as commands
UNIT_NAMES: dict[str, str] = SPELLINGS["units"]  # one of each
_DELIMITERS = re.compile(r"^(?:\$\$(.*)\$\$|(?<!\\)\$(.*)(?<!\\)\$|\\\((.*)\\\)|\\\[(.*)\\\])[\s.,]*$", re.DOTALL)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}[\s.,]*")
_SPACES = re.compile(
    r"(?<!\\)\\[,;: !]|\\q?quad(?![a-z])|\\hspace\{[^{}]*\}|~|\\displaystyle(?![a-z])|\\(?:no|line)break"
)
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]ig{1,2}[lr]?)(?![a-zA-Z])\.?")
TEXT = r"\\(?:text(?:rm|bf|it|normal|sf)?|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s*\{([^{}]*)\}"
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\w))\s*(?:\{([^{}]*)\}|(\w))")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:(?:,|\{,\})\s?\d{3})+(?![\d,])|(?<![\d.])\d{1,3}(?: \d{3})+(?!\d)")


def tidy(latex: str) -> str:
    r"""A formula without delimiters, sizes and spacing commands: the same formula for whoever parses it.

    >>> tidy(r"\[ \left( 3,\, \dfrac{π}2 \right). \]"), tidy(r"$\$36$"), tidy(r"10,\!080"), tidy("4 2/3")
    ('( 3, \\frac{\\pi }2 )', '\\$36', '10080', '4\\frac{2}{3}')
    """
    text = latex.strip()
    while found := _DELIMITERS.match(text) or _BOX.fullmatch(text):
        text = next(x for x in found.groups() if x is not None).strip()
    for symbol, command in SYMBOLS.items():
        text = text.replace(symbol, command)
    text = re.sub(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\w+))", lambda m: f"\\sqrt{{{m[1] or m[2] or m[3]}}}", text)
    text = _SPACES.sub(lambda m: "" if m.group() == "\\!" else " ", text)
    text = re.sub(r"\\[dtc]frac", r"\\frac", _SIZES.sub("", text))
    text = re.sub(r"(?<![\d.])\b(\d+)\s+(\d+)/(\d+)\b(?![.\d])", r"\1\\frac{\2}{\3}", text)  # a mixed number
    text = re.sub(r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi ", text)
    text = re.sub(r"\s+", " ", text).strip().rstrip(".,;").strip()
    return _THOUSANDS.sub(lambda m: re.sub(r"\D", "", m.group()), text) if _number_like(text) else text


def _number_like(text: str) -> bool:
    """Whether commas of the formula part thousands: "1,250", never "(1,250)" or "3, 100"."""
    bare = re.sub(TEXT, "", text).strip(" $\\%-")
    return re.match(_THOUSANDS.pattern + r"(?:\.\d+)?\s*(?:[\\^A-Za-z].*)?$", bare) is not None


def canonical(latex: str) -> str:
    r"""A formula in one spelling: equal strings are equal formulas. Digits that a space parts stay apart.

    >>> canonical(r"\frac12"), canonical("1 / 2"), canonical("1 2"), canonical(r"2 \cdot \text{ cm}"), canonical("12.00")
    ('\\frac{1}{2}', '1/2', '1 2', '2\\cdot cm', '12')
    """
    text = re.sub(TEXT, lambda m: m.group(1).strip(), tidy(latex))
    text = _FRACTION.sub(lambda m: f"\\frac{{{m[1] or m[2]}}}{{{m[3] or m[4]}}}", text)
    text = re.sub(r"\\sqrt\s*(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"([\^_])\s*\{\s*(\w)\s*\}", r"\1\2", text)
    text = re.sub(r"(?<=[^\d\s])\s+(?=\S)|(?<=\S)\s+(?=[^\d\s])", "", text) if "\\" not in text else _tight(text)
    return re.sub(r"(?<![\d.])(\d+)\.0+(?!\d)", r"\1", text)


def _tight(text: str) -> str:
    """Without the spaces that part nothing; one behind a command stays where a letter follows."""
    text = re.sub(r"(\\[A-Za-z]+)\s+(?=[A-Za-z])", r"\1 ", text)
    return re.sub(r"(?<![A-Za-z\d\s])\s+|(?<=\d)\s+(?=\D)|(?<=[A-Za-z])\s+(?=[^A-Za-z])", "", text)


def separated(latex: str, signs: str) -> list[str]:
    r"""The pieces between separators (a pattern) that stand in no bracket.

    >>> separated(r"(1,2), \{3,4\}", ","), separated(r"1 \text{ or } 2", r"\\text\{ or \}")
    (['(1,2)', '\\{3,4\\}'], ['1', '2'])
    """
    found, depth, start, i = list[str](), 0, 0, 0
    separator = re.compile(signs)
    while i < len(latex):
        match = separator.match(latex, i) if depth == 0 else None
        if match and match.end() > i:
            found.append(latex[start:i].strip())
            i = start = match.end()
            continue
        if latex.startswith(("\\begin", "\\end"), i):
            depth += 1 if latex.startswith("\\begin", i) else -1
        depth += (latex[i] in "([{") - (latex[i] in ")]}")
        i += 2 if latex[i] == "\\" and latex[i : i + 2] not in ("\\{", "\\}") else 1
    return [*found, latex[start:].strip()]


POWERS = {"sq": "2", "square": "2", "cubic": "3", "cu": "3"}
_FUNCTIONS = "sqrt|sin|cos|tan|cot|sec|csc|log|exp|mod|and|or|infinity|frac|arcsin|arccos|arctan|pmod|cup|pm|alpha|beta|theta|undefined"
_UNIT = re.compile(
    rf"(?P<value>.*?[\d}})\]!]|.*\\pi)\s*(?:{TEXT}|(?<=[\d}})\]\s])(?P<plain>(?!(?:{_FUNCTIONS})\b)(?:[A-Za-z]{{3,}}|cm|mm|km|in|ft|mi|kg|yd|sq|cu)"
    r"(?:[ .]+(?:per )?[A-Za-z]{2,})*))\s*(?:\^\s*\{?(?P<power>\d)\}?)?\s*$",
    re.DOTALL,
)


def without_unit(latex: str) -> tuple[str, str]:
    r"""A tidy formula and its unit in one form; an empty one where there is none.

    >>> without_unit(r"864 \mbox{ inches}^2"), without_unit(r"\$36"), without_unit(r"90^\circ"), without_unit("5 sq. cm")
    (('864', 'inch^2'), ('36', 'dollar'), ('90', 'degree'), ('5', 'centimeter^2'))
    """
    text = latex
    if not re.search(r"\\(?:sin|cos|tan|cot|sec|csc)", text):  # there degrees are no unit of the whole
        text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?\s*(?:[CF]$)?", r"\\text{degree}", text)
    if re.match(r"-?\s*\\?\$", text):
        return text.replace("\\$", "").replace("$", "").strip(), "dollar"
    text = re.sub(r"\\?%", r"\\text{percent}", text)
    found = _UNIT.fullmatch(text)
    if not found:
        return text, ""
    words = re.sub(r"[^a-z ]+", " ", (found.group(2) or found.group("plain") or "").lower()).split()
    power = found.group("power") or next((POWERS[word] for word in POWERS if word in words), "")
    words = [_unit(word) for word in words if word not in (*POWERS, "of", "the")]
    unit = " ".join(word for word in words if word)
    return found.group("value").strip(), f"{unit}^{power}" if power and unit else unit


def _unit(word: str) -> str:
    single = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
    return UNIT_NAMES.get(word, UNIT_NAMES.get(single, single))


def matrix_entries(latex: str) -> list[list[str]] | None:
    r"""The entries of a matrix; None if the formula is none.

    >>> matrix_entries(r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}")
    [['1', '2'], ['3', '4']]
    """
    found = re.fullmatch(
        r"[(\[]?\s*\\begin\{([pb]?matrix|array)\}(?:\{[^{}]*\})?(.*?)\\end\{\1\}\s*[)\]]?", latex.strip(), re.DOTALL
    )
    if not found:
        return None
    lines = [line for line in re.split(r"\\\\(?:\[[^\]]*\])?", found.group(2)) if line.strip()]
    return [[entry.strip() for entry in separated(line, "&")] for line in lines]


def bracketed(latex: str) -> tuple[str, str, str] | None:
    r"""Opening bracket, content and closing bracket, if one pair encloses the whole.

    >>> bracketed("(2, 3]"), bracketed(r"\{1, 2\}"), bracketed("(1)(2)")
    (('(', '2, 3', ']'), ('{', '1, 2', '}'), None)
    """
    text = latex.strip()
    for opening, closing, kind in (
        ("\\{", "\\}", "{}"),
        ("\\langle", "\\rangle", "<>"),
        ("\\lbrace", "\\rbrace", "{}"),
    ):
        if text.startswith(opening) and text.endswith(closing):
            return kind[0], text[len(opening) : -len(closing)].strip(), kind[1]
    if len(text) < 2 or text[0] not in "([" or text[-1] not in ")]":
        return None
    depths = accumulate((character in "([{") - (character in ")]}") for character in text)  # behind every character
    return None if 0 in list(depths)[:-1] else (text[0], text[1:-1].strip(), text[-1])
