"""A task's questions: rows from a folder of local files or the hub, and how they are asked: prompts, hashes, ids."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ..bounded import read_text
from ..checkpoints import Checkpoints
from ..errors import said
from ..extras import need
from .plan import Plan
from .protocol import task_under
from .task import Item, Part, Row, Task, messages, render

FILE_LIMIT = 2**30  # characters of a file of rows


@dataclass(frozen=True)
class Questions:
    """A task's questions, and the exemplary ones before them.

    Attributes:
        items, examples: to be asked, and in every prompt.
        total: how many there are to ask in this part of the data; None if the task makes as many as are wanted.
        spec: what the task was named by.
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
        """What stands before the reply; rendered once, errors as for `render`."""
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
        """What all prompts have in common, around a question that is none, and a hash of it and its ids; errors as for `render`."""
        aligned = checkpoints.aligned_tokenizer
        text = self.prompt(aligned, self.task.probe())
        both = {id(tokenizer): tokenizer for tokenizer in (checkpoints.tokenizer, aligned)}
        ids = [ids_of([text], tokenizer, aligned) for tokenizer in both.values()]
        return text, hashlib.sha256(json.dumps([self.task.name, text, ids]).encode()).hexdigest()[:16]


def questions_of(spec: str, plan: Plan, data: Path | None) -> Questions:
    """A task's questions; exemplary ones are the last of the data, whatever the count, and are not asked."""
    task = task_under(plan.protocol, spec, plan.shuffle)
    items, total, ids = counted(task, data, None if plan.shots else plan.count, plan.part)
    if plan.shots >= len(items):
        raise ValueError(f"{task.name} has {len(items)} questions, too few for {plan.shots} shots.")
    left = len(items) - plan.shots
    total = None if total is None else total - plan.shots
    return Questions(task, items[:left][: plan.count], tuple(items[left:]), total, spec, plan.template, ids)


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


def load_rows(task: Task, data: Path | None = None, count: int | None = None, part: Part = "all") -> list[Row]:
    """The first ``count`` rows (all by default), from ``data`` if given, else from the hub.

    ``part`` is for tasks that make their own rows; `counted` parts those that are loaded.

    Raises:
        ValueError: no such file, a file that cannot be read, or no way to the hub; one sentence.
        ImportError: the hub is wanted and ``datasets`` is missing.
    """
    if count is not None and count < 1:
        raise ValueError(f"the number of questions must be ≥ 1, got {count}.")
    own = task.generate(count, part)
    if own is not None:
        return own
    absolute = [Path(name) for name in task.files if Path(name).is_absolute()]
    if absolute:
        rows = rows_in(absolute[0])
    elif data is not None:
        rows = rows_in(local(task, data))
    else:
        rows = from_hub(task)
    if not rows:
        raise ValueError(f"{task.name} has no rows.")
    return rows[:count]


def local(task: Task, folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder} with local data.")
    for name in task.files:
        if (folder / name).is_file():
            return folder / name
    wanted = " or ".join(task.files) or "a file of its own"
    raise ValueError(f"{folder} holds no data for {task.name}: it looks for {wanted}.")


def rows_in(path: Path) -> list[Row]:
    """Rows of a .jsonl, .json or .csv file of at most `FILE_LIMIT` characters."""
    text = read_text(path, str(path), FILE_LIMIT)
    try:
        if path.suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text)))
        if path.suffix == ".json":
            found: Any = json.loads(text)
            rows = found if isinstance(found, list) else None
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error.msg} in {error.doc[:60]!r}.") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {said(error)}.") from error
    if rows is None or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must hold one JSON object per row.")
    return rows


def from_hub(task: Task) -> list[Row]:
    if task.hub is None:
        raise ValueError(f"{task.name} is not on the hub; give the folder of its file with --data.")
    need(f"loading {task.name} from the hub (instead of local files with --data)", "datasets")
    import datasets

    path, configuration, split = task.hub
    try:
        return list(datasets.load_dataset(path, configuration, split=split, trust_remote_code=False))
    except Exception as error:
        raise ValueError(
            f"cannot load {task.name} from the hub ({path}): {said(error)}; or give local files with --data."
        ) from error


def counted(
    task: Task, data: Path | None, count: int | None, part: Part
) -> tuple[list[Item], int | None, frozenset[str] | None]:
    """The questions of one part, at most ``count`` of them (all by default).

    Returns:
        The questions; how many there are without a count, None of a task that makes as many as are wanted; and the ids of
        all that there are, None if that is not known.

    Raises:
        ValueError: as `load_rows` and `Task.items`; no question in the part.
    """
    if part not in get_args(Part):
        raise ValueError(f"the part must be one of {', '.join(get_args(Part))}; got {part!r}.")
    if task.generate(1, part) is not None:
        return task.items(load_rows(task, data, count, part)), None, None
    rows = load_rows(task, data, None, part)
    try:
        found = task.items(rows)
    except ValueError:  # raised again if it is a row that is asked
        if part != "all":
            raise
        return task.items(rows[:count]), len(rows), None
    if part != "all":
        found = [item for item in found if task.part_of(item) == part]
    if not found:
        raise ValueError(f"{task.name} has no questions in its {part} part.")
    return found[:count], len(found), frozenset(item.id for item in found)
