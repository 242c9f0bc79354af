"""A task's questions as they are asked: rendered prompts, their hashes, and their ids in each tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checkpoints import Checkpoints
from .plan import Plan
from .protocol import task_under
from .sources import counted
from .task import Item, Task, messages, render


@dataclass(frozen=True)
class Questions:
    """A task's questions, and the exemplary ones before them.

    Attributes:
        task: whose they are.
        items: to be asked.
        examples: in every prompt.
        total: how many there are to ask in this part of the data; None if the task makes as many as are wanted.
        spec: what the task was named by.
        template: variables for the chat template.
        ids: of all questions in this part of the data; None if that is not known.
    """

    task: Task
    items: list[Item]
    examples: tuple[Item, ...]
    total: int | None = None
    spec: str = ""
    template: tuple[tuple[str, Any], ...] = ()
    ids: frozenset[str] | None = None
    prompts: dict[tuple[int, Item], str] = field(default_factory=dict, compare=False, repr=False)

    def prompt(self, tokenizer: Any, item: Item) -> str:
        """What stands before the reply; rendered once.

        Raises:
            ValueError: the template fails; see `render`.
        """
        place = (id(tokenizer), item)
        if place not in self.prompts:
            turns = messages(self.task, item, self.examples)
            self.prompts[place] = render(tokenizer, turns, dict(self.template), self.task.drops_instruction)
        return self.prompts[place]

    def mark(self, tokenizer: Any, item: Item) -> str:
        """A hash of the prompt, which a result carries; empty, which none does, if it cannot be rendered."""
        try:
            return hashlib.sha256(self.prompt(tokenizer, item).encode()).hexdigest()[:16]
        except ValueError:  # asking it says why
            return ""

    def common(self, checkpoints: Checkpoints) -> tuple[str, str]:
        """What all prompts have in common, rendered around a question that is none, and a hash of it and of its ids.

        Raises:
            ValueError: the template fails whatever the question.
        """
        aligned = checkpoints.aligned_tokenizer
        text = self.prompt(aligned, self.task.probe())
        both = {id(tokenizer): tokenizer for tokenizer in (checkpoints.tokenizer, aligned)}
        ids = [ids_of([text], tokenizer, aligned) for tokenizer in both.values()]
        return text, hashlib.sha256(json.dumps([self.task.name, text, ids]).encode()).hexdigest()[:16]


def questions_of(spec: str, plan: Plan, data: Path | None) -> Questions:
    """A task's questions; exemplary ones are the last of the data, whatever the count, and are not asked."""
    task = task_under(plan.protocol, spec, plan.shuffle)
    found = counted(task, data, None if plan.shots else plan.count, plan.part)
    items = found.items
    if plan.shots >= len(items):
        raise ValueError(f"{task.name} has {len(items)} questions, too few for {plan.shots} shots.")
    left = len(items) - plan.shots
    total = None if found.total is None else found.total - plan.shots
    return Questions(task, items[:left][: plan.count], tuple(items[left:]), total, spec, plan.template, found.ids)


def ids_of(prompts: Sequence[str], tokenizer: Any, rendered_by: Any) -> list[list[int]]:
    """Token ids; the chat template of ``rendered_by`` has put the special tokens already, if it has one.

    They are those of its own tokenizer. Another puts its own first token in the place of that one, if it begins texts with
    one, and never spells out one that it does not have.
    """
    templated = bool(rendered_by.chat_template)
    if not templated or tokenizer is rendered_by:
        return [list(tokenizer(prompt, add_special_tokens=not templated)["input_ids"]) for prompt in prompts]
    first, own = getattr(rendered_by, "bos_token", None) or "", begins(tokenizer)
    if not own and first in tokenizer.all_special_tokens:
        first = ""  # its own word for it, which stays
    return [list(tokenizer(prompt.removeprefix(first), add_special_tokens=own)["input_ids"]) for prompt in prompts]


def begins(tokenizer: Any) -> bool:
    """Whether a tokenizer puts its first token before a text."""
    first = getattr(tokenizer, "bos_token_id", None)
    return first is not None and list(tokenizer("a", add_special_tokens=True)["input_ids"])[:1] == [first]
