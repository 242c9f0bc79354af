"""Before a run asks anything: what the answers that are there count as today."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .grading import NAMES, grader_of, of_row
from .schema import Line
from .store import Store, read_rows

if TYPE_CHECKING:
    from .runner import Job


def judge(job: Job, store: Store) -> int:
    """Write a verdict for every answer of the plan that no longer counts as its line says; how many those are.

    That is so where the gold answer or the grader has changed, and where a question has its former prompt again. A grader
    that fails leaves the verdict as it is.

    Raises:
        ValueError: the store cannot be written.
    """
    if not store.done:
        return 0
    rows = read_rows(store.folder)[0]
    current = {(r["key"], r["seed"], r["item"]): r["question"] for r in rows.current}
    known = {(r["key"], r["seed"], r["item"], r["question"]): r for r in (*rows.current, *rows.superseded)}
    found = defaultdict[str, list[Line]](list)
    for unit in job.units():
        answer = unit.questions.task.answer
        grader, ours = grader_of(answer), type(answer) in NAMES
        for item, (_, mark) in zip(unit.items, job.asked(unit), strict=True):
            place = (unit.configuration.key, unit.seed, item.id)
            row = known.get((*place, mark))
            if row is None or "text" not in row:
                continue
            unchanged = row.get("gold") == item.gold and row.get("grader") == grader and current[place] == mark
            if ours and unchanged:  # kad's own graders grade again whenever results are read
                continue
            try:
                said, correct = of_row(answer, row, unit.configuration, item.gold)
            except Exception:  # whatever a grader may raise: what was answered stays
                continue
            now = {"gold": item.gold, "answer": said, "correct": correct}
            same = all(row.get(name) == value for name, value in now.items()) and (ours or row.get("grader") == grader)
            if not same or current[place] != mark:
                head = {"key": place[0], "seed": place[1], "item": place[2], "question": mark}
                found[unit.configuration.key].append({**head, **now, "grader": grader})
    store.judge([verdict for verdicts in found.values() for verdict in verdicts])
    return sum(map(len, found.values()))
