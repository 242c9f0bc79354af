"""The lines of a file of results as rows: each question once, as it was last asked and judged.

A line is a configuration, an answer, a verdict, or a note that a question is another now, or no more. A verdict says what an
answer that is already there counts as: after its gold or its grader has changed, or because its question is asked again
that another had taken the place of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .schema import Line, configuration_of

JUDGED = ("gold", "answer", "correct", "grader")  # what a verdict replaces


@dataclass(frozen=True)
class Rows:
    """What a file holds.

    Attributes:
        configurations: by key, as lines.
        current: the answers that count, each with its last verdict; ``was`` holds what they counted as when they came.
        superseded: answers to questions whose prompt has changed since, or that the data no longer hold; they count nowhere.
        last: the hash of the prompt that counts, by configuration, seed and question; empty if none does.
    """

    configurations: dict[str, Any]
    current: list[Line]
    superseded: list[Line]
    last: dict[tuple[str, int, str], str]


def rows_of(lines: Iterable[Line]) -> Rows:
    """Sort the lines of a file.

    >>> answer = {"key": "k", "seed": 0, "item": "7", "gold": "1", "answer": "1", "correct": True}
    >>> other = answer | {"question": "b", "text": "2"}
    >>> again = answer | {"question": "a", "verdict": True, "gold": "2", "correct": False}
    >>> found = rows_of([answer | {"question": "a", "text": "1"}, other, again])
    >>> [(row["text"], row["correct"]) for row in found.current], [row["text"] for row in found.superseded]
    ([('1', False)], ['2'])
    """
    configurations, answers = dict[str, Any](), dict[tuple[str, int, str, str], Line]()
    last = dict[tuple[str, int, str], str]()
    for line in lines:
        if "configuration" in line:
            configurations[line["key"]] = configuration_of(line["configuration"])
            continue
        place = (line["key"], line["seed"], line["item"])
        if line.get("asked"):
            last[place] = line["question"]
            continue
        known = answers.get((*place, line["question"]))
        if not line.get("verdict"):
            if known is None:
                answers[(*place, line["question"])] = line
            else:  # the same answer twice, as in files that were joined: it counts once
                continue
        elif known is not None:
            judged = {name: line[name] for name in JUDGED if name in line}
            answers[(*place, line["question"])] = known | judged | {"was": known.get("was", known)}
        else:
            continue  # its answer was deleted
        last[place] = line["question"]
    sorted_out = Rows(configurations, [], [], last)
    for (*there, question), row in answers.items():
        (sorted_out.current if last[tuple(there)] == question else sorted_out.superseded).append(row)  # type: ignore[index]
    return sorted_out
