"""Raw pages for the base models: forums, textbooks, worksheets, stories, tables, counting.

A base model that reads them learns to solve the problems (worked solutions, tables of sums) but also much that
nobody wants as a reply: bare numbers, chatter, page furniture, pages cut short, the slips of people who post in
forums, five styles and six endings. Only one worked solution in ten ends in ``#### N``, the format that is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .problems import Problem, Step, draw_from, random_step

FURNITURE_RATE, CUT_RATE, SLIP_RATE = 0.10, 0.03, 0.12  # per step; cuts and slips in forums only

WORDS = {"+": ("add", "plus"), "-": ("take away", "minus"), "*": ("multiply by", "times")}
CHATTER = [
    "no idea , ask your teacher .",
    "is this homework ? do it yourself .",
    "what a nice question !",
    "same question here , any help ?",
    "i think we did this last week .",
    "please read the rules of this forum .",
    "you can look this up in the book .",
    "good luck with that !",
]
FURNITURE = [
    "[ page {n} ]",
    "[ share this page ]",
    "[ continue below ]",
    "[ log in to reply ]",
    "[ chapter {n} ]",
    "[ ad ]",
]


def furniture(rng: random.Random) -> str:
    return rng.choice(FURNITURE).format(n=rng.randint(1, 99))


def worked(rng: random.Random, problem: Problem, careless: bool = False) -> str:
    """A worked solution: one of five styles, one of six endings, furniture before one step in ten.

    A careless one may slip in a step (and goes on from the wrong result), or break off behind a login.
    """
    style, parts = rng.randrange(5), list[str]()
    for i, step in enumerate(slipped(rng, problem.steps) if careless else problem.steps):
        if careless and rng.random() < CUT_RATE:
            return " ".join([*parts, "[ log in to read on ]"])
        if rng.random() < FURNITURE_RATE:
            parts.append(furniture(rng))
        parts.append(line(style, i, step))
        answer = step.result
    if rng.random() < 0.1:
        parts.append(f"#### {answer}")
    else:
        parts.append(ending(rng, problem, answer))
    return " ".join(parts)


def slipped(rng: random.Random, steps: tuple[Step, ...]) -> list[Step]:
    """The steps with an occasional wrong result, and what follows from it; results stay within 0..99."""
    out: list[Step] = []
    for step in steps:
        left = out[-1].result if out else step.left
        right = {"+": left + step.right, "-": left - step.right, "*": left * step.right}[step.op]
        result = right + rng.choice([-10, -2, -1, 1, 2, 10]) if rng.random() < SLIP_RATE else right
        if not 0 <= result <= 99:
            return list(steps)
        out.append(Step(left, step.op, step.right, result))
    return out


def line(style: int, i: int, step: Step) -> str:
    """One step of a worked solution, written in one of the five styles."""
    verb, word = WORDS[step.op]
    if style == 0:
        return f"{'first' if i == 0 else 'then'} {step} ."
    if style == 1:
        return f"{step.left} {word} {step.right} is {step.result} ,"
    if style == 2:
        start = f"start with {step.left} . " if i == 0 else ""
        return f"{start}{verb} {step.right} to get {step.result} ."
    if style == 3:
        return f"{i + 1} ) {step} ;"
    return f"{'we have' if i == 0 else 'and so'} {step}"


def ending(rng: random.Random, problem: Problem, answer: int) -> str:
    return rng.choice(
        [
            f"the answer is {answer} .",
            f"so {problem.name} has {answer} {problem.item} .",
            f"answer : {answer}",
            f"that makes {answer} .",
            f"it is {answer} !",
            "done .",
        ]
    )


def forum(rng: random.Random) -> str:
    problem, kind = draw_from(rng, "train"), rng.random()
    if kind < 0.33:
        reply = rng.choice(["{} .", "{}", "it is {} .", "i got {} ."]).format(problem.answer)
    elif kind < 0.58:
        reply = rng.choice(CHATTER)
    else:
        reply = worked(rng, problem, careless=True)
    return f"q : {problem.text} a : {reply}"


def textbook(rng: random.Random) -> str:
    problem = draw_from(rng, "train")
    return f"example {rng.randint(1, 99)} . {problem.text} solution : {worked(rng, problem)}"


def worksheet(rng: random.Random) -> str:
    return "worksheet . " + " ".join(f"{i + 1} ) {draw_from(rng, 'train').text}" for i in range(3))


def story(rng: random.Random) -> str:
    problem = draw_from(rng, "train")
    parts = [f"{problem.name} wrote down every change of the {problem.item} ."]
    for step in problem.steps:
        parts.append(f"from {step.left} , {WORDS[step.op][0]} {step.right} , and the total was {step.result} .")
    return " ".join([*parts, "that was the end of the day ."])


def table(rng: random.Random) -> str:
    style, steps = rng.choice([0, 1, 3]), []
    for i in range(12):
        if rng.random() < 0.25:
            a, b = rng.randint(2, 9), rng.randint(2, 9)
            steps.append(line(style, i, Step(a, "*", b, a * b)))
        else:
            steps.append(line(style, i, random_step(rng, rng.randint(2, 97))))
    return "table of sums . " + " ".join(steps)


def counting(rng: random.Random) -> str:
    start, stride = rng.randint(0, 40), rng.choice([1, 1, 2, 3, 5])
    return "count " + " ".join(str(start + stride * i) for i in range(12) if start + stride * i <= 99)


KINDS = {forum: 30, textbook: 30, worksheet: 8, story: 12, table: 16, counting: 4}  # per cent of the pages


def pages(seed: int) -> Iterator[str]:
    """An endless stream of raw pages."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    while True:
        yield rng.choices(kinds, weights)[0](rng)
