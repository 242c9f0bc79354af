"""Whether two single expressions are the same: parsed by math-verify, and compared with guards around its weak places.

What math-verify (0.9) does that is not followed here, each found by trying it:

- decimals are rounded to six places: 0.0000674 equals .0000672. Here decimals are exact; a rounded one is accepted for an exact
  value if it has at least six places and four significant digits, and all are right.
- differences of less than about 1e-15 are zero: 1/2006! equals 1/2004!. Here two values agree relatively, to thirty digits.
- a unit is whatever letters stand at the end: 2t equals 2. Here it parses without that rule.
- two equations without real solutions are equal. Here the sides' differences must be proportional.
- spaces between digits multiply or vanish ("1 2"). Here that is no number.

One is left as it is: capitals are small letters to it, so 3r^2 equals 3R^2, as most people would let it.
"""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ...extras import need

SECONDS = 5  # for parsing, and for comparing; what takes longer counts as unequal
DIGITS = 30
AGREE = 1e-20  # relative; random points make an accidental agreement of two formulas impossible in practice
PLACES, SIGNIFICANT, NOISE = (
    6,
    Fraction(1, 10**4),
    Fraction(1, 10**12),
)  # of a rounded decimal; the last two are relative
# Values for the variables, of both signs and of no simple relation.
POINTS = (
    ("1.3708", "2.6172", "0.7919", "3.1557"),
    ("-0.8713", "1.9371", "-2.2917", "0.5119"),
    ("5.7193", "-3.3871", "1.1637", "-4.9211"),
)
_DECIMAL = r"-?(?:\d+\.\d*|\.\d+)"
_RATIO = re.compile(
    r"(-?)\s*(?:(\d+)\s*)?(?:\\frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}|\\frac\s*(\d)\s*(\d)|(-?\d+)\s*/\s*(-?\d+))"
)


def rational(latex: str) -> Fraction | None:
    r"""A number that is written out, exactly; None for any other formula.

    >>> rational("-1.50"), rational(r"4\frac{2}{3}"), rational("7 / 2"), rational(r"0.\overline{3}"), rational("1 2")
    (Fraction(-3, 2), Fraction(14, 3), Fraction(7, 2), Fraction(1, 3), None)
    """
    text = latex.strip()
    if re.fullmatch(rf"[+-]?\s?\d+|{_DECIMAL}", text):
        return Fraction(text.replace(" ", ""))
    if found := re.fullmatch(r"(-?)(\d*)\.(\d*)\\(?:overline|bar)\s*\{?(\d+)\}?", text):
        sign, whole, fixed, period = found.groups()
        top = int(f"{whole or 0}{fixed}{period}") - int(f"{whole or 0}{fixed}")
        return Fraction(-top if sign else top, 10 ** len(fixed) * (10 ** len(period) - 1))
    if found := _RATIO.fullmatch(text):
        sign, whole, *pair = found.groups()
        top, bottom = (int(x) for x in pair if x is not None)
        if bottom == 0 or (whole and (top < 0 or bottom < 0 or pair[4] is not None)):
            return None
        return (-1 if sign else 1) * (int(whole or 0) + Fraction(top, bottom))
    return None


def equal(answer: str, gold: str) -> bool:
    r"""Whether two tidy expressions, equations or inequalities have the same value.

    Raises:
        ImportError: math-verify is not installed, and they are not two written numbers.

    >>> equal(r"\sqrt{117}", r"3\sqrt{13}"), equal("0.0000674", ".0000672"), equal(r"\frac{1}{2006!}", r"\frac{1}{2004!}")
    (True, False, False)
    """
    ours, theirs = rational(answer), rational(gold)
    if ours is not None and theirs is not None:
        if ours == theirs or (re.fullmatch(_DECIMAL, answer) and re.fullmatch(_DECIMAL, gold)):
            return ours == theirs  # two decimals are never each other's rounding
        return _rounded(answer, ours, theirs) or _rounded(gold, theirs, ours)
    need("comparing formulas", "math_verify")
    a, b = _parsed(answer), _parsed(gold)
    return a is not None and b is not None and bool(_in_time(_equal, False, answer, a, gold, b))


def _rounded(decimal: str, value: Fraction, exact: Fraction) -> bool:
    """Whether a decimal is a value rounded, to enough places; a float's last digits may be noise."""
    if not re.fullmatch(_DECIMAL, decimal.strip()) or exact == 0:
        return False
    places, error = len(decimal.strip().split(".")[1]), abs(value - exact)
    rounded = error <= Fraction(51, 100 * 10**places) or error <= NOISE * abs(exact)
    return places >= PLACES and rounded and error <= SIGNIFICANT * abs(exact)


def _in_time(function: Any, otherwise: Any, *arguments: Any) -> Any:
    """What a function returns, unless it fails or takes too long."""
    from math_verify.errors import TimeoutException
    from math_verify.utils import timeout

    try:
        return timeout(timeout_seconds=SECONDS)(function)(*arguments)
    except TimeoutException:
        return otherwise
    except (ArithmeticError, AttributeError, TypeError, ValueError, RecursionError, NotImplementedError) as error:
        if "signal only works" in str(error):  # grading runs in the main thread; a silent verdict would be a wrong one
            raise
        return otherwise


@lru_cache(maxsize=1024)
def _parsed(latex: str) -> Any:
    """A sympy object with exact decimals; None for what cannot be parsed, or is no single formula."""
    if re.search(r"\d\s+\d|\d\.\s*\d*\.\d", latex) or re.search(r"\\(?:text|mbox)", latex):
        return None
    from math_verify import parse
    from math_verify.parser import LatexExtractionConfig, NormalizationConfig

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # a formula that cannot be parsed is an answer like others
    form = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )
    latex = re.sub(r"(?<![\\A-Za-z])([A-Za-z])(\d+)", r"\1_{\2}", latex)  # q1 is a name, and not q times 1
    degrees = re.sub(r"([\d.]+)\s*\^\s*\{?\s*\\circ\s*\}?", r"{(\\frac{\1\\pi}{180})}", latex)
    found = parse(
        f"\\[{degrees}\\]",
        [LatexExtractionConfig(normalization_config=form)],
        fallback_mode="no_fallback",
        parsing_timeout=SECONDS,
    )
    return _exact(found[0]) if found else None


def _exact(expression: Any) -> Any:
    import sympy

    if not isinstance(expression, sympy.Basic):
        return expression
    return expression.xreplace({x: sympy.Rational(repr(float(x))) for x in expression.atoms(sympy.Float)})


def _equal(answer: str, a: Any, gold: str, b: Any) -> bool:
    import sympy

    if isinstance(a, sympy.Eq) and isinstance(b, sympy.Eq):
        return _proportional(a, b)
    if isinstance(a, sympy.Expr) and isinstance(b, sympy.Expr):
        verdict = _agree(a, b)
        if verdict is not None:
            return verdict or _rounds(answer, a, b) or _rounds(gold, b, a)
    from math_verify import verify

    return bool(verify(b, a, allow_set_relation_comp=True, timeout_seconds=None))


def _values(*expressions: Any) -> list[list[Any]]:
    """Every expression at every point, to thirty digits; i is the imaginary unit."""
    import sympy

    names = sorted({symbol for x in expressions for symbol in x.free_symbols}, key=str)
    found = []
    for point in POINTS if any(str(name) != "i" for name in names) else POINTS[:1]:
        at = {n: sympy.I if str(n) == "i" else sympy.Rational(point[k % 4]) + k // 4 for k, n in enumerate(names)}
        found.append([x.subs(at).doit().evalf(DIGITS) for x in expressions])
    return found


def _agree(a: Any, b: Any) -> bool | None:
    """Whether two expressions have the same values; None where they have none that are numbers."""
    for ours, theirs in _values(a, b):
        if not (ours.is_number and theirs.is_number and ours.is_finite and theirs.is_finite):
            return None
        if abs(ours - theirs) > AGREE * max(abs(ours), abs(theirs)):
            return False
    return True


def _rounds(literal: str, decimal: Any, exact: Any) -> bool:
    """`_rounded` for a value without a short form, such as a root."""
    if not re.fullmatch(_DECIMAL, literal.strip()) or exact.free_symbols:
        return False
    value = exact.evalf(DIGITS)
    if not value.is_real:
        return False
    return _rounded(literal, Fraction(literal.strip()), Fraction(str(value)))


def _proportional(a: Any, b: Any) -> bool:
    """Whether the sides' differences of two equations have the same ratio everywhere, which is not zero."""
    ratios = [ours / theirs for ours, theirs in _values(a.lhs - a.rhs, b.lhs - b.rhs) if theirs != 0]
    if len(ratios) < len(POINTS) or a.free_symbols != b.free_symbols:
        return False
    first = ratios[0]
    return first != 0 and all(abs(ratio - first) <= AGREE * abs(first) for ratio in ratios)
