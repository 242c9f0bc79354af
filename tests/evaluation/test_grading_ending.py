"""Where a reply ends: the same verdict whatever stands before an answer and behind it."""

from __future__ import annotations

import json
import os
import random
from itertools import product
from pathlib import Path

import pytest

import kad
from kad.evaluation import Boxed, Letter, Number

DATA = Path(os.environ.get("KAD_DATA", Path(kad.__file__).parents[2] / "shared" / "data"))
MARKERS = [
    "#### {a}", "The answer is {a}.", "**Answer:** {a}", "The answer is **{a}**.", "Final answer: {a}", r"$\boxed{{{a}}}$",
    "Answer: \\[ {a} \\]", "Answer:\n\\[\n{a}\n\\]", "The answer is $$ {a} $$", "A: {a}", "### Final Answer\n\n{a}",
    r"The answer is \({a}\).", "The final answer is $ {a} $.", "So the answer is ${a}.", "\\[ \\boxed{{{a}}} \\]", "Answer: x = {a}",
    "<answer>{a}</answer>", "The correct answer is {a}",
]  # fmt: skip
BEFORE = [
    "{b}\n", "Let me restate.\n\nQuestion: {q}\n\n{b}\n", "**Question:** {q}\n\n**Solution:** {b}\n", "{b}\n\nQuestion: {q}\n",
    "{n}\n", "### Problem\n{q}\n\n### Solution\n{b}\n\n",
]  # fmt: skip
BEHIND = [
    "", "\n\nI hope this helps! Let me know if you have 2 more questions.", " This is the total for all of it.",
    "\n\nCheck: everything adds up.", "\n\n**Question:** {q}\n\n{s}", "\n\n### Question\n{q}\n### Answer\n{s}", "\n\n{q}\n{s}", "\n{q}\n{s}",
    "\n\nProblem 2: {q}\n\n{s}", "\n\nQ: {q}\nA: {s}", "\n\n## Next problem\n\n{q}\n\n{s}", "\n\nExample 3\n{q}\n{s}", "\n\n---\n\n{q}\n\n{s}",
    "\nuser\n{q}\nassistant\n{s}", "user\n\n{q}assistant\n\n{s}", "<|im_end|>\n<|im_start|>user\n{q}<|im_end|>\n{s}",
    "\nHuman: {q}\nAssistant: {s}", " [INST] {q} [/INST] {s}", "\n\n### Instruction:\n{q}\n\n### Response:\n{s}",
]  # fmt: skip
WORDINGS = list(product(MARKERS, BEFORE, BEHIND))
OWN = [  # question, steps, answer
    ("Janet has 16 eggs and eats 3. She sells the rest for $2 each. How much does she make?", "16 - 3 = 13\n13 * 2 = 26", "26"),
    ("Tom bought 5 pens at 3 dollars. How much did he pay?", "Each pen costs 3 dollars.\nHe pays 5 * 3 = 15 dollars.", "15"),
    ("A train goes 120 miles in 2 hours. Calculate its speed.", "120 / 2 = 60 miles an hour", "60"),
]  # fmt: skip


def solutions() -> list[tuple[str, str, str]]:
    """Questions with their steps and answers: GSM8K's own if they are here."""
    file = DATA / "gsm8k_test.jsonl"
    if not file.exists():
        return OWN
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [(row["question"], *(part.strip() for part in row["answer"].split("####"))) for row in rows]


def reply(marker: str, before: str, behind: str, mine: tuple[str, str, str], other: tuple[str, str, str]) -> str:
    question, steps, answer = mine
    numbered = "\n".join(f"Problem {i}: {line}" for i, line in enumerate(steps.split("\n"), 1))
    return (
        before.format(b=steps, q=question, n=numbered)
        + marker.format(a=answer)
        + behind.format(q=other[0], s=f"{other[1]}\n#### {other[2]}")
    )


def test_the_same_number_in_every_wording() -> None:
    """At least 99.9% of the replies; two questions a wording, drawn from a seed."""
    rows, draw, wrong, count = solutions(), random.Random(0), list[str](), 0
    for marker, before, behind in WORDINGS:
        for _ in range(2):
            mine, other = draw.sample(rows, 2)
            text, count = reply(marker, before, behind, mine, other), count + 1
            if not Number().score(text, mine[2])[1]:
                wrong.append(text)
    assert len(wrong) <= count / 1000, wrong[:3]


@pytest.mark.skipif(
    not (DATA / "example_model_solutions.jsonl").exists(),
    reason="the solutions that others graded are not here: example_model_solutions.jsonl of openai/grade-school-math",
)
def test_solutions_that_others_graded() -> None:
    """All 5,276 of four models as they are (Cobbe et al., arXiv 2110.14168)."""
    rows = [json.loads(line) for line in (DATA / "example_model_solutions.jsonl").read_text().splitlines()]
    for row in rows:
        gold = row.pop("ground_truth").split("A:")[-1].strip()
        row.pop("question")
        for model, given in row.items():
            assert Number().score(given["solution"], gold)[1] == given["is_correct"], (model, given["solution"])


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(("kind", "answer", "other"), [(Letter(5), "(B)", "(C)"), (Boxed(), "$x^2$", "$y + 1$")])
def test_other_kinds_end_at_the_same_places(kind, answer: str, other: str, behind: str) -> None:
    rest = behind.format(q="Where is the cat? It has 9 lives.", s=f"Cats sleep.\nThe answer is {other}.")
    text = f"Let me restate.\n\nQuestion: Where is the dog?\n\nIt barks.\nThe answer is {answer}.{rest}"
    assert kind.extract(text) == kind.extract(f"The answer is {answer}.")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Let me restate.\n\nQuestion: How many eggs?\n\n9*2 = 18\n#### 18", "18"),
        ("Problem 1: 16-3-4 = 9\nProblem 2: 9*2 = 18\n#### 18", "18"),
        ("Problem 1: eggs. The answer is 9.\nProblem 2: money for 9. The answer is 18.\n#### 18", "18"),
        ("in 2 steps: 4\nQuestion: what is 9 + 9?\n#### 18", "4"), ("#### 4\n\nQ: Tom has 5 pens. #### 5", "4"),
        ("#### 4<|im_start|>user 12", "4"), ("assistant\n#### 4", "4"), ("#### 18</s><s>[INST] 5? [/INST] #### 5", "18"),
        ("The answer is 18 dollars.\n\nWhat is 5+5? The answer is 10.", "18"), ("I see.<|im_end|>#### 4", "4"),
    ],
)  # fmt: skip
def test_a_text_is_cut_after_it_has_answered(text: str, number: str) -> None:
    assert Number().extract(text) == number


def test_long_texts_take_no_long_time() -> None:
    """A model that repeats itself for thousands of tokens: linear work, not quadratic."""
    for piece in (
        "Question: how many?\n",
        "The answer is ",
        "9 * 2 = 18\n",
        "$x$ and ",
        "\\boxed{",
        "A. bank\n",
        "<|im_start|>",
    ):
        text = piece * (20_000 // len(piece))
        for kind in (Number(), Letter(5), Boxed()):
            kind.extract(text)
