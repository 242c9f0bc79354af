"""Verdicts are computed from texts, with the grader of today: a fixed grader reaches old results.

A line keeps the verdict of the day it was written, with its grader's name and version; what is reported is graded again.
Graders of the user's own are used where their task is at hand (``kad eval``, or ``kad report --task``), never imported
because a folder of results names them. What no reader could know, that the gold answer or a question's prompt is another now,
is written before a run asks anything.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from ..errors import said
from .answers import Answer
from .configuration import Configuration
from .job import Job, Unit
from .schema import Line, row_id
from .store import Store, read_rows
from .task import Item, Task
from .tasks import ANSWERS, BUILTIN

ANSWER_NAMES = {kind: name for name, kind in ANSWERS.items()}
Verdict = tuple[str | None, bool]


def grader_of(answer: Answer) -> dict[str, Any]:
    """What a line says of its grader: its name, its version, and its settings.

    >>> from kad.evaluation import Letter
    >>> grader_of(Letter(5))["name"], grader_of(Letter(5))["count"]
    ('letter', 5)
    """
    kind = type(answer)
    name = ANSWER_NAMES.get(kind, f"{kind.__module__}.{kind.__qualname__}")
    own = {n: getattr(answer, n) for n in settings_names(kind)}
    plain = {n: x if isinstance(x, str | int | float | bool | None) else repr(x) for n, x in own.items()}
    return {**plain, "name": name, "version": str(kind.grader)}


def settings_names(kind: type[Answer]) -> list[str]:
    """What an answer of this kind is made of."""
    return [f.name for f in fields(kind)] if is_dataclass(kind) else []


def answer_of(grader: Mapping[str, Any]) -> Answer | None:
    """Kad's own grader of today by what a line says of it; None if it is not kad's."""
    kind = ANSWERS.get(str(grader.get("name")))
    if kind is None:
        return None
    try:
        return kind(**{name: grader[name] for name in settings_names(kind) if name in grader})
    except (TypeError, ValueError):
        return None


def reply(text: str) -> str:
    """What a text says after it has thought; nothing if it has not ended thinking.

    >>> reply("<think>4? No.</think>It is 5."), reply("<think>4?"), reply("It is 5.")
    ('It is 5.', '', 'It is 5.')
    """
    _, end, after = text.rpartition("</think>")
    if "<think>" in after:
        return after.partition("<think>")[0]
    return after if end else text


def verdict(answer: Answer, text: str, gold: str, finished: bool, options: Sequence[str] = ()) -> Verdict:
    """What a text answers, and whether that is right."""
    known: dict[str, Any] = {"finished": finished, "options": tuple(options)}
    taken = inspect.signature(type(answer).score).parameters  # one of the user's own may take neither
    found, correct = answer.score(reply(text), gold, **{name: x for name, x in known.items() if name in taken})
    return found, bool(correct)


def of_row(answer: Answer, row: Line, configuration: Configuration, gold: str | None = None) -> Verdict:
    gold = row["gold"] if gold is None else gold
    return verdict(answer, row["text"], gold, ended(row, configuration), row.get("options", ()))


def ended(row: Line, configuration: Configuration) -> bool:
    """Whether a text ended by itself; lines of old do not say it."""
    return bool(row.get("finished", row.get("tokens", 0) < configuration.new_tokens))


@dataclass
class Graded:
    """One task's verdicts.

    Attributes:
        grader: the names and versions of what graded them, with how many.
        changed: verdicts that differ from those when the answers came, by what they are now.
        kept: verdicts that stand as they were, and why.
    """

    grader: Counter[str] = field(default_factory=Counter)
    changed: Counter[bool] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    @property
    def by(self) -> str:
        """The graders in words."""
        return ", ".join(self.grader) or "an unknown grader"


def grader_text(grader: Mapping[str, Any]) -> str:
    """A grader in words: its name, settings that are not its own, and version.

    >>> grader_text({"name": "number", "tolerance": 1e-06, "version": 2}), grader_text({"name": "letter", "count": 5, "version": 1})
    ('number, version 2', 'letter (count 5), version 1')
    """
    usual = answer_of({"name": grader.get("name")})
    rest = grader_of(usual) if usual is not None else {}
    settings = [f"{n} {x}" for n, x in grader.items() if n not in ("name", "version") and rest.get(n, ...) != x]
    shown = f" ({', '.join(settings)})" if settings else ""
    return f"{grader.get('name')}{shown}, version {grader.get('version')}"


def regraded(
    configurations: Mapping[str, Configuration], rows: Iterable[Line], tasks: Mapping[str, Task] | None = None,
    graders: Mapping[str, Any] | None = None,
) -> tuple[list[Line], dict[str, Graded]]:  # fmt: skip
    """The rows with the verdicts of today, and what changed, by task.

    Args:
        tasks: at hand, by name.
        graders: what the last run graded the others by, by the hash of their prompts; else it is what their lines name. Either
            is used if it is kad's own.

    >>> c = Configuration("gsm8k", "p")
    >>> row = {"key": c.key, "text": "So it is 5.", "gold": "5", "answer": None, "correct": False, "tokens": 4}
    >>> rows, graded = regraded({c.key: c}, [row])
    >>> rows[0]["correct"], graded["gsm8k"].changed[True]
    (True, 1)
    """
    found, graded = list[Line](), dict[str, Graded]()
    seen = dict[tuple[Any, ...], Verdict]()
    for row in rows:
        c = configurations[row["key"]]
        told = graded.setdefault(c.task, Graded())
        answer, why = present(c, row, tasks or {}, (graders or {}).get(c.prompt))
        if answer is not None:
            options = tuple(row.get("options", ()))
            place = (c.task, repr(grader_of(answer)), row["text"], row["gold"], ended(row, c), options)
            try:
                if place not in seen:
                    seen[place] = of_row(answer, row, c)
            except Exception as error:  # a grader of one's own may raise anything; a library may be missing
                answer, why = None, said(error)
        if answer is None:
            told.kept[why] += 1
            told.grader[grader_text(row["grader"]) if row.get("grader") else "an unknown grader"] += 1
            found.append(row)
            continue
        said_now = dict(zip(("answer", "correct"), seen[place], strict=True))
        told.grader[grader_text(grader_of(answer))] += 1
        found.append({**row, **said_now, "grader": grader_of(answer)})
        if (was := row.get("was", row).get("correct")) is not None and was != said_now["correct"]:
            told.changed[bool(said_now["correct"])] += 1
    return found, graded


def present(
    c: Configuration, row: Line, tasks: Mapping[str, Task], last: Mapping[str, Any] | None
) -> tuple[Answer | None, str]:
    """The grader of today for a row, or None and why there is none."""
    if not isinstance(row.get("text"), str) or not isinstance(row.get("gold"), str):
        return None, "their lines hold no text"
    if c.task in tasks:
        return tasks[c.task].answer, ""
    grader = last or row.get("grader") or {}
    usual = BUILTIN[c.task]().answer if c.task in BUILTIN else None
    if usual is not None and grader.get("name", ANSWER_NAMES[type(usual)]) == ANSWER_NAMES[type(usual)]:
        return usual, ""
    if not grader:
        return None, "their lines do not name a grader"
    return answer_of(grader), f"{grader.get('name')} is none of kad's graders; name its task with --task"


def judge(job: Job, store: Store) -> None:
    """Write what counts otherwise now than the lines say.

    - A verdict for every answer of the plan whose gold answer or grader has changed, or whose question has its former prompt
      again. A grader that fails leaves the verdict as it is.
    - A note for every question of the plan that has another prompt now, or that the data no longer hold.
    """
    if not store.done:
        return
    rows = read_rows(store.folder)[0]
    known = {(*row_id(r), r["question"]): r for r in (*rows.current, *rows.superseded)}
    verdicts, notes, ids = list[Line](), list[Line](), dict[str, frozenset[str]]()
    for unit in job.units():
        key = unit.configuration.key
        if unit.questions.ids is not None:
            ids[key] = unit.questions.ids
        for item, (_, mark) in zip(unit.items, job.asked(unit), strict=True):
            place = (key, unit.seed, item.id)
            row, counts = known.get((*place, mark)), rows.last.get(place) == mark
            head = {"key": key, "seed": unit.seed, "item": item.id, "question": mark}
            if row is not None and (now := verdict_of(unit, item, row, counts)) is not None:
                verdicts.append(head | now)
            elif row is None and place in rows.last and not counts:
                notes.append(head)
    for (key, seed, id), mark in rows.last.items():
        if mark and key in ids and id not in ids[key]:
            notes.append({"key": key, "seed": seed, "item": id, "question": ""})
    store.judge(verdicts)
    store.ask(notes)


def verdict_of(unit: Unit, item: Item, row: Line, counts: bool) -> Line | None:
    """What an answer counts as today; None if that is what its lines say."""
    answer = unit.questions.task.answer
    grader, ours = grader_of(answer), type(answer) in ANSWER_NAMES
    if "text" not in row:
        return None
    if ours and counts and row.get("gold") == item.gold and row.get("grader") == grader:
        return None  # kad's own graders grade again whenever results are read
    try:
        said, correct = of_row(answer, row, unit.configuration, item.gold)
    except Exception:  # whatever a grader may raise: what was answered stays
        if counts:
            return None
        said, correct = row.get("answer"), bool(row.get("correct"))
    now = {"gold": item.gold, "answer": said, "correct": correct}
    same = all(row.get(name) == value for name, value in now.items()) and (ours or row.get("grader") == grader)
    return None if same and counts else now | {"grader": grader}
