"""Numbers out of texts: the traps that other extractors fall into, and texts that were cut off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kad.evaluation import Answer, Boxed, Letter, Number
from kad.evaluation.answers.numbers import numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        # behind a marker
        ("#### 18", "18"), ("#### 18.", "18"), ("#### $18 per day", "18"), ("#### 70,000", "70000"), ("####", None),
        ("Janet makes 9 * 2 = $18.\n#### 18", "18"), ("first 6 - 2 = 4 . then 4 + 9 = 13 . #### 13", "13"),
        ("The answer is 1,250.", "1250"), ("The answer is $1,250.00.", "1250.00"), ("The final answer is: 7", "7"),
        ("Answer: 7 apples in 3 boxes", "7"), ("**Answer:** 42", "42"), ("the answer is 3 + 4 = 7.", "7"),
        ("The answer is 18. I hope this helps! Ask me 2 more.", "18"), ("The answer is\n\n12", "12"),
        ("The answer is **18**.", "18"), ("The answer is: **$18**", "18"), ("answer = 18", "18"), ("<answer>18</answer>", "18"),
        ("The answer to the question is 18", "18"), ("The correct answer is 18", "18"), ("Final Answer\n18", "18"),
        ("### Final Answer\n\n18 eggs", "18"), ("The answer is approximately 18", "18"), ("The answer is x = 5", "5"),
        ("The answer is therefore 18.", "18"), ("The answer is 9 x 2 = 18", "18"), ("The answer is 18 = 9*2", "18"),
        ("The answer is 18 (since 20 - 2 = 18, and 9/3=3)", "18"), ("Thus the answer is given by 9 * 2 = 18.", "18"),
        ("The answer is that she makes $18 per day.", "18"), ("Answer: Janet makes $18 every day.", "18"),
        ("A: 18\n\nTom has 5. How many?\nA: 5", "18"),
        # display mathematics
        ("Answer: \\[ 18 \\]", "18"), ("Answer:\n\\[\n18\n\\]", "18"), ("Answer:\n\n$$18$$", "18"), ("The answer is \\$18.", "18"),
        ("The answer is \\( 18 \\).", "18"), ("\\[ \\boxed{18} \\]", "18"),
        # a marker that announces no number
        ("She makes 9*2 = 18 dollars. The answer is in dollars, for 16 eggs.", "18"), ("The answer is not 20. It is 18.", "18"),
        ("#### so it is\n12", "12"), ("#### Step 1: 3 eggs\n16-3 = 13\n#### Step 2: 2 dollars\n13*2 = 26", "26"),
        ("Answer: Janet eats 3 so she has 16 - 3 = 13. Then she sells 13*2 = 26.", "26"), ("The answer is 9 * 2", None),
        # taken back
        ("The answer is 5. Wait, no. The answer is 6.", "6"), ("#### 9\n\nWait, I forgot the 2. 9*2=18\n#### 18", "18"),
        ("The answer is 9. Wait, that's wrong. 9*2=18. The answer is 18", "18"),
        ("The answer is 18. Let me double check: 9*2 = 18. Is it? Yes.\nThe answer is 18.", "18"),
        # forms
        ("So 3 + 4 = 7", "7"), ("It costs 5-3=2", "2"), ("between 10-20", "20"), ("between 10–20", "20"), ("it falls by −3", "-3"),
        ("it is -3.", "-3"), ("it is -$3.", "-3"), ("he owes $-3", "-3"), ("about .5 of it", ".5"), ("3/4", "3/4"),
        ("\\frac{3}{4}", "3/4"), ("the result is $\\boxed{72}$ and there are 3 steps", "72"), ("\\boxed{1{,}000}", "1000"),
        ("It is 50%.", "50"), ("It is 18.", "18"), ("It is 18.5.", "18.5"), ("1,2,3", "3"), ("1,234,56", "56"), ("10 / 2 = 5", "5"),
        ("1/0", "0"), ("It is 18 cm^2", "18"), ("The answer is 18 cm^2.", "18"), ("so 18 cm$^2$", "18"), ("18 cm^{2}", "18"),
        ("The answer is 3 1/2 cups", "7/2"), ("The answer is -2 1/2", "-5/2"), ("The answer is 1.5 \\times 10^3", "1.5e3"),
        # no number
        ("the model GPT-4 says nothing", None), ("no idea , ask your teacher .", None), ("", None),
    ],
)  # fmt: skip
def test_numbers(text: str, number: str | None) -> None:
    assert Number().extract(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She pays 3 * 4 = 1", None), ("She has 18 eggs and sells", None), ("The answer is 9", None), ("The answer is 9 * 2", None),
        ("#### 18", "18"), (r"so $\boxed{18}", "18"), ("The answer is 18.\n\nShe", "18"), ("So 18<|im_end|>\n<|im_start|>user", "18"),
        ("#### 18\n\nQuestion: Tom has 5 pe", "18"), ("It is 4.\nQuestion: what is 9 + 9?\nIt is 9 +", "4"),
    ],
)  # fmt: skip
def test_a_text_that_was_cut_off_answers_what_it_announced(text: str, number: str | None) -> None:
    assert Number().extract(text, finished=False) == number


def test_letters_and_formulas_of_texts_that_were_cut_off() -> None:
    assert Letter(4).extract("It may be B, as", finished=False) is None
    assert Letter(4).extract("The answer is (B)", finished=False) == "B"
    assert Boxed().extract("so $x = 5$ and then", finished=False) is None
    assert Boxed().extract(r"so $\boxed{5}$ and then", finished=False) == "5"
    assert Boxed().extract(r"The answer is $\frac{1}{2", finished=False) is None


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("18", "18", True), ("18.0", "18", True), ("18", "18.0", True), ("1000", "1,000", True), ("3/4", "0.75", True),
        ("-3", "3", False), ("18", "18.01", False), ("180", "18", False), (".5", "1/2", True), ("5", "", False),
        ("0.3333333333", "1/3", True), ("0.33", "1/3", False), ("1.5e3", "1500", True), ("7/2", "3.5", True),
    ],
)  # fmt: skip
def test_equal_numbers(answer: str, gold: str, same: bool) -> None:
    assert Number().equal(answer, gold) == same


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(
        ["#### {}", "The answer is {}.", "so x = {:,}", "It is ${:,}.", "\\boxed{{{}}}", "Answer: \\[ {} \\]"]
    ),
)
def test_any_whole_number_in_any_form(value: int, form: str) -> None:
    assert Number().score(form.format(value), str(value))[1]


@given(st.text(max_size=80) | st.text("0123456789.,-+*/=^_{}[]()$\\ \nABQaxd#:?<>|", max_size=80))
def test_no_text_breaks_an_extractor(text: str) -> None:
    for kind in (Number(), Letter(5), Boxed()):
        for finished in (True, False):
            answer = kind.extract(text, finished)
            assert answer is None or answer.strip()
    assert all(float(eval(n)) is not None for n in numbers(text) if not n.endswith("/0") and not n.startswith("0"))


def test_a_strangers_answer_is_given_what_it_takes() -> None:
    class Plain(Answer):
        def extract(self, text):
            return text

        def equal(self, answer, gold):
            return answer == gold

    class Whole(Plain):
        def extract(self, text, finished=True):
            return text if finished else None

    class Everything(Plain):
        def extract(self, text, **about):
            return f"{about['finished']} {about['options']}"

    assert Plain().score("a", "a", finished=False, options=("x",)) == ("a", True)
    assert Whole().score("a", "a", finished=False) == (None, False)
    assert Everything().score("a", "", options=("x",))[0] == "True ('x',)"


def test_graders_have_versions() -> None:
    assert {kind.grader for kind in (Number(), Letter(), Boxed())} == {"2"}
