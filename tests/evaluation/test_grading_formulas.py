"""Formulas: where they stand in a text, and when two of them are the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import kad
from kad.evaluation import Boxed
from kad.evaluation.answers import symbolic
from kad.evaluation.answers.claims import boxes
from kad.evaluation.answers.equality import same
from kad.evaluation.answers.symbolic import equal, rational
from kad.evaluation.answers.typography import canonical, tidy

math_verify = pytest.importorskip("math_verify", reason="needs math-verify: pip install 'kad-align[evaluation]'")
DATA = Path(os.environ.get("KAD_DATA", Path(kad.__file__).parents[2] / "shared" / "data"))
MATH = DATA / "math500_test.jsonl"

# Each gold with right answers, then with wrong ones.
RIGHT: dict[str, list[str]] = {
    r"\frac{1}{2}": [r"\dfrac{1}{2}", r"\frac12", "0.5", "1/2", ".5", r"\frac{2}{4}", r"$\frac 1 2$", r"2^{-1}", r"x = \frac{1}{2}", r"\tfrac12"],
    r"\frac{14}{3}": ["14/3", r"4\frac{2}{3}", "4 2/3", r"4 \frac23", r"\frac{28}{6}", "4.6666667", r"\left(\frac{14}{3}\right)"],
    r"-\frac{35}{9}": [r"\frac{-35}{9}", "-35/9", r"-3\frac{8}{9}", r"\frac{35}{-9}", r"-\dfrac{35}{9}", "−35/9"],
    r"\frac{3}{56}": ["3/56", "0.053571", "0.0535714", r"\frac{6}{112}"],
    r"1\frac{4}{5}": ["9/5", "1.8", r"\frac{9}{5}", "1 4/5"],
    r"137 \frac{1}{2}": ["137.5", "137 1/2", r"\frac{275}{2}"],
    ".0000672": ["0.0000672", r"6.72 \times 10^{-5}", "0.00006720", r"6.72\cdot10^{-5}"],
    "1/3": ["0.333333", r"0.\overline{3}", r"\frac13", "0.3333333333333333"],
    r"3\sqrt{13}": [r"\sqrt{117}", "3*sqrt(13)", r"3 \cdot \sqrt{13}", "3√13", r"\sqrt{13}\cdot 3"],
    r"\sqrt{51}": ["sqrt(51)", "√51", r"\sqrt 51"[:-2] + "{51}", r"51^{1/2}"],
    r"\frac{3\sqrt{3}}{4}": [r"\frac{3}{4}\sqrt{3}", r"0.75\sqrt{3}", r"\frac{9}{4\sqrt{3}}", r"3\sqrt{3}/4"],
    r"-\frac{\pi}{6}": [r"-\pi/6", "-π/6", r"-\frac{1}{6}\pi", "-pi/6"],
    r"288 \pi": ["288π", r"288\pi", r"\pi \cdot 288"],
    r"\frac{20000}{\pi}": [r"20000/\pi", r"20000\pi^{-1}"],
    "6 - 5i": ["6-5i", "-5i+6", r"6 - 5\cdot i"],
    "2i": ["(1+i)^2", "i + i"],
    r"\cot x": [r"\cot(x)", r"\frac{1}{\tan x}", r"\frac{\cos x}{\sin x}"],
    "x^5 - x^4 + x^3 - x^2 + x - 1": ["x^5-x^4+x^3-x^2+x-1", "-1 + x - x^2 + x^3 - x^4 + x^5", "(x-1)(x^4+x^2+1)"],
    "(a+5)(b+2)": ["(b+2)(a+5)", "ab + 2a + 5b + 10", r"(a+5)\cdot(b+2)"],
    "6r^2-4r-24": ["2(3r^2-2r-12)", "6r^2 - 4r - 24", "-24 - 4r + 6r^2"],
    r"\frac{11+9a}{20}": ["(11+9a)/20", "(9a+11)/20", r"0.55 + 0.45a"],
    "p - q": ["p-q", "-q+p", "-(q - p)"],
    "2k": ["2 k", r"k\cdot 2", "k + k"],
    "y = 2x + 3": ["y=2x+3", "2x+3", "y - 2x = 3", "2x - y + 3 = 0", "y = 3 + 2x"],
    "5x - 7y + 11z + 4 = 0": ["5x-7y+11z=-4", "10x - 14y + 22z + 8 = 0", "-5x + 7y - 11z - 4 = 0"],
    "x=5": ["5", "x = 5", "5.0", "x = 2 + 3 = 5", "2x = 10"],
    "1,-2": ["-2,1", "-2, 1", "x = 1, -2", r"x=1 \text{ or } x=-2", r"\{1, -2\}", "1 and -2", r"x \in \{-2, 1\}", "x=-2, x=1"],
    "3, 5, 7": ["7, 5, 3", r"3,5,\text{ and }7", "3, 5 and 7", r"\{3,5,7\}"],
    r"1 \pm \sqrt{19}": [r"1+\sqrt{19}, 1-\sqrt{19}", r"1-\sqrt{19}\text{ and }1+\sqrt{19}", r"x = 1 \pm \sqrt{19}", "1 ± √19"],
    r"\{1\pm\sqrt{5},-2\}": [r"\{-2, 1-\sqrt5, 1+\sqrt5\}", r"-2, 1\pm\sqrt{5}"],
    r"\left( 3, \frac{\pi}{2} \right)": [r"(3,\pi/2)", r"\left(3,\frac{\pi}{2}\right)", r"\bigl(3, \tfrac{\pi}{2}\bigr)", "(3, π/2)"],
    "(6,31,-1)": ["(6, 31, -1)", r"\left(6,31,-1\right)", r"\langle 6, 31, -1 \rangle"],
    "(3,4]": ["(3, 4]", r"\left(3,4\right]", r"3 < x \le 4", r"x \in (3,4]", r"4 \geq x > 3"],
    r"x \in [-2,7]": ["[-2,7]", r"-2\le x\le 7", r"[-2, 7]", "-2 <= x <= 7"],
    r"(5,\infty)": ["x>5", "(5, ∞)", r"5 < x", r"(5,+\infty)"],
    r"(-\infty, 0]": [r"x \le 0", r"\left(-\infty,0\right]", r"x\leqslant 0"],
    r"(0,9) \cup (9,36)": [r"(9,36)\cup(0,9)", r"\left(0,9\right) \cup \left(9,36\right)", "(0,9) ∪ (9,36)"],
    r"\begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}": [
        r"\begin{bmatrix} -\frac13 \\ \frac23 \\ \frac53 \end{bmatrix}", r"\begin{pmatrix}-1/3\\2/3\\5/3\end{pmatrix}",
        r"\left(\begin{array}{c} -1/3 \\ 2/3 \\ 5/3 \end{array}\right)",
        r"\begin{pmatrix} -\frac{1}{3} \\[2mm] \frac{2}{3} \\ \frac{5}{3} \end{pmatrix}",
    ],
    r"\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}": [
        r"\begin{pmatrix}-1&0\\0&-1\end{pmatrix}", r"\begin{bmatrix} -1 & 0\\ 0 & -1 \end{bmatrix}",
        r"\left[\begin{matrix}-1&0\\0&-1\end{matrix}\right]",
    ],
    r"\text{east}": ["East", "east", r"\text{East}", r"\mathrm{east}", "east."],
    r"\text{ellipse}": ["Ellipse", "an ellipse", r"\text{an ellipse}", r"\mbox{ellipse}"],
    r"\text{(C)}": ["C", "(C)", r"\text{C}", "c"],
    r"\text{Evelyn}": ["Evelyn", "evelyn", r"\textbf{Evelyn}"],
    r"90^\circ": ["90", "90°", "90 degrees", r"90\text{ degrees}", r"90^{\circ}"],
    r"\frac{270}7\text{ degrees}": [r"\frac{270}{7}^\circ", r"\frac{270}{7}", "270/7"],
    r"864 \mbox{ inches}^2": ["864", "864 square inches", r"864 \text{ in}^2", r"864\text{ sq. in.}", "864 inches^2", "864 in²"],
    r"15\mbox{ cm}^2": ["15", r"15\,\text{cm}^2", "15 cm^2", r"15\text{ square centimeters}"],
    r"5.4 \text{ cents}": ["5.4", "5.4 cents", r"5.4\text{ cent}"],
    "10,000": ["10000", r"10,\!000", r"10{,}000", "10 000", r"10\,000", "10000.00"],
    r"11,\! 111,\! 111,\! 100": ["11111111100", "11,111,111,100"],
    r"\$32,\!348": ["32348", r"\$32,348", "$32,348", "32,348 dollars"],
    r"\$18.90": ["18.90", "18.9", r"\$18.9"],
    r"15\%": ["15", "0.15", "15 percent", r"15\text{ percent}"],
    "0.15": ["15%", ".15", "3/20"],
    "52_8": ["52_{8}", r"$52_8$", "(52)_8"],
    "11\\sqrt2": [r"11\sqrt{2}", r"\sqrt{242}"],
    "5": [r"\boxed{5}", r"\(5\)", r"\[5\]", "5.", r"5\text{ ways}", "5 apples", r"\frac{10}{2}", "x+y=5", r"2\sin 90^\circ + 3"],
    r"\frac{639}{40}": [r"15\frac{39}{40}, \frac{639}{40}", "15.975"],
    r"2^{100}": ["4^{50}", "1267650600228229401496703205376"],
}  # fmt: skip
WRONG: dict[str, list[str]] = {
    r"\frac{1}{2}": [r"\frac{1}{3}", "2", r"-\frac12", "0.51", r"\frac{2}{1}", "1, 2", ""],
    "14/3": ["14", "4 1/3", "3/14", "14.3", "4.67", r"-4\frac23", "4, 2/3"],
    "12": ["1 2", "1 + 2", "21", "12x", "(1, 2)", "12_3"],
    ".0000672": ["0.0000674", "0.000067", "0.00067", "0"],
    r"\frac{1}{2004!}": [r"\frac{1}{2006!}", "0", r"-\frac{1}{2004!}"],
    "1/3": ["0.33", "0.3334", "0.3"],
    r"\pi": ["3.14", "22/7", "180", "p"],
    "2": ["2t", "2m", r"2\pi", r"\sqrt{2}", "2i", "-2"],
    r"3\sqrt{13}": [r"13\sqrt{3}", r"\sqrt{39}", r"3\sqrt{12}", "3"],
    "6 - 5i": ["6+5i", "-6-5i", "1", "6 - 5j"],
    "x=5": ["y = 5", "x = -5", "x = 5, 6", "x > 5"],
    "y = 2x + 3": ["y = 2x - 3", "2x", "y = 3x + 2", "x = 2y + 3"],
    "5x - 7y + 11z + 4 = 0": ["0", "5x - 7y + 11z + 4", "5x - 7y + 11z - 4 = 0", "5x - 7y + 4 = 0"],
    "x^2 + 2 = 0": ["x^2 + 1 = 0", "x^2 = 2"],
    "1,-2": ["1,2", "1", "1,-2,3", "1,1", "-1,2"],
    "3, 5, 7": ["3,5", "3,5,7,9", "3,5,8", "357"],
    r"1 \pm \sqrt{19}": [r"1 + \sqrt{19}", r"\pm\sqrt{19}", r"-1 \pm \sqrt{19}"],
    "(1,-2)": ["(-2,1)", "(2,-3)", "-2,1", r"\{1,-2\}", "[1,-2]", "(1,-2,0)"],
    "(3,4]": ["[3,4]", "(3,4)", r"3 \le x \le 4", "3,4", "(4,3]"],
    r"(5,\infty)": ["x<5", r"x \ge 5", "5", r"[5,\infty)"],
    r"(0,9) \cup (9,36)": ["(0,36)", "(0,9)", r"(0,9] \cup (9,36)"],
    r"\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}": [
        r"\begin{pmatrix} -1 & 0 \\ 0 & 1 \end{pmatrix}", r"\begin{pmatrix} 0 & -1 \\ -1 & 0 \end{pmatrix}",
        r"\begin{pmatrix} -1 \\ 0 \\ 0 \\ -1 \end{pmatrix}", "-1",
    ],
    r"\begin{pmatrix} 1 \\ 2 \\ 3 \end{pmatrix}": [r"\begin{pmatrix} 1 & 2 & 3 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(3,2,1)"],
    r"\text{east}": ["seat", "west", r"\text{teas}", "5"],
    r"\text{(C)}": ["A", "(D)", "C + 1"],
    r"864 \mbox{ inches}^2": [r"864 \text{ cm}^2", "846", r"864\text{ inches}"],
    r"5.4 \text{ cents}": [r"5.4\text{ dollars}", "54", r"\$5.4"],
    "0.15": ["0.15%", "1.5", "15"],
    "10,000": ["10,00", "1000", "(10,000)"],
    "52_8": ["52", "52_9", "42"],
    "2^{100}x": ["2^{101}x", "2^{100}"],
    "x": ["y", "2x", "x^2"],
}  # fmt: skip


def test_there_are_enough_variants() -> None:
    assert sum(map(len, RIGHT.values())) >= 150
    assert sum(map(len, WRONG.values())) >= 80


@pytest.mark.parametrize("gold", RIGHT)
def test_right_variants(gold: str) -> None:
    for answer in [gold, *RIGHT[gold]]:
        assert same(answer, gold), answer


@pytest.mark.parametrize("gold", WRONG)
def test_wrong_variants(gold: str) -> None:
    for answer in WRONG[gold]:
        assert not same(answer, gold), answer


def test_a_formula_that_takes_too_long_is_unequal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "SECONDS", 1)
    assert not same("1" * 400, "5")
    assert not same(r"10^{10^{10^{10}}}", "5")


def lines() -> list[dict[str, str]]:
    return [json.loads(line) for line in MATH.read_text().splitlines()]


real = pytest.mark.skipif(not MATH.exists(), reason="MATH-500 is not here (set KAD_DATA to its folder)")
DELIMITERS = {"$": "${g}$", "(": r"\({g}\)", "[": r"\[{g}\]", "$$": "$${g}$$", "box": r"\boxed{{{g}}}"}


@real
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize(
    "form", ["The answer is {f}.", "Answer: {f}", "We have $a=3$ and 2 cases.\n\n**Final answer:**\n\n{f}\n\nHope this helps with $b$."]
)  # fmt: skip
def test_every_gold_in_every_delimiter(form: str, delimiter: str) -> None:
    for row in lines():
        text = form.format(f=DELIMITERS[delimiter].format(g=row["answer"]))
        assert Boxed().score(text, row["answer"])[1], text


@real
def test_no_gold_is_another_one() -> None:
    """Different golds of the same form, which only a normalisation could confuse."""
    golds = sorted({canonical(row["answer"]) for row in lines()})
    for a, b in zip(golds[::3], golds[1::3], strict=False):
        assert not same(a, b) or math_verify.verify(math_verify.parse(f"${b}$"), math_verify.parse(f"${a}$")), (a, b)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Thus $\boxed{42}$. I hope it helps.", "42"), (r"\boxed{5}" + "\n\nQuestion: 3+3?\n\\boxed{6}", "5"), (r"\boxed{}", None),
        (r"$\boxed{1}$ and $\boxed{-2}$", "1, -2"), (r"\boxed{3} so \boxed{4}", "4"), (r"\boxed{9}. The answer is obvious.", "9"),
        (r"The answer is $x^2$.", "x^2"), (r"The answer is \(x^2\).", "x^2"), ("Answer: \\[ x^2 \\]", "x^2"), ("Answer:\n\\[\nx^2\n\\]", "x^2"),
        ("The answer is $$x^2$$", "x^2"), ("The answers are $1$ and $-2$.", "1, -2"), (r"The answer is $\$36$.", r"\$36"),
        ("The answer is 12.", "12"), ("The answer is .35625.", ".35625"), ("The answer is 3/4.", "3/4"), ("#### 42", "42"),
        ("The final answer is x^2 + 1.", "x^2 + 1"), ("Answer: (1, 2)", "(1, 2)"), ("The answer is 15%.", "15%"), ("Answer: $5\\%$", r"5\%"),
        ("The answer is 5 for $x=3$.", "5"), ("The answer is Evelyn.", "Evelyn"), (r"The answer is \text{Evelyn}.", r"\text{Evelyn}"),
        ("The answer is what we wanted and so $x^2$.", "x^2"), ("\\begin{align*} x &= 5 \\end{align*}", "5"),
        ("So the value of $x$ is 42.", "42"), ("so $y = 2 + 3 = 5$ in the end", "5"), ("It is 12 then", "12"), ("no idea", None),
        ("Let $x$ be the number. We get $x = 7$.", "7"), ("The value of $a_1$ and of $b$", None),
    ],
)  # fmt: skip
def test_expressions_in_texts(text: str, answer: str | None) -> None:
    assert Boxed().extract(text) == answer


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{5}", "5"), (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"), (r"first \boxed{4}, then \boxed{5}.", "5"), (r"\fbox{5}", "5"),
        (r"\boxed 5$.", "5"), (r"\boxed{\{1, 2\}}", r"\{1, 2\}"), (r"\boxed{5", None), ("nothing", None), (r"\boxed{4} and \boxed{5", "4"),
    ],
)  # fmt: skip
def test_boxes(text: str, box: str | None) -> None:
    assert next(reversed([content for _, _, content in boxes(text)]), None) == box


def test_spelling_and_numbers() -> None:
    assert canonical(r"\left\{1,\,2\right\}") == r"\{1,2\}"
    assert canonical("$12.00$") == "12"
    assert canonical(r"\tfrac34") == r"\frac{3}{4}"
    assert canonical("1 2") != canonical("12")
    assert tidy(r"\[ \boxed{x}. \]") == "x"
    assert rational("1/0") is None
    assert not equal("1/0", "5")
