"""Raw pages for the base models: forums, textbooks, worksheets, stories, tables, counting.

A base model that reads them learns to solve the problems (worked solutions, tables of sums) but also much that
nobody wants as a reply: bare numbers, chatter, page furniture, pages cut short, the slips of people who post in
forums, five styles and six endings. Only one worked solution in ten ends in ``#### N``, the format that is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .problems import OPERATIONS, SENTENCES, Problem, Step, draw_from, phrase, random_step, step_in_style

FURNITURE_RATE, CUT_RATE, SLIP_RATE = 0.10, 0.03, 0.12  # per step; cuts and slips in forums only


def worked(rng: random.Random, problem: Problem, careless: bool = False) -> str:
    """A worked solution: one of five styles, one of six endings, furniture before one step in ten.

    A careless one may slip in a step (and goes on from the wrong result), or break off behind a login.
    """
    style, parts = rng.randrange(5), list[str]()
    for i, step in enumerate(slipped(rng, problem.steps) if careless else problem.steps):
        if careless and rng.random() < CUT_RATE:
            return " ".join([*parts, "[ log in to read on ]"])
        if rng.random() < FURNITURE_RATE:
            parts.append(rng.choice(SENTENCES["furniture"]).format(n=rng.randint(1, 99)))
        parts.append(step_in_style(style, i, step))
        answer = step.result
    if rng.random() < 0.1:
        parts.append(f"#### {answer}")
    else:
        parts.append(phrase(rng, "ending", answer=answer, name=problem.name, item=problem.item))
    return " ".join(parts)


def slipped(rng: random.Random, steps: tuple[Step, ...]) -> list[Step]:
    """The steps with an occasional wrong result, and what follows from it; results stay within 0..99."""
    out: list[Step] = []
    for step in steps:
        left = out[-1].result if out else step.left
        right = OPERATIONS[step.op](left, step.right)
        result = right + rng.choice([-10, -2, -1, 1, 2, 10]) if rng.random() < SLIP_RATE else right
        if not 0 <= result <= 99:
            return list(steps)
        out.append(Step(left, step.op, step.right, result))
    return out


def forum(rng: random.Random) -> str:
    problem, kind = draw_from(rng, "train"), rng.random()
    if kind < 0.33:
        reply = phrase(rng, "reply", answer=problem.answer)
    elif kind < 0.58:
        reply = phrase(rng, "chatter")
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
        verb, _ = SENTENCES["words"][step.op]
        parts.append(f"from {step.left} , {verb} {step.right} , and the total was {step.result} .")
    return " ".join([*parts, "that was the end of the day ."])


def sums_table(rng: random.Random) -> str:
    style, steps = rng.choice([0, 1, 3]), []
    for i in range(12):
        if rng.random() < 0.25:
            a, b = rng.randint(2, 9), rng.randint(2, 9)
            steps.append(step_in_style(style, i, Step(a, "*", b, a * b)))
        else:
            steps.append(step_in_style(style, i, random_step(rng, rng.randint(2, 97))))
    return "table of sums . " + " ".join(steps)


def counting(rng: random.Random) -> str:
    start, stride = rng.randint(0, 40), rng.choice([1, 1, 2, 3, 5])
    return "count " + " ".join(str(start + stride * i) for i in range(12) if start + stride * i <= 99)


SHARES = {forum: 30, textbook: 30, worksheet: 8, story: 12, sums_table: 16, counting: 4}  # per cent of the pages


def pages(seed: int) -> Iterator[str]:
    """An endless stream of raw pages."""
    rng = random.Random(seed)
    kinds, weights = list(SHARES), list(SHARES.values())
    while True:
        yield rng.choices(kinds, weights)[0](rng)
