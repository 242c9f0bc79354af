"""Before a run asks anything: what the answers that are there count as today."""

from __future__ import annotations

from .grading import ANSWER_NAMES, grader_of, of_row
from .job import Job, Unit
from .schema import Line
from .store import Store, read_rows
from .task import Item


def judge(job: Job, store: Store) -> int:
    """Write what counts otherwise now than the lines say; how many lines that took.

    - A verdict for every answer of the plan whose gold answer or grader has changed, or whose question has its former prompt
      again. A grader that fails leaves the verdict as it is.
    - A note for every question of the plan that has another prompt now, or that the data no longer hold.

    Raises:
        ValueError: the store cannot be written.
    """
    if not store.done:
        return 0
    rows = read_rows(store.folder)[0]
    known = {(r["key"], r["seed"], r["item"], r["question"]): r for r in (*rows.current, *rows.superseded)}
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
    return len(verdicts) + len(notes)


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
