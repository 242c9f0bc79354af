"""The protocol of the paper's experiments beside the library's own: turns, limits, options in the data's order, no thinking.

What stands in which turn, and every limit, is the paper's; the words are kad's own, and so are the graders. Where the
published scoring is known to err, kad does not follow it, and `DEPARTURES` says so on every page of such results.
"""

from __future__ import annotations

import string
from typing import final

from ..defaults import PAPER_SENTENCE as PAPER_SENTENCE
from .answers import Answer
from .configuration import Configuration
from .task import Item, Part, Protocol, Row, Task
from .tasks import Choice, task_of

TASKS = ("gsm8k", "math500", "svamp", "arc", "csqa", "truthfulqa")
PAPER_TOKENS = 1024  # the limit for every task
PAPER_TEMPERATURE = 0.7
STEPS = "Work through the task one step at a time, and finish with your answer."
BOX = "Give the final result in the form \\boxed{result}."
CHOOSE = "Below is a question and its options, exactly one of which is right."
LETTER = "Explain your reasoning first, then state the letter of the right option."

OWN_SENTENCE = (
    "Asked by kad's own protocol: its prompts, limits, order of options and graders are not those of published experiments, so "
    "these numbers are not comparable with published ones (--protocol paper comes near the paper's)."
)
DEPARTURES = {
    "words": "the prompts say the same in words of kad's own: theirs have no licence",
    "grader": "answers are graded by kad: theirs takes the last number, box or capital A to J of the whole text, also one that is "
    "no answer",
    "truthfulqa": "TruthfulQA's right option stands first in every question, as in the data: a model that likes A gains by it",
    "arc": "ARC's options have letters throughout, also those that the data number: theirs counts a reply without a letter as right there",
    "gsm8k": "GSM8K comes in its main configuration: the socratic one has the same questions and final numbers",
}


@final
class AsInPaper(Task):
    """One of kad's tasks, asked as in the paper's experiments.

    Attributes:
        of: the task, whose data, ids and answers these are.

    >>> row = {"question": "Where?", "choices": {"label": ["A", "B"], "text": ["bank", "mall"]}, "answerKey": "B"}
    >>> (item,) = AsInPaper(task_of("csqa")).items([row])
    >>> item.question.split("\\n\\n")[1].splitlines(), item.gold
    (['Question: Where?', 'A). bank', 'B). mall'], 'B')
    """

    instruction = STEPS
    new_tokens = PAPER_TOKENS
    drops_instruction = True

    def __init__(self, of: Task) -> None:
        self.of, self.name, self.hub, self.files = of, of.name, of.hub, of.files

    @property
    def answer(self) -> Answer:
        return self.of.answer

    def item(self, row: Row, index: int) -> Item:
        item = self.of.item(row, index)
        if not isinstance(self.of, Choice):
            return Item(item.id, self.asked(item.question), item.gold, item.solution)
        stem, options, right = self.of.options(row)
        placed = tuple(option.strip() for option in options)
        lines = [f"{letter}). {option}" for letter, option in zip(string.ascii_uppercase, placed, strict=False)]
        gold = string.ascii_uppercase[right]
        return Item(item.id, self.asked(stem.strip(), "\n".join(lines)), gold, f"The answer is ({gold}).", placed)

    def asked(self, question: str, options: str = "") -> str:
        """The user's turn."""
        if options:
            return f"{CHOOSE}\n\nQuestion: {question}\n{options}\n\n{LETTER}"
        return f"{question}\n\n{BOX}" if self.of.name == "math500" else question

    def probe(self) -> Item:
        return Item("", self.asked("{question}", "{options}" if isinstance(self.of, Choice) else ""), "", "")

    def generate(self, count: int | None, part: Part) -> list[Row] | None:
        return self.of.generate(count, part)


def task_under(protocol: Protocol, spec: str, shuffle: int = 0) -> Task:
    """A task as a protocol asks it; ``spec`` as for `task_of`.

    Raises:
        ValueError: there is no such task, or it is none of the paper's.

    >>> task_under("kad", "gsm8k").instruction == task_under("paper", "gsm8k").instruction
    False
    """
    task = task_of(spec, shuffle)
    if protocol == "kad":
        return task
    if spec not in TASKS:
        raise ValueError(f"the paper's protocol knows the tasks {', '.join(TASKS)}; {spec} is none of them.")
    return AsInPaper(task)


def departures(c: Configuration) -> list[str]:
    """Where the settings of a result of the paper's protocol are others than the paper's; its prompts and graders are `DEPARTURES`.

    >>> departures(Configuration("svamp", "dual", 0.4, temperature=None, new_tokens=256, protocol="paper"))
    ['greedy', 'at most 256 new tokens', 'the template may think']
    """
    alone = c.of.kind.alone or c.temperature is None
    found = {
        c.heat: c.temperature != PAPER_TEMPERATURE, f"at most {c.new_tokens} new tokens": c.new_tokens != PAPER_TOKENS,
        f"temperature on the {c.placement}": not alone and c.placement != "models", c.filtered: bool(c.filtered),
        f"part {c.part}": c.part not in (None, "all"),
        "the template may think": dict(c.template).get("enable_thinking", True) is not False,
    }  # fmt: skip
    return [words for words, true in found.items() if true]


def remarks(configurations: list[Configuration]) -> list[str]:
    """What a page of such results says of their protocols: a sentence for each, and where it departs from the paper's.

    >>> remarks([Configuration("svamp", "p")]) == [OWN_SENTENCE]
    True
    """
    found = [OWN_SENTENCE] if any(c.protocol == "kad" for c in configurations) else []
    papers = [c for c in configurations if c.protocol == "paper"]
    if papers:
        tasks = {c.task for c in papers}
        why = [words for name, words in DEPARTURES.items() if name in tasks or name not in TASKS]
        found.append(f"{PAPER_SENTENCE} Where it departs: {'; '.join(why)}.")
        changed = dict.fromkeys(words for c in papers for words in departures(c))
        if changed:
            found.append(f"Settings here that are not the paper's, each in some lines at least: {', '.join(changed)}.")
    return found
