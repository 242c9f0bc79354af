"""Letters of options: the same verdict for every letter, and which of several candidates wins."""

from __future__ import annotations

import re

import pytest

from kad.evaluation import Letter
from kad.evaluation.answers.options import OptionTexts
from kad.evaluation.tasks import task_of

LETTERS = "ABCDE"
FORMS = [
    "{X}", "{X}.", "({X})", "[{X}]", "{X})", "{X}:", "{X}!", "{X}: bank", "{X}. bank", "{X}) bank", "({X}) bank", "({X}) bank.",
    "{X} - bank", "{X} — bank", "({X}) - bank", "{X}/bank", "{X}, bank", "{X}; bank", "{X} (bank)", "{X}=bank", "{X} = bank",
    "{X} because it is safe", "{X}, because it is safe", "{X}\nbecause", "**{X}**", "**{X}.** bank", "**({X})**", "*{X}*", "__{X}__",
    "_{X}_", "`{X}`", '"{X}"', "'{X}'", "“{X}”", "<{X}>", "<<{X}>>", "{{{X}}}", "[[{X}]]", "<b>{X}</b>", "<answer>{X}</answer>",
    r"\({X}\)", r"\[{X}\]", "${X}$", "$${X}$$", "$({X})$", r"\text{{{X}}}", r"\text{{({X})}}", r"\textbf{{{X}}}", r"\mathrm{{{X}}}",
    r"$\text{{{X}}}$", r"$\mathbf{{{X}}}$", r"$\textbf{{({X})}}$", r"\boxed{{{X}}}", r"\boxed{{({X})}}", r"$\boxed{{\text{{{X}}}}}$",
    r"\boxed{{{X}. bank}}", r"\boxed{{\text{{{X}) bank}}}}", "Option {X}", "option {X}", "Option ({X})", "Choice {X}: bank", "choice {X}",
    "the letter {X}", "letter {X}.", "Ⓧ", "{X} is a place with money",
]  # fmt: skip
LEADS = [
    "{w}", "The answer is {w}", "Answer: {w}", "ANSWER: {w}", "**Answer:** {w}", "The correct answer is {w}", "#### {w}",
    "Some reasoning about a bank. The answer is {w}", "So the final answer is: {w}", "The correct option is {w}",
    "Let us think. People go to a bank.\n\nAnswer: {w}", "I would choose {w}", "I'd go with {w}", "The best choice is {w}",
    "Thus, the answer is therefore {w}", "A person keeps money there.\nThe answer is {w}", "answer = {w}", "My answer is {w}",
]  # fmt: skip


def spoken(lead: str, form: str, letter: str) -> str:
    if form == "Ⓧ":
        return lead.format(w=chr(ord("Ⓐ") + ord(letter) - ord("A")))
    return lead.format(w=form.format(X=letter))


@pytest.mark.parametrize("lead", LEADS)
def test_the_same_verdict_for_every_letter(lead: str) -> None:
    assert len(FORMS) >= 60
    for form in FORMS:
        texts = [spoken(lead, form, letter) for letter in LETTERS]
        assert [Letter(5).extract(text) for text in texts] == list(LETTERS), texts[0]
        assert [Letter().extract(text) for text in texts] == list(LETTERS), texts[0]
        for letter, text in zip(LETTERS, texts, strict=True):
            options = ["bank" if other == letter else f"mall {other}" for other in LETTERS]
            assert Letter().extract(text, options=options) == letter, text


SENTENCES = [
    "I think B is the best answer.", "Option B is correct", "Therefore, (B) is the answer.", "Hence the right choice would be B",
    "It can only be B.", "Thus B is our answer", "So B", "So it must be B.", "=> B", "-> (B)", "The answer must be B", "I'd say B", "Ans: B",
    "answer - B", "The answer here is B", "### Final Answer\nB", "Final Answer: The final answer is $\\boxed{B}$",
    "The answer is:\n\n(B) bank", "The answer is $\\boxed{\\textbf{(B)}}$.", "B because banks have doors", "Answer is B", "It's B!",
]  # fmt: skip


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_same_verdict_in_sentences(sentence: str) -> None:
    for letter in LETTERS:
        assert Letter(5).extract(re.sub(r"\bB\b", letter, sentence)) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        # what is an option, and what is a word
        ("b)", "B"), ("b", "B"), ("Answer: (d)", "D"), ("A revolving door is used at a bank.", None), ("answer is a bank", None),
        ("I do not know.", None), ("no idea", None), ("", None), ("F", None), ("I am sure.\nAnswer: C", "C"),
        ("B. I hope this helps", "B"), ("C - department store", "C"), ("Answer: C. A bank", "C"),
        ("Let us think. A bank has doors. So it must be D.", "D"), ("I would choose option D here.", "D"),
        # formulas are no letters
        (r"\boxed{F = ma}. The answer is (B).", "B"), ("The answer is E = mc^2", None), (r"\boxed{B^2}", None),
        # several letters
        ("A and B are both possible.", None), ("The answer is A or B.", None), ("The answer is either B or C", None),
        ("The answer is (C) because A is wrong.", "C"), ("The answer is A. B would need more people.", "A"),
        ("Answer is B, not C", "B"), ("The answer is not A. It is B.", "B"), ("Option A is wrong. So it must be (D).", "D"),
        ("B is correct. A is wrong.", "B"), ("A is not correct. B is correct.", "B"), ("I choose (B).\n\nA. is wrong", "B"),
        # markers and boxes before choices, the last of them first
        ("The answer is (B). It is C in other cases.", "B"), ("The answer is (B). If it rained, the answer would be (C).", "B"),
        (r"\boxed{A}. Wait, no. The answer is (B).", "B"), ("B. bank\n\nWait, no. The answer is (C).", "C"),
        ("First, people pick C sometimes. Why?\nBecause. The answer is (B).", "B"),
        # recitals of the options
        ("A. money\nB. buying\nC. bank\nD. x\nE. y", None), ("(A) money (B) buying (C) bank", None), ("A) money\nB) buying", None),
        ("The answer is A. money B. buying C. bank", None), ("A. money\nB. buying\nC. bank\n\nB. buying", "B"),
        ("A. money\nB. buying\nC. bank\n\nThe answer is B.", "B"), ("The options are A, B, C, D, and E. The answer is C.", "C"),
        ("A. money - no\nB. bank - yes\nC. mall - no\n\nTherefore B.", "B"), ("Step by step: a mall.\nE. new york", "E"),
        # the next question
        ("The answer is C.\nQuestion: Where else?\nThe answer is D.", "C"), ("B\n\nQuestion: Where?\nA. x\nB. y\n\nAnswer: D", "B"),
        ("The answer is B.\n\nWhere is a cat?\nA. here\nB. there\nThe answer is A.", "B"),
        ("The answer is B.\n\nA home of cats is\n\nA. here\nB. there\nThe answer is A.", "B"),
        ("Let me restate.\n\nQuestion: where?\nA. money\nB. bank\n\nThe answer is (B).", "B"),
    ],
)  # fmt: skip
def test_which_candidate_wins(text: str, letter: str | None) -> None:
    assert Letter(5).extract(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is a bank.", "B"), ("Answer: Bank", "B"), (r"\boxed{\text{the bank}}", "B"), ("A bank", None), ("Answer: A bank", "B"),
        ("Answer: A mall", "A"), ("A mall", "A"), ("The answer is mall or bank.", None), ("The answer is E.", None),
        ("The answer is J. B. Rhine, and so on.", "D"), ("A. It is the best mall\nB. bank", None),
        ("The answer is (D). No, (C).", "D"), ("The answer is a shop, C.", "C"),
    ],
)  # fmt: skip
def test_options_that_are_known(text: str, letter: str | None) -> None:
    assert Letter().extract(text, options=["mall", "bank", "a house", "J. B. Rhine, and so on"]) == letter


def test_the_ninth_option_is_not_the_pronoun() -> None:
    nine = Letter(9)
    assert nine.extract("I. the last one") == "I"
    assert nine.extract("The answer is (I).") == "I"
    assert nine.extract("I think it is H.") == "H"
    assert nine.extract("I think so too") is None
    assert nine.equal("i", "I")


def test_every_question_with_options_knows_them() -> None:
    row = {"id": "x", "question": "Why?", "choices": {"text": ["so", "thus"], "label": ["A", "B"]}, "answerKey": "B"}
    (item,) = task_of("arc").items([row])
    assert item.options["AB".index(item.gold)] == "thus"
    assert task_of("arc").answer.score("The answer is thus.", item.gold, options=item.options)[1]
    assert OptionTexts.of(item.options, 26).letters == "AB"
