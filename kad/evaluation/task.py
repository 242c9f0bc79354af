"""A task: rows of a data set, what is asked about each, and what counts as right."""

from __future__ import annotations

import hashlib
import random
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..decoding.template import TemplateFailed, through_template
from .answers import Answer

Row = Mapping[str, Any]
Part = Literal["all", "dev", "test"]
Protocol = Literal["kad", "paper"]  # whose prompts, order of options and limits; see `kad.evaluation.protocol`


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: its name, unique within the task.
        question: what the user asks, options included.
        gold: the right answer, as the task's `Answer` compares it.
        solution: what an exemplary reply says, for few-shot prompts.
        options: the texts of the options as they stand in the question, A first; empty where there are none.

    >>> Item("1", "2 + 2?", "4", "#### 4").gold
    '4'
    """

    id: str
    question: str
    gold: str
    solution: str
    options: tuple[str, ...] = ()


class Task(ABC):
    """A data set with its questions and its scoring. Subclass it, and implement `item` and `answer`.

    Attributes:
        name: how the task is called, on the shell and in the results.
        hub: path, configuration and split of the data set on the hub, for the library ``datasets``.
        files: names under which it is looked for in a folder of local data.
        instruction: the system prompt, where the chat template takes one; else it goes before the question.
        new_tokens: how many a reply may take, unless the user says otherwise.
        shuffle: seed of the order of options, where there are some.
        drops_instruction: the instruction is left out, and does not go before the question, where the template takes none.

    >>> from kad.evaluation import Number
    >>> class Sums(Task):
    ...     name = "sums"
    ...     answer = Number()
    ...     def item(self, row, index):
    ...         return Item(str(index), f"{row['a']} + {row['b']}?", str(row["a"] + row["b"]), "")
    >>> [item.gold for item in Sums().items([{"a": 1, "b": 2}, {"a": 3, "b": 4}])]
    ['3', '7']
    """

    name: str
    hub: tuple[str, str | None, str] | None = None
    files: tuple[str, ...] = ()
    instruction: str = ""
    new_tokens: int = 512
    shuffle: int = 0
    drops_instruction: bool = False

    @property
    @abstractmethod
    def answer(self) -> Answer:
        """The kind of answer: how it is found in a text and compared."""

    @abstractmethod
    def item(self, row: Row, index: int) -> Item:
        """The question of one row; ``index`` is its place in the data."""

    def items(self, rows: Sequence[Row]) -> list[Item]:
        """All questions.

        Raises:
            ValueError: a row that lacks what `item` reads, or two rows of one id.
        """
        found, seen = list[Item](), dict[str, int]()
        for index, row in enumerate(rows):
            try:
                item = self.item(row, index)
            except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
                raise ValueError(
                    f"row {index} of {self.name} cannot be read ({type(error).__name__}: {error})."
                ) from error
            if item.id in seen:
                raise ValueError(f"rows {seen[item.id]} and {index} of {self.name} have the same id {item.id!r}.")
            seen[item.id] = index
            found.append(item)
        return found

    def probe(self) -> Item:
        """A question that is none, to show what stands around one in every prompt."""
        return Item("", "{question}", "", "")

    def generate(self, count: int | None, part: Part) -> list[Row] | None:
        """Rows of a task that makes its own data; None (the default) if they are loaded."""
        return None

    def part_of(self, item: Item) -> Part:
        """Whether a question is for development, one in five by a hash of its id, or for the test."""
        return "dev" if hashlib.sha256(f"{self.name}/{item.id}".encode()).digest()[0] % 5 == 0 else "test"


def shuffled(stem: str, options: Sequence[str], right: int, seed: int, id: str) -> tuple[str, str, tuple[str, ...]]:
    """A multiple-choice question with its options in a random order of its own, the right one's letter, and that order.

    >>> question, gold, options = shuffled("Where?", ["bank", "mall"], 0, seed=0, id="7")
    >>> f"{gold}. bank" in question, options["AB".index(gold)]
    (True, 'bank')
    """
    order = list(range(len(options)))
    random.Random(f"{seed}/{id}").shuffle(order)
    letters = string.ascii_uppercase
    placed = tuple(options[option].strip() for option in order)
    lines = [f"{letter}. {text}" for letter, text in zip(letters, placed, strict=False)]
    return "\n".join([stem.strip(), "", *lines]), letters[order.index(right)], placed


def digest(items: Sequence[Item]) -> str:
    """A hash of the questions and their answers: results of other data must not be mixed with these."""
    state = hashlib.sha256()
    for item in items:
        state.update(repr((item.id, item.question, item.gold)).encode())
    return state.hexdigest()[:16]


Message = dict[str, str]


def messages(task: Task, item: Item, examples: Sequence[Item] = ()) -> list[Message]:
    """The conversation that ends with the question, after so many exemplary ones."""
    turns: list[Message] = [{"role": "system", "content": task.instruction}] if task.instruction else []
    for example in examples:
        turns += [{"role": "user", "content": example.question}, {"role": "assistant", "content": example.solution}]
    return [*turns, {"role": "user", "content": item.question}]


def render(
    tokenizer: Any, turns: Sequence[Message], variables: Mapping[str, Any] | None = None, drop: bool = False
) -> str:
    """The prompt as text: through the tokenizer's chat template, or plainly if it has none.

    Where the template takes no system prompt (it fails, or drops it), that goes before the first question.

    Args:
        variables: for the template, such as ``{"enable_thinking": False}``.
        drop: leave out a system prompt that the template does not take.

    Raises:
        ValueError: the template fails, or takes too long; see `kad.decoding.template`.
    """
    turns = list(turns)
    if not tokenizer.chat_template:
        turns = turns[1:] if drop and turns[0]["role"] == "system" else turns
        parts = [f"Question: {t['content']}\nAnswer:" if t["role"] == "user" else t["content"] for t in turns]
        return "\n\n".join(parts).replace("Answer:\n\n", "Answer: ")

    if turns[0]["role"] != "system":
        return through_template(tokenizer, turns, variables)
    system, first, *rest = turns
    try:
        text = through_template(tokenizer, turns, variables)
    except TemplateFailed:
        text = ""
    if system["content"] in text:
        return text
    if drop:
        return through_template(tokenizer, [first, *rest], variables)
    joined = {"role": "user", "content": f"{system['content']}\n\n{first['content']}"}
    return through_template(tokenizer, [joined, *rest], variables)
