"""Answers out of texts: the traps that other extractors fall into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kad.evaluation.answers import Boxed, Letter, Number, last_box, normalised, numbers, own_part


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 18", "18"),
        ("Janet makes 9 * 2 = $18.\n#### 18", "18"),
        ("first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13", "13"),
        ("The answer is 1,250.", "1250"),
        ("The answer is $1,250.00.", "1250.00"),
        ("The final answer is: 7", "7"),
        ("Answer: 7 apples in 3 boxes", "7"),
        ("**Answer:** 42", "42"),
        ("So 3 + 4 = 7", "7"),
        ("the answer is 3 + 4 = 7.", "7"),
        ("The answer is 18. I hope this helps! Ask me 2 more.", "18"),
        ("The answer is 5. Wait, no. The answer is 6.", "6"),
        ("It costs 5-3=2", "2"),
        ("between 10-20", "20"),
        ("between 10–20", "20"),
        ("it falls by −3", "-3"),
        ("it is -3.", "-3"),
        ("it is -$3.", "-3"),
        ("he owes $-3", "-3"),
        ("about .5 of it", ".5"),
        ("3/4", "3/4"),
        ("\\frac{3}{4}", "3/4"),
        ("the result is $\\boxed{72}$ and there are 3 steps", "72"),
        ("\\boxed{1{,}000}", "1000"),
        ("It is 50%.", "50"),
        ("It is 18.", "18"),
        ("It is 18.5.", "18.5"),
        ("#### 70,000", "70000"),
        ("in 2 steps: 4\nQuestion: what is 9 + 9?\n#### 18", "4"),
        ("#### 4\n\nQ: Tom has 5 pens. #### 5", "4"),
        ("#### 4<|im_start|>user 12", "4"),
        ("the model GPT-4 says nothing", None),
        ("no idea , ask your teacher .", None),
        ("", None),
        ("####", None),
        ("#### so it is\n12", "12"),
        ("The answer is\n\n12", "12"),
        ("1,2,3", "3"),
        ("1,234,56", "56"),
        ("10 / 2 = 5", "5"),
        ("1/0", "0"),
    ],
)
def test_numbers(text: str, number: str | None) -> None:
    assert Number().extract(text) == number


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("18", "18", True), ("18.0", "18", True), ("18", "18.0", True), ("1000", "1,000", True), ("3/4", "0.75", True),
        ("-3", "3", False), ("18", "18.01", False), ("180", "18", False), (".5", "1/2", True), ("5", "", False),
        ("0.3333333333", "1/3", True), ("0.33", "1/3", False),
    ],
)  # fmt: skip
def test_equal_numbers(answer: str, gold: str, same: bool) -> None:
    assert Number().equal(answer, gold) == same


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["#### {}", "The answer is {}.", "so x = {:,}", "It is ${:,}.", "\\boxed{{{}}}"]),
)
def test_any_whole_number_in_any_form(value: int, form: str) -> None:
    assert Number().score(form.format(value), str(value))[1]


@given(st.text(max_size=80))
def test_no_text_breaks_an_extractor(text: str) -> None:
    for kind in (Number(), Letter(5), Boxed()):
        answer = kind.extract(text)
        assert answer is None or answer.strip()
    assert all(float(eval(n)) is not None for n in numbers(text) if not n.endswith("/0") and not n.startswith("0"))


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"first \boxed{4}, then \boxed{5}.", "5"),
        (r"\fbox{5}", "5"),
        (r"\boxed 5$.", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{5", None),
        ("nothing", None),
        (r"\boxed{4} and \boxed{5", "4"),
    ],
)
def test_boxes(text: str, box: str | None) -> None:
    assert last_box(text) == box


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (r"\dfrac{1}{2}", r"\frac{1}{2}"), (r"\frac12", r"\frac{1}{2}"), ("0.5", r"\frac{1}{2}"), ("1/2", r"\frac{1}{2}"),
        (r"\left(3,\frac{\pi}{2}\right)", r"\left( 3, \frac{\pi}{2} \right)"), (r"\sqrt{117}", r"3\sqrt{13}"),
        ("90", r"90^\circ"), ("Evelyn", r"\text{Evelyn}"), ("5", "x=5"), ("-2,1", "1,-2"), ("10000", "10,000"),
        (r"\$32", "32"), (r"15\%", "15"), ("6-5i", "6 - 5i"), (r"x^5+x-1", "x - 1 + x^5"), (r"11\sqrt{2}", r"11\sqrt2"),
        (r"\frac{\pi}2", r"\frac{\pi}{2}"), (r"5\,\text{cm}", "5cm"), (r"\frac{2}{4}", r"\frac{1}{2}"), ("2x+2", "2(x+1)"),
    ],
)  # fmt: skip
def test_the_same_expression(answer: str, gold: str) -> None:
    assert Boxed().equal(answer, gold)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (r"\frac{1}{3}", r"\frac{1}{2}"), ("(1,2)", "(2,1)"), ("5", "-5"), (r"\sqrt{2}", "2"), ("Evelyn", "Carla"),
        ("52", "52_8" ), ("x", "y"), ("", "5"), ("1" * 400, "5"), ("3", "3.1"),
    ],
)  # fmt: skip
def test_another_expression(answer: str, gold: str) -> None:
    assert not Boxed().equal(answer, gold)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Thus $\boxed{42}$. I hope it helps.", "42"),
        (r"The answer is $x^2$.", "x^2"),
        (r"The answer is \(x^2\).", "x^2"),
        ("The answer is 12.", "12"),
        ("so $y = 2 + 3 = 5$ in the end", "5"),
        ("It is 12 then", "12"),
        ("no idea", None),
    ],
)
def test_expressions_in_texts(text: str, answer: str | None) -> None:
    assert Boxed().extract(text) == answer


def test_spelling() -> None:
    assert normalised(r"\left\{1,\,2\right\}") == r"\{1,2\}"
    assert normalised("$12.00$") == "12"
    assert normalised(r"\tfrac34") == r"\frac{3}{4}"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), ("B.", "B"), ("(B)", "B"), ("b)", "B"), ("**B**", "B"), ("**B.** bank", "B"), ("B: bank", "B"),
        ("B. I hope this helps", "B"), ("The answer is B.", "B"), ("The answer is (C) because A is wrong.", "C"),
        ("The correct answer is: D", "D"), ("Answer: C. A bank", "C"), ("I think the answer is C", "C"),
        ("I would choose option D here.", "D"), (r"\boxed{E}", "E"), (r"\boxed{\text{(B)}}", "B"), ("#### A", "A"),
        ("A revolving door is used at a bank.", None), ("I do not know.", None), ("no idea", None), ("", None),
        ("A and B are both possible.", None), ("Let us think. A bank has doors. So it must be D.", "D"),
        ("The answer is A. B would need more people.", "A"), ("F", None), ("C - department store", "C"),
        ("Step by step: people go to a mall.\nE. new york", "E"), ("answer is a bank", None), ("It's B!", "B"),
        ("The answer is C.\nQuestion: Where else?\nThe answer is D.", "C"), ("Answer: (d)", "D"),
    ],
)  # fmt: skip
def test_letters(text: str, letter: str | None) -> None:
    assert Letter(5).extract(text) == letter


def test_the_ninth_option_is_not_the_pronoun() -> None:
    nine = Letter(9)
    assert nine.extract("I. the last one") == "I"
    assert nine.extract("I think it is H.") == "H"
    assert nine.extract("I think so too") is None
    assert nine.equal("i", "I")


def test_what_follows_the_answer_is_cut() -> None:
    assert own_part("4\nProblem 2: x") == "4"
    assert own_part("Question: is it 4? Yes.") == "Question: is it 4? Yes."
