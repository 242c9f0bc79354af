"""Word problems of two to four steps with + - x on the integers 0..99: the task of the embedded pair.

Everything is drawn from a `random.Random`, so a seed fixes the data. Which split a problem belongs to is a
hash of its text: no problem of the test split can appear in training, whatever the seeds.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "dev", "test"]

NAMES = {
    "she": ["mia", "ana", "lena", "zoe", "nora", "iris"],
    "he": ["tom", "ben", "omar", "luis", "finn", "hugo"],
}
ITEMS = ["apples", "pens", "coins", "books", "cards", "shells", "eggs", "stones", "stamps", "beads"]
HOLDERS = ["boxes", "bags", "jars", "packs"]
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


def random_step(rng: random.Random, value: int, opening: bool = False) -> Step:
    """A step from ``value`` that stays within 0..99; an opening step is never a product of the running total."""
    ops = [op for op, possible in (("+", value <= 95), ("-", value >= 4), ("*", 2 <= value <= 33)) if possible]
    weights = [{"+": 4, "-": 4, "*": 2}[op] for op in ops]
    op = rng.choices(ops, weights)[0]
    if op == "+":
        right = rng.randint(2, min(20, 99 - value))
        return Step(value, "+", right, value + right)
    if op == "-":
        right = rng.randint(2, min(20, value))
        return Step(value, "-", right, value - right)
    right = rng.randint(2, min(4, 99 // value))
    return Step(value, "*", right, value * right)


def event(rng: random.Random, step: Step, pronoun: str, friend: str) -> str:
    """The sentence that tells a step."""
    n = step.right
    if step.op == "+":
        return rng.choice(
            [
                f"{pronoun} buys {n} more .",
                f"{pronoun} finds {n} more .",
                f"{friend} brings {n} more .",
                f"then {pronoun} gets {n} as a gift .",
            ]
        )
    if step.op == "-":
        return rng.choice(
            [
                f"{pronoun} loses {n} .",
                f"{pronoun} sells {n} .",
                f"{pronoun} gives {n} to {friend} .",
                f"then {friend} takes {n} away .",
            ]
        )
    return rng.choice([f"then the pile grows to {n} times its size .", f"a trick makes it {n} times as many ."])


def draw(rng: random.Random) -> Problem:
    """One problem of any split."""
    pronoun = rng.choice(["she", "he"])
    name = rng.choice(NAMES[pronoun])
    friend = rng.choice([other for group in NAMES.values() for other in group if other != name])
    item = rng.choice(ITEMS)
    steps: list[Step] = []
    if rng.random() < 0.35:  # the first number is itself a product
        count, each = rng.randint(2, 9), rng.randint(2, 9)
        holder = rng.choice(HOLDERS)
        steps.append(Step(count, "*", each, count * each))
        sentences = [
            rng.choice(
                [
                    f"{name} has {count} {holder} with {each} {item} in each .",
                    f"{name} fills {count} {holder} with {each} {item} each .",
                ]
            )
        ]
        value = count * each
    else:
        value = rng.randint(2, 60)
        sentences = [
            rng.choice(
                [
                    f"{name} has {value} {item} .",
                    f"{name} starts with {value} {item} .",
                    f"there are {value} {item} on the table of {name} .",
                ]
            )
        ]
    total = rng.choice([2, 2, 3, 3, 4])
    while len(steps) < total:
        step = random_step(rng, value)
        steps.append(step)
        sentences.append(event(rng, step, pronoun, friend))
        value = step.result
    sentences.append(rng.choice([f"how many {item} does {name} have now ?", f"how many {item} are there in the end ?"]))
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


def aligned_answer(problem: Problem) -> str:
    """The format that the aligned model was taught."""
    lines = [f"{'first' if i == 0 else 'then'} {step} ." for i, step in enumerate(problem.steps)]
    return " ".join([*lines, "####", str(problem.answer)])


def aligned(text: str) -> bool:
    """Whether the whole text has that format, whatever it says.

    >>> aligned("first 6 - 2 = 4 . #### 4"), aligned("it is 4 .")
    (True, False)
    """
    return ALIGNED.fullmatch(text.strip()) is not None
