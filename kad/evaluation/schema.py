"""What the files of a folder of results must hold: read back as it was written, or one sentence about the place.

A line is a configuration, an answer, a verdict, or a note that a question is another now, or no more. A verdict says what an
answer that is already there counts as: after its gold or its grader has changed, or because its question is asked again
that another had taken the place of.

Raising the format's number is for changes that an older version would misread; a field more is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .configuration import Configuration
from .files import read_json

FORMAT = 2  # of format 1, lines do not say of which prompt, part and law they are
MANIFEST = "manifest.json"
Line = dict[str, Any]
RowId = tuple[str, int, str]  # of an answer: the key of its configuration, the seed, the id of the question
JUDGED = ("gold", "answer", "correct", "grader")  # what a verdict replaces
NEEDED: dict[str, type | tuple[type, ...]] = {"key": str, "seed": int, "item": str, "question": str}
FIELDS: dict[str, type | tuple[type, ...]] = NEEDED | {
    "text": str, "answer": (str, type(None)), "gold": str, "correct": bool, "finished": bool, "options": list,
    "tokens": int, "rounds": int, "drafted": int,
    "accepted": int, "base_fed": int, "proxy_fed": int, "seconds": (int, float), "ids": list, "origins": str, "alphas": list,
    "grader": dict, "verdict": bool, "asked": bool,
}  # fmt: skip


def parsed(text: bytes, path: Path) -> Iterator[Line]:
    """The lines of a file of results; a ValueError that names the first that is none."""
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        try:
            found = json.loads(line)
            check_line(found)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error).removesuffix(".")
            raise ValueError(
                f"line {number} of {path} is damaged ({reason}); delete the line to have its question answered again."
            ) from error
        yield found


def row_id(line: Line) -> RowId:
    """Whose answer a line is, or is about."""
    return line["key"], line["seed"], line["item"]


def check_line(line: Any) -> None:
    """Raise a ValueError unless this is a line of results."""
    if not isinstance(line, dict) or not isinstance(line.get("key"), str):
        raise ValueError("it is no line of results")
    if "configuration" in line:
        configuration_of(line["configuration"])
        return
    if missing := NEEDED.keys() - line.keys():
        raise ValueError(f"it has no {min(missing)}")
    if line.get("verdict") and not isinstance(line.get("correct"), bool):
        raise ValueError("it is a verdict and has no correct")
    for name, kind in FIELDS.items():
        if name in line and (not isinstance(line[name], kind) or (kind is int and isinstance(line[name], bool))):
            raise ValueError(f"its {name} is {line[name]!r}"[:200])


def configuration_of(told: Any) -> Configuration:
    """What `dataclasses.asdict` and JSON made of a configuration.

    Raises:
        ValueError: it is none, or has fields of a newer version.

    >>> configuration_of({"task": "gsm8k", "method": "p", "zeal": 3})
    Traceback (most recent call last):
    ValueError: its configuration has the field zeal, which this version of kad does not know; update kad
    """
    known = {field.name for field in fields(Configuration)}
    if not isinstance(told, dict):
        raise ValueError("its configuration is no object")
    if unknown := sorted(set(told) - known):
        raise ValueError(
            f"its configuration has the field {unknown[0]}, which this version of kad does not know; update kad"
        )
    for name in ("task", "method"):
        if not isinstance(told.get(name), str):
            raise ValueError(f"its configuration has no {name}")
    try:
        names = ("models", "template", "settings")
        pairs = {name: tuple((str(key), value) for key, value in told.get(name, ())) for name in names}
        found = Configuration(**{**told, **pairs})
        hash(found)
    except (TypeError, ValueError) as error:
        raise ValueError("its configuration has values of the wrong type") from error
    return found


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
    last: dict[RowId, str]


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
    last = dict[RowId, str]()
    for line in lines:
        if "configuration" in line:
            configurations[line["key"]] = configuration_of(line["configuration"])
            continue
        place = row_id(line)
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
    current = [row for (*_, question), row in answers.items() if last[row_id(row)] == question]
    superseded = [row for (*_, question), row in answers.items() if last[row_id(row)] != question]
    return Rows(configurations, current, superseded, last)


def counts(seeds: Any) -> bool:
    return isinstance(seeds, dict) and all(type(count) is int for count in seeds.values())


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, empty if there is none; a ValueError if it is damaged, or a newer version wrote it."""
    path = folder / MANIFEST
    found: dict[str, Any] = read_json(path, default={})
    written = found.get("format", FORMAT)
    sessions = found.get("sessions", [])
    whole = isinstance(sessions, list) and all(isinstance(s, dict) for s in sessions)
    for name in ("asked", "prompts"):
        entries = found.get(name, {})
        whole = whole and isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values())
    whole = whole and all(counts(entry.get("seeds")) for entry in found.get("asked", {}).values())
    if type(written) is not int or not whole:
        raise ValueError(f"{path} is damaged (no format and sessions); restore it, or choose another folder.")
    if written > FORMAT:
        raise ValueError(
            f"{folder} was written by a newer version of kad (format {written}, this one reads {FORMAT}); update kad, or "
            "choose another folder."
        )
    return found
