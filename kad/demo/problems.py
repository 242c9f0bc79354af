"""Word problems of two to four steps with + - x on the integers 0..99: the task of the embedded pair.

Everything is drawn from a `random.Random`, so a seed fixes the data. Which split a problem belongs to is a
hash of its text: no problem of the test split can appear in training, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import json
import operator
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "dev", "test"]

SENTENCES = json.loads(Path(__file__).with_name("sentences.json").read_text(encoding="utf-8"))  # of problems and pages
NAMES = SENTENCES["names"]
OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
ALIGNED = re.compile(r"(?:(?:first|then) \d+ [-+*] \d+ = \d+ \. )+#### \d+")


@dataclass(frozen=True)
class Step:
    """One line of arithmetic, ``left op right = result``, with op one of ``+ - *``."""

    left: int
    op: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right} = {self.result}"


@dataclass(frozen=True)
class Problem:
    """A question in words, the steps that solve it and, through them, its answer."""

    text: str
    name: str
    pronoun: str
    item: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        return self.steps[-1].result

    @property
    def split(self) -> Split:
        bucket = int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:4], "big") % 100
        return "test" if bucket < 10 else "dev" if bucket < 15 else "train"


def random_step(rng: random.Random, value: int) -> Step:
    """A step from ``value`` that stays within 0..99."""
    ops = [op for op, possible in (("+", value <= 95), ("-", value >= 4), ("*", 2 <= value <= 33)) if possible]
    weights = [{"+": 4, "-": 4, "*": 2}[op] for op in ops]
    op = rng.choices(ops, weights)[0]
    most = {"+": min(20, 99 - value), "-": min(20, value), "*": min(4, 99 // max(1, value))}
    right = rng.randint(2, most[op])
    return Step(value, op, right, OPERATIONS[op](value, right))


def phrase(rng: random.Random, kind: str, **words: object) -> str:
    """One of the sentences of a kind, with these words in it."""
    found: str = rng.choice(SENTENCES[kind])
    return found.format(**words)


def draw(rng: random.Random) -> Problem:
    """One problem of any split."""
    pronoun = rng.choice(["she", "he"])
    name = rng.choice(NAMES[pronoun])
    friend = rng.choice([other for group in NAMES.values() for other in group if other != name])
    item = rng.choice(SENTENCES["items"])
    steps: list[Step] = []
    if rng.random() < 0.35:  # the first number is itself a product
        count, each = rng.randint(2, 9), rng.randint(2, 9)
        holder = rng.choice(SENTENCES["holders"])
        value = count * each
        steps.append(Step(count, "*", each, value))
        sentences = [phrase(rng, "product", name=name, count=count, holder=holder, each=each, item=item)]
    else:
        value = rng.randint(2, 60)
        sentences = [phrase(rng, "opening", name=name, value=value, item=item)]
    total = rng.choice([2, 2, 3, 3, 4])
    while len(steps) < total:
        step = random_step(rng, value)
        steps.append(step)
        sentences.append(phrase(rng, step.op, pronoun=pronoun, friend=friend, n=step.right))
        value = step.result
    sentences.append(phrase(rng, "question", name=name, item=item))
    return Problem(" ".join(sentences), name, pronoun, item, tuple(steps))


def draw_from(rng: random.Random, split: Split) -> Problem:
    """One problem of the given split (rejection on the hash)."""
    while (problem := draw(rng)).split != split:
        pass
    return problem


def held_out(n: int, split: Split = "test", seed: int = 2) -> list[Problem]:
    """n distinct problems of a held-out split; the same list for the same arguments."""
    rng, found = random.Random(f"{split}-{seed}"), dict[str, Problem]()
    while len(found) < n:
        problem = draw_from(rng, split)
        found.setdefault(problem.text, problem)
    return list(found.values())


def prompt(problem: Problem) -> str:
    """What the models are asked: the forum form that both have seen."""
    return f"q : {problem.text} a :"


def step_in_style(style: int, i: int, step: Step) -> str:
    """The i-th step of a solution, written in one of five styles."""
    verb, sign = SENTENCES["words"][step.op]
    written: str = SENTENCES["styles"][style][min(i, 1)]
    return written.format(step=step, number=i + 1, verb=verb, sign=sign, **vars(step))


def aligned_answer(problem: Problem) -> str:
    """The format that the aligned model was taught."""
    return " ".join([*(step_in_style(0, i, step) for i, step in enumerate(problem.steps)), "####", str(problem.answer)])


def aligned(text: str) -> bool:
    """Whether the whole text has that format, whatever it says.

    >>> aligned("first 6 - 2 = 4 . #### 4"), aligned("it is 4 .")
    (True, False)
    """
    return ALIGNED.fullmatch(text.strip()) is not None
